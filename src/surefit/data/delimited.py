"""CSV, TSV and other delimited text: finds the delimiter and the columns, then reads row by row.

Rows with too few or too many cells are rejected. Blank lines are no records, except where rows
without labels have one column: there each line is a text, so that as many predictions come out as
lines went in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from surefit.config import ReadSettings
from surefit.data.columns import RoleCells, choose_columns
from surefit.data.lines import TextLines, UndecodableRecords
from surefit.data.reasons import TOO_FEW_CELLS, TOO_MANY_CELLS, UNCLOSED_QUOTE, UNDECODABLE_BYTES
from surefit.data.records import NO_DELIMITER, Dialect, Record, RecordReader
from surefit.data.row_shape import RowShape
from surefit.data.source import NO_CELLS, RawRecord, RecordSource
from surefit.errors import DataError, UsageError
from surefit.normalization import normalize_text

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_LINES = 1000
_USUAL_TEXT_LINES = 20


@dataclass(frozen=True)
class _Header:
    """The column names, the line where they start, from 1, and the position of the line after them."""

    columns: tuple[str, ...]
    line: int
    next_line: int


class _LongRows:
    """Rows that go on in quotes over many lines.

    Most are long texts. But a stray quote can join rows too, and in a file of one column nothing
    tells these from a text. So whoever knows the file is told where to look.
    """

    def __init__(self) -> None:
        self._count = 0
        self._longest = 0
        self._line = 0

    def look(self, first: int, last: int) -> None:
        """Takes one row: its first line and its last, from 1."""
        length = last - first + 1
        if length > _USUAL_TEXT_LINES:
            self._count += 1
            if length > self._longest:
                self._longest, self._line = length, first

    def notes(self) -> tuple[str, ...]:
        """One sentence on the longest, none where there is none."""
        if not self._count:
            return ()
        more = f" ({self._count - 1:,} more over more than {_USUAL_TEXT_LINES})" if self._count > 1 else ""
        return (
            f"the row that starts in line {self._line} is quoted over {self._longest:,} lines{more}; "
            "if a stray quote opened it, read with --quote none",
        )


class DelimitedRecords(RecordSource):
    """The records of a delimited text file."""

    def __init__(self, text: TextLines, settings: ReadSettings, *, labelled: bool, delimiter: str | None = None) -> None:
        """Finds the delimiter and the columns.

        Args:
            text: the file.
            settings: delimiter, quote, header and columns.
            labelled: whether a label is needed.
            delimiter: what the file's name says, overruled by `settings.delimiter`.

        Raises:
            DataError: the file is empty, or its header or its columns cannot be used.
            UsageError: the quote is the delimiter.
        """
        self._text = text
        self._dialect = find_dialect(text.lines, settings, delimiter)
        self._header = _header(text, self._dialect, named=settings.header)
        columns = self._header.columns
        roles = choose_columns(columns, settings, labelled=labelled, from_first_line=settings.header)
        super().__init__("tsv" if self._dialect.delimiter == "\t" else "csv", columns, roles, labelled=labelled)

    def records(self) -> Iterator[RawRecord]:
        width = len(self.columns)
        blanks_count = width == 1 and not self.labelled
        shape = RowShape(width, self.roles.label)
        pick: Callable[[Sequence[str]], RoleCells[str]] = self.roles.picker()
        records, undecodable, long_rows = 0, UndecodableRecords(), _LongRows()
        long_rows.look(self._header.line, self._header.next_line)
        reader = RecordReader(self._text.lines, self._dialect, start=self._header.next_line, shape=shape)
        for line, cells, reason in reader:
            if reader.next > line:
                long_rows.look(line, reader.next)
            if not (cells or reason or blanks_count):
                continue
            records += 1
            if reason:
                if reason == UNDECODABLE_BYTES:
                    undecodable.add(line)
                yield line, NO_CELLS, reason
            elif len(cells) == width:
                shape.learn(cells)
                yield line, pick(cells), ""
            elif cells:
                yield line, NO_CELLS, TOO_FEW_CELLS if len(cells) < width else TOO_MANY_CELLS
            else:
                yield line, pick([""]), ""
        undecodable.require_few(records, self._text.encoding, self._text.advice)
        self.notes = long_rows.notes()


def find_dialect(lines: Sequence[bytes], settings: ReadSettings, delimiter: str | None = None) -> Dialect:
    """How the cells of a file are separated, and quoted.

    Of the delimiters with which the header has several cells, the one is taken with which most of
    the first rows have as many. Without a header, most rows must agree. If none fits, each line is
    one cell.

    Args:
        lines: the file.
        settings: a delimiter that is named is taken as it is.
        delimiter: what the file's name says.

    Raises:
        UsageError: one character would be both delimiter and quote.
    """
    dialect = _dialect(lines, settings, settings.delimiter or delimiter)
    if dialect.delimiter == dialect.quote:
        raise UsageError(f"--quote {dialect.quote!r} is the character between cells too; name another --quote or --delimiter")
    return dialect


def _dialect(lines: Sequence[bytes], settings: ReadSettings, named: str | None) -> Dialect:
    quote = "" if settings.quote == "none" else settings.quote
    if named:
        return Dialect(named, quote)
    best, best_share = Dialect(NO_DELIMITER, quote), 0.0 if settings.header else 0.5
    for candidate in DELIMITERS:
        dialect = Dialect(candidate, quote)
        widths = _widths(lines, dialect)
        width = next(iter(widths), 0) if settings.header else _usual_width(widths)
        share = widths.count(width) / len(widths) if width > 1 else 0.0
        if share > best_share:
            best, best_share = dialect, share
    return best


def _widths(lines: Sequence[bytes], dialect: Dialect) -> list[int]:
    """Number of cells of each of the first records; 0 where one cannot be read."""
    records = RecordReader(lines[:_SAMPLE_LINES], dialect)
    return [len(record.cells) for record in records if record.cells or record.reason]


def _usual_width(widths: Sequence[int]) -> int:
    counted = Counter(width for width in widths if width)
    return counted.most_common(1)[0][0] if counted else 0


def _header(text: TextLines, dialect: Dialect, *, named: bool) -> _Header:
    reader = RecordReader(text.lines, dialect)
    first = next((record for record in reader if record.cells or record.reason), None)
    if first is None:
        raise DataError("the file is empty")
    if named:
        return _Header(_column_names(first, text), first.line, reader.next)
    width = _usual_width(_widths(text.lines, dialect))
    if not width:
        raise DataError("none of the first lines can be read as a row; check --encoding and --quote")
    return _Header(tuple(str(number) for number in range(1, width + 1)), 1, 0)


def _column_names(header: Record, text: TextLines) -> tuple[str, ...]:
    if header.reason == UNCLOSED_QUOTE:
        raise DataError(f"the header in line {header.line} has an unclosed quote; close it, or read with --quote none")
    if header.reason == UNDECODABLE_BYTES:
        raise DataError(f"the header in line {header.line} is not {text.encoding.upper()}; {text.advice}")
    return tuple(normalize_text(name) for name in header.cells)
