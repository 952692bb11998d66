"""Tables in memory: pandas DataFrames, Arrow tables, and whatever offers itself as an Arrow stream.

None of their libraries is imported: a frame is known by what it can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import pyarrow as pa

from surefit.config import ReadSettings
from surefit.data.columns import RoleCells, choose_columns
from surefit.data.parquet import TableRecords
from surefit.data.source import RawRecord, RecordSource
from surefit.errors import DataError, UsageError
from surefit.normalization import normalize_text

_ARROW_ERRORS = (pa.ArrowException, OSError, TypeError, ValueError)


def frame_records(frame: Any, settings: ReadSettings, *, labelled: bool) -> RecordSource:
    """The rows of a table in memory.

    Args:
        frame: anything that `as_table` knows for a table.
        settings: columns.
        labelled: whether a label is needed.

    Raises:
        DataError: the columns cannot be used.
        UsageError: it is no table.
    """
    table = as_table(frame)
    if table is None:
        raise UsageError(f"{type(frame).__name__} is no table; give a pandas DataFrame, an Arrow table or a file")
    kind = TableRecords if isinstance(table, pa.Table) else _PandasRecords
    return kind(table, settings, labelled=labelled)


def as_table(value: Any) -> Any:
    """A table in memory in one of two forms, both of which can be read again and again.

    Args:
        value: a pandas DataFrame, an Arrow table, an object with `__arrow_c_stream__`, as polars
            and others have, one with `column_names` whose columns are its items, as a
            `datasets.Dataset`; or something else.

    Returns:
        a pandas DataFrame as it is, any other table as an Arrow table; None for what is no table,
        such as a column alone.

    Raises:
        DataError: it is a table and its rows cannot be read.
    """
    if isinstance(value, pa.Table):
        return value
    if hasattr(value, "iloc"):  # pandas; a Series has no columns
        return value if hasattr(value, "columns") else None
    try:
        if hasattr(value, "__arrow_c_stream__"):
            stream = _stream_of_rows(value)
            return None if stream is None else stream.read_all()
        names = getattr(value, "column_names", None)
        if isinstance(names, list) and hasattr(value, "__getitem__"):
            return pa.table({name: list(value[name]) for name in names})
    except _ARROW_ERRORS as error:
        raise DataError(f"the rows of the table cannot be read ({type(error).__name__})") from None
    return None


def _stream_of_rows(value: Any) -> pa.RecordBatchReader | None:
    """The stream that an object offers; none where it is one of single values, as of a column."""
    try:
        return pa.RecordBatchReader.from_stream(value)
    except _ARROW_ERRORS:
        return None


class _PandasRecords(RecordSource):
    """The rows of a pandas DataFrame."""

    def __init__(self, frame: Any, settings: ReadSettings, *, labelled: bool) -> None:
        self._frame = frame
        columns = [normalize_text(str(name)) for name in frame.columns]
        super().__init__("frame", columns, choose_columns(columns, settings, labelled=labelled), labelled=labelled)

    def records(self) -> Iterator[RawRecord]:
        places = self.roles.picker()(range(len(self.columns)))
        values = (repeat(None) if place is None else _values(self._frame.iloc[:, place]) for place in places)
        # Absent columns repeat for ever, and the text ends it.
        for record, row in enumerate(zip(*values, strict=False), start=1):
            yield self.typed_record(record, RoleCells(*row))


def _values(series: Any) -> Iterable[Any]:
    """The values of a pandas column, None for NaN, NaT, NA and None alike."""
    return (None if missing else value for value, missing in zip(series, series.isna(), strict=True))
