"""What every format is to those who read it: columns that are known, and records one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from surefit.data.cells import NESTED_KINDS, UnreadableCell, text_of
from surefit.data.columns import RoleCells, Roles
from surefit.data.file_version import FileVersion
from surefit.data.reasons import SEVERAL_LABELS
from surefit.errors import SureFitError

# The line where it starts, from 1; the cells that matter as text; why it cannot be read, else empty.
RawRecord = tuple[int, RoleCells[str], str]

NO_CELLS: RoleCells[str] = RoleCells(None, None, None, None)


class RecordSource(ABC):
    """A file or a table whose records can be read again and again.

    Attributes:
        name: what it is called in messages.
        file_format: csv, tsv, jsonl, parquet, excel, frame or lines.
        columns: the names of all columns, trimmed.
        roles: which of them play a role.
        labelled: whether a record needs a label.
        notes: sentences that a reader should be told; those on single records once all were read.
        may_be_empty: whether it is no error that there are no records.
        version: of the file when it was opened; None where it is not the user's.
    """

    name = ""
    notes: tuple[str, ...] = ()
    may_be_empty = False
    version: FileVersion | None = None

    def __init__(self, file_format: str, columns: Sequence[str], roles: Roles, *, labelled: bool) -> None:
        self.file_format = file_format
        self.columns = tuple(columns)
        self.roles = roles
        self.labelled = labelled

    @property
    def chosen(self) -> dict[str, str]:
        """Role (text, text_pair, label, id) -> name of its column, for the roles there are."""
        return {role: self.columns[place] for role, place in self.roles.present.items()}

    def require_unchanged(self) -> None:
        """Refuses a file that was written to since it was opened: its records may be of no one time.

        Raises:
            DataError: it was.
        """
        if self.version is not None:
            self.version.require_same()

    @abstractmethod
    def records(self) -> Iterator[RawRecord]:
        """All records from the first on, in order.

        Raises:
            DataError: the file cannot be read further, or too much of it could not be decoded.
        """

    def typed_record(self, line: int, cells: RoleCells[Any]) -> RawRecord:
        """A record of typed cells, which become text by the rule of `surefit.data.cells`."""
        label = cells.label
        try:
            id_ = text_of(cells.id)
            if self.labelled and isinstance(label, NESTED_KINDS) and not isinstance(label, dict):
                raise UnreadableCell(SEVERAL_LABELS)
            name = text_of(label) if self.labelled else _text_if_readable(label)
            texts = text_of(cells.text), text_of(cells.text_pair)
            return line, RoleCells(*texts, name, id_, text_of(cells.group), text_of(cells.time)), ""
        except UnreadableCell as unreadable:
            return line, RoleCells(*map(_text_if_readable, cells)), unreadable.reason


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Says in each error what was being read."""
    try:
        yield
    except SureFitError as error:
        error.args = (f"{name}: {error}",)
        raise


def _text_if_readable(cell: Any) -> str | None:
    try:
        return text_of(cell)
    except UnreadableCell:
        return None
