"""What a row of a delimited file looks like, to tell rows that a stray quote has joined from a text of several lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set

_LEAST_UNLABELLED_LINES = 5
_LEAST_LINES_BETWEEN = 3
# A column with more names than that holds no classes, and would fill the memory.
_MOST_KNOWN_CLASSES = 100_000


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
        if self._label is not None and len(self._known) < _MOST_KNOWN_CLASSES:
            self._known.add(cells[self._label])

    def joined(self, rows: Iterable[Sequence[str]], width: int) -> bool:
        """Whether lines that one record spans are rows of their own.

        Args:
            rows: the cells of each line read on its own, two lines or more; none where that is impossible.
            width: number of cells of the record.
        """
        if self._width < 2:
            return False
        counts = _RowCounts(self._width, self._label, self._known)
        for row in rows:
            counts.add(row)
        if self._label is None and counts.lines < _LEAST_UNLABELLED_LINES:
            return False
        right = width == self._width
        last_is_complete = counts.is_complete(counts.last)
        if right and not last_is_complete:
            return False
        if counts.is_complete(counts.first):
            return 2 * (counts.complete - 1) > counts.not_blank - 1
        if self._label is None or len(counts.first) >= self._width:
            return False
        between = counts.not_blank - _is_not_blank(counts.first) - _is_not_blank(counts.last)
        if between < _LEAST_LINES_BETWEEN or 10 * (counts.complete - last_is_complete) < 9 * between:
            return False
        names = counts.names_before_last()
        return not right or counts.last[self._label] in names or not names.isdisjoint(self._known)


class _RowCounts:
    """Lines read on their own, counted one after the other: a stray quote may join millions of them."""

    def __init__(self, width: int, label: int | None, known: Set[str]) -> None:
        self.first: Sequence[str] = ()
        self.last: Sequence[str] = ()
        self.lines = 0
        self.not_blank = 0
        self._width = width
        self._label = label
        self._known = known
        self._classes: Counter[str] = Counter()
        self._unlabelled = 0

    def add(self, row: Sequence[str]) -> None:
        self.last = row
        if not self.lines:
            self.first = row
        self.lines += 1
        self.not_blank += _is_not_blank(row)
        if len(row) == self._width:
            if self._label is None:
                self._unlabelled += self.is_complete(row)
            else:
                self._classes[row[self._label]] += 1

    @property
    def complete(self) -> int:
        """How many lines are complete rows."""
        return self._unlabelled + sum(count for name, count in self._classes.items() if self._is_class(name))

    def is_complete(self, row: Sequence[str]) -> bool:
        if len(row) != self._width:
            return False
        if self._label is None:
            return all(cell and not cell.startswith(" ") for cell in row)
        return self._is_class(row[self._label])

    def names_before_last(self) -> set[str]:
        """The classes of the complete rows before the last line."""
        before = self._classes.copy()
        if self._label is not None and len(self.last) == self._width:
            before[self.last[self._label]] -= 1
        return {name for name, count in before.items() if count and self._is_class(name)}

    def _is_class(self, name: str) -> bool:
        return bool(name) and (name in self._known or self._classes[name] > 1)


def _is_not_blank(row: Sequence[str]) -> bool:
    return row != [""]
