"""Tables in memory: pandas DataFrames, Arrow tables, and whatever offers itself as an Arrow stream.

None of their libraries is imported: a frame is known by what it can do.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import pyarrow as pa

from surefit.config import ReadSettings
from surefit.data.collect import Collector, ReadResult
from surefit.data.columns import RoleCells, choose_columns
from surefit.data.parquet import read_table
from surefit.errors import DataError, UsageError
from surefit.normalization import normalize_text


def read_any_frame(frame: Any, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    """Reads a table in memory.

    Args:
        frame: a pandas DataFrame, an Arrow table, or an object with `__arrow_c_stream__`, as polars
            and others have.
        settings: columns.
        labelled: whether a label is needed.

    Raises:
        DataError: the columns cannot be used.
        UsageError: it is no table.
    """
    if isinstance(frame, pa.Table):
        return read_table(frame, settings, labelled=labelled)
    if hasattr(frame, "iloc") and hasattr(frame, "columns"):
        return _read_pandas(frame, settings, labelled=labelled)
    if hasattr(frame, "__arrow_c_stream__"):
        return read_table(_as_table(frame), settings, labelled=labelled)
    raise UsageError(f"{type(frame).__name__} is no table; give a pandas DataFrame, an Arrow table or a file")


def _as_table(frame: Any) -> pa.Table:
    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"it cannot become an Arrow table ({type(error).__name__})") from None


def _read_pandas(frame: Any, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    columns = [normalize_text(str(name)) for name in frame.columns]
    roles = choose_columns(columns, settings, labelled=labelled)
    collector = Collector(columns, roles, labelled=labelled)
    places = roles.picker()(range(len(columns)))
    values = (repeat(None) if place is None else _values(frame.iloc[:, place]) for place in places)
    for row in zip(*values, strict=False):  # absent columns repeat for ever, and the text ends it
        collector.add_typed(collector.records + 1, RoleCells(*row))
    return collector.result("frame")


def _values(series: Any) -> Iterable[Any]:
    """The values of a pandas column, None for NaN, NaT, NA and None alike."""
    return (None if missing else value for value, missing in zip(series, series.isna(), strict=True))
