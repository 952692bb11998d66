"""The records of a file that are not used, as a table to look them up by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from surefit.artifacts import write_csv
from surefit.types import Rejected

REJECTED_COLUMNS = ("record", "line", "id", "reason")


def rejected_cells(item: Rejected) -> tuple[object, ...]:
    """One rejected record as cells of `REJECTED_COLUMNS`."""
    return item.record, item.line, item.id, item.reason


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Writes the rejected records of one file as CSV, each with line and reason."""
    write_csv(path, REJECTED_COLUMNS, map(rejected_cells, rejected))
