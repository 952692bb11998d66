"""Lines of delimited text become records of cells, in time linear in the file whatever it holds.

The rules are those of RFC 4180, made definite where files break it:

- A quote opens a quoted cell only as the first character of a cell; elsewhere, after a space too,
  it is a plain character. Inside a quoted cell, two quotes stand for one, and delimiters and
  newlines are text.
- After the quote that closes a cell comes a delimiter, a newline or the end of the file. Where
  something else follows, or the file ends first, the quote that opened the cell counts as unclosed.
- A quote can also be closed by accident, by a stray quote many rows later, and would then join all
  rows between into one text. `RowShape` tells that case from a text of several lines, and the quote
  counts as unclosed.
- A record with an unclosed quote is the line where it started, and reading goes on at the next line.

Why this is linear: what follows from "a quoted cell is open at the start of line k" does not depend
on where it was opened. So when a search for a closing quote has failed after passing the starts of
some lines, every later search that comes to one of them fails too, and is not made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from surefit.data.reasons import UNCLOSED_QUOTE, UNDECODABLE_BYTES

# A line holds no newline before its end, so with this delimiter each line is one cell.
NO_DELIMITER = "\n"
_NEWLINES = "\r\n"
_LEAST_UNLABELLED_LINES = 5
_LEAST_LINES_BETWEEN = 3


@dataclass(frozen=True)
class Dialect:
    """How cells are separated.

    Attributes:
        delimiter: the character between cells, or `NO_DELIMITER`.
        quote: the character around cells, or the empty string where quotes are plain characters.
    """

    delimiter: str
    quote: str


class Record(NamedTuple):
    """One record.

    Attributes:
        line: where it starts, from 1.
        cells: its cells as text; none where the line is blank or the record cannot be read.
        reason: why it cannot be read, else empty.
    """

    line: int
    cells: list[str]
    reason: str


class RowShape:
    """What a complete row of this file looks like, to recognise rows that a stray quote has joined.

    A line is a complete row if, on its own, it has the right number of cells and a known class in
    the label column, that is one which was seen in an earlier row or stands in two of these lines.
    Lines of prose are not like that: a comma is seldom followed by nothing but a class name. Lines
    that a quoted cell spans are taken for joined rows if the last line is a complete row, and so are

    - the first line (its quote taken as a plain character) and most of the others; or
    - where the first line has too few cells, since its row breaks off there, nine tenths of the
      lines between first and last, three or more, and one of them has the class of an earlier row
      or of the last line, as the lines of a log or a table of other things have not.

    A table in a cell is seldom like that, since its first or last line holds the other cells of the
    record too. Blank lines do not count, and the last line is not asked where the record itself has
    a wrong number of cells. Where there are no labels, the evidence is weaker, so more is asked: a
    complete first line, five lines or more, and no cell that is empty or starts with a space, as
    after a comma in prose.

    One case cannot be told: a text that holds little but rows of the file's own kind between its
    first line and its last, and whose last line with the label is a complete row, counts as rows.
    """

    def __init__(self, width: int, label: int | None) -> None:
        """Starts without known classes.

        Args:
            width: the right number of cells.
            label: position of the label column, or None where there is none.
        """
        self._width = width
        self._label = label
        self._known: set[str] = set()

    def learn(self, cells: Sequence[str]) -> None:
        """Notes the class of a row that was read."""
        if self._label is not None:
            self._known.add(cells[self._label])

    def joined(self, rows: Sequence[Sequence[str]], width: int) -> bool:
        """Whether lines that one record spans are rows of their own.

        Args:
            rows: the cells of each line read on its own, none where that is impossible.
            width: number of cells of the record.
        """
        if self._width < 2 or (self._label is None and len(rows) < _LEAST_UNLABELLED_LINES):
            return False
        classes = Counter(row[self._label] for row in rows if self._label is not None and len(row) == self._width)
        complete = [self._is_complete(row, classes) for row in rows]
        right = width == self._width
        if right and not complete[-1]:
            return False
        if complete[0]:
            return 2 * sum(complete[1:]) > _not_blank(rows[1:])
        if self._label is None or len(rows[0]) >= self._width:
            return False
        between = _not_blank(rows[1:-1])
        if between < _LEAST_LINES_BETWEEN or 10 * sum(complete[1:-1]) < 9 * between:
            return False
        names = {row[self._label] for row, whole in zip(rows[1:-1], complete[1:-1], strict=True) if whole}
        return not right or rows[-1][self._label] in names or not names.isdisjoint(self._known)

    def _is_complete(self, row: Sequence[str], classes: Counter[str]) -> bool:
        if len(row) != self._width:
            return False
        if self._label is None:
            return all(cell and not cell.startswith(" ") for cell in row)
        name = row[self._label]
        return bool(name) and (name in self._known or classes[name] > 1)


class RecordReader:
    """Iterates over the records of delimited text, blank lines included."""

    def __init__(self, lines: Sequence[bytes], dialect: Dialect, *, start: int = 0, shape: RowShape | None = None) -> None:
        """Nothing is read yet.

        Args:
            lines: UTF-8, each with its newline.
            dialect: how cells are separated.
            start: position of the first line to read.
            shape: tells joined rows from a text of several lines; without it they count as a text.
        """
        self.next = start
        self._lines = lines
        self._dialect = dialect
        self._shape = shape
        self._hopeless = -1  # a quoted cell open at the start of a line up to this one never closes

    def __iter__(self) -> Iterator[Record]:
        delimiter, quote = self._dialect.delimiter, self._dialect.quote.encode()
        lines = self._lines
        while self.next < len(lines):
            line = lines[self.next]
            if quote and quote in line:
                yield self._quoted_record()
                continue
            self.next += 1
            try:
                text = line.decode().rstrip(_NEWLINES)
            except UnicodeDecodeError:
                yield Record(self.next, [], UNDECODABLE_BYTES)
            else:
                yield Record(self.next, text.split(delimiter) if text else [], "")

    def _quoted_record(self) -> Record:
        """Reads a record that has a quote in its first line."""
        first = last = self.next
        scan = _Scan(self._dialect)
        state = scan.line(_decoded(self._lines[first]))
        alone = scan.cells_taking_the_quote_as_plain() if state is _State.OPEN else []
        while state is _State.OPEN and self._hopeless <= last < len(self._lines) - 1:
            last += 1
            state = scan.line(_decoded(self._lines[last]))
        if state is not _State.CLOSED or (last > first and self._are_joined_rows(alone, first, last, len(scan.cells))):
            self._hopeless = max(self._hopeless, last)
            self.next = first + 1
            return Record(first + 1, [], UNCLOSED_QUOTE)
        self.next = last + 1
        return Record(first + 1, scan.cells, "") if _is_decoded(scan.cells) else Record(first + 1, [], UNDECODABLE_BYTES)

    def _are_joined_rows(self, alone: list[str], first: int, last: int, width: int) -> bool:
        if self._shape is None:
            return False
        return self._shape.joined([alone, *(self._line_alone(index) for index in range(first + 1, last + 1))], width)

    def _line_alone(self, index: int) -> list[str]:
        scan = _Scan(self._dialect)
        return scan.cells if scan.line(_decoded(self._lines[index])) is _State.CLOSED else []


class _State(Enum):
    CLOSED = "the record ends with the line"
    OPEN = "a quoted cell goes on in the next line"
    BROKEN = "text follows the quote that closes a cell"


class _Scan:
    """Reads the cells of one record, line by line."""

    def __init__(self, dialect: Dialect) -> None:
        self.cells: list[str] = []
        self._dialect = dialect
        self._open: list[str] | None = None  # pieces of the quoted cell that is open
        self._opened = ("", 0)  # the line that opened it, and where

    def line(self, line: str) -> _State:
        """Takes one line, its newline included."""
        text = line.rstrip(_NEWLINES)
        position = 0
        while True:
            if self._open is None and not text.startswith(self._dialect.quote, position):
                end = text.find(self._dialect.delimiter, position)
                self.cells.append(text[position:] if end < 0 else text[position:end])
            else:
                if self._open is None:
                    self._open, self._opened = [], (text, position)
                    position += 1
                end = self._close(text, position)
                if end < 0:
                    self._open.append(line[len(text) :])
                    return _State.OPEN
                if end < len(text) and text[end] != self._dialect.delimiter:
                    return _State.BROKEN
            if end < 0 or end == len(text):
                return _State.CLOSED
            position = end + 1

    def _close(self, text: str, position: int) -> int:
        """Reads the open cell from a position on; returns where it ends, after its quote, or -1."""
        assert self._open is not None
        quote = self._dialect.quote
        while True:
            found = text.find(quote, position)
            if found < 0:
                self._open.append(text[position:])
                return -1
            if not text.startswith(quote, found + 1):
                self._open.append(text[position:found])
                self.cells.append("".join(self._open))
                self._open = None
                return found + 1
            self._open.append(text[position : found + 1])
            position = found + 2

    def cells_taking_the_quote_as_plain(self) -> list[str]:
        """The cells of the line that left a quoted cell open, had it not been opened."""
        text, position = self._opened
        return [*self.cells, *text[position:].split(self._dialect.delimiter)]


def _not_blank(rows: Sequence[Sequence[str]]) -> int:
    """How many lines are not blank."""
    return sum(1 for row in rows if row != [""])


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _is_decoded(cells: Sequence[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True
