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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import NamedTuple

from surefit.data.reasons import UNCLOSED_QUOTE, UNDECODABLE_BYTES
from surefit.data.row_shape import RowShape

# A line holds no newline before its end, so with this delimiter each line is one cell.
NO_DELIMITER = "\n"
_NEWLINES = "\r\n"
# Of a quoted cell over more lines, nothing is kept until it is known to be a text.
_MOST_KEPT_LINES = 1000


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
        lines, count = self._lines, len(self._lines)
        while self.next < count:
            line = lines[self.next]
            if quote and quote in line:
                yield self._quoted_record(line)
                continue
            self.next += 1
            try:
                text = line.decode().rstrip(_NEWLINES)
            except UnicodeDecodeError:
                yield Record(self.next, [], UNDECODABLE_BYTES)
            else:
                yield Record(self.next, text.split(delimiter) if text else [], "")

    def _quoted_record(self, line: bytes) -> Record:
        """Reads a record that has a quote in its first line, the one to read next."""
        first = last = self.next
        scan = _Scan(self._dialect)
        state = scan.line(_decoded(line))
        alone = scan.cells_taking_the_quote_as_plain() if state is _State.OPEN else []
        while state is _State.OPEN and self._hopeless <= last < len(self._lines) - 1:
            last += 1
            state = scan.line(_decoded(self._lines[last]))
            if last - first >= _MOST_KEPT_LINES:
                scan.forget()
        if state is not _State.CLOSED or (last > first and self._are_joined_rows(alone, first, last, scan.width)):
            self._hopeless = max(self._hopeless, last)
            self.next = first + 1
            return Record(first + 1, [], UNCLOSED_QUOTE)
        self.next = last + 1
        cells = scan.cells if last - first < _MOST_KEPT_LINES else self._cells(first, last)
        return Record(first + 1, cells, "") if _is_decoded(cells) else Record(first + 1, [], UNDECODABLE_BYTES)

    def _cells(self, first: int, last: int) -> list[str]:
        """The cells of a record that spans these lines."""
        scan = _Scan(self._dialect)
        for index in range(first, last + 1):
            scan.line(_decoded(self._lines[index]))
        return scan.cells

    def _are_joined_rows(self, alone: list[str], first: int, last: int, width: int) -> bool:
        if self._shape is None:
            return False
        return self._shape.joined(chain([alone], map(self._line_alone, range(first + 1, last + 1))), width)

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
        self._forgotten = 0

    @property
    def width(self) -> int:
        """Number of cells."""
        return self._forgotten + len(self.cells)

    def forget(self) -> None:
        """Lets the texts go that were read so far; their number stays known."""
        self._forgotten = self.width
        self.cells.clear()
        if self._open is not None:
            self._open.clear()

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


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _is_decoded(cells: Sequence[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True
