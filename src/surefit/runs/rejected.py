"""The records of a file that are not used, as a table to look them up by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from surefit.artifacts import output_file
from surefit.config import ReadSettings
from surefit.csv_files import write_csv
from surefit.data.collect import NoUsableRowsError, ReadResult
from surefit.data.trained import read_as_trained
from surefit.types import Rejected

REJECTED_COLUMNS = ("record", "line", "id", "reason")


def rejected_cells(item: Rejected) -> tuple[object, ...]:
    """One rejected record as cells of `REJECTED_COLUMNS`."""
    return item.record, item.line, item.id, item.reason


def where_rejected(listed: Path | None) -> str:
    """Where a reader finds the rejected records of a file, if they were listed or not."""
    where = f"is in {listed}" if listed else "is written by --rejected FILE"
    return f"each rejected record {where}, with line and reason"


def read_and_list_rejected(
    data: Path, settings: ReadSettings, columns: Mapping[str, str], rejected: Path | None, *, labelled: bool = True
) -> ReadResult:
    """Reads a file and lists its rejected records, also where there are no others.

    Args:
        data: the file.
        settings: how it is read.
        columns: role -> column that a model was trained on; empty where there is none.
        rejected: the CSV file to list them in, if any.
        labelled: whether each row needs a label.

    Raises:
        NoUsableRowsError: no record can be used; the message says where the reasons are.
        DataError: the file cannot be read.
    """
    try:
        reading = read_as_trained(data, settings, columns, labelled=labelled)
    except NoUsableRowsError as error:
        _list_rejected(rejected, error.rejected)
        error.advise(where_rejected(rejected))
        raise
    _list_rejected(rejected, reading.rejected)
    return reading


def _list_rejected(path: Path | None, rejected: Iterable[Rejected]) -> None:
    if path is not None:
        write_csv(output_file(path), REJECTED_COLUMNS, map(rejected_cells, rejected))
