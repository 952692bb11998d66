"""Parquet files and Arrow tables, batch by batch and only the columns that matter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from surefit.config import ReadSettings
from surefit.data.collect import Collector, ReadResult
from surefit.data.columns import RoleCells, Roles, choose_columns
from surefit.errors import DataError
from surefit.normalization import normalize_text

_BATCH_ROWS = 16_384
_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)


def read_parquet(content: bytes, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    """Reads a Parquet file.

    Args:
        content: the whole file.
        settings: columns.
        labelled: whether a label is needed.

    Raises:
        DataError: the file is damaged, or its columns cannot be used.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        roles, collector = _start(names, settings, labelled=labelled)
        wanted = roles.picker()(names)
        for batch in file.iter_batches(_BATCH_ROWS, columns=[name for name in wanted if name is not None]):
            _add(collector, RoleCells(*(None if name is None else batch.column(name) for name in wanted)))
    except _ARROW_ERRORS as error:
        raise DataError(f"the Parquet file is damaged or of a kind that cannot be read ({type(error).__name__})") from None
    return collector.result("parquet")


def read_table(table: pa.Table, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    """Reads an Arrow table in memory.

    Args:
        table: the rows.
        settings: columns.
        labelled: whether a label is needed.

    Raises:
        DataError: the columns cannot be used.
    """
    roles, collector = _start(table.column_names, settings, labelled=labelled)
    pick = roles.picker()
    try:
        for batch in table.to_batches(_BATCH_ROWS):
            _add(collector, pick(batch.columns))
    except _ARROW_ERRORS as error:
        raise DataError(f"the table holds values that cannot be read ({type(error).__name__})") from None
    return collector.result("frame")


def _start(names: Sequence[str], settings: ReadSettings, *, labelled: bool) -> tuple[Roles, Collector]:
    columns = [normalize_text(name) for name in names]
    roles = choose_columns(columns, settings, labelled=labelled)
    return roles, Collector(columns, roles, labelled=labelled)


def _add(collector: Collector, columns: RoleCells[pa.Array]) -> None:
    values = (repeat(None) if column is None else _values(column) for column in columns)
    for row in zip(*values, strict=False):  # absent columns repeat for ever, and the text ends it
        collector.add_typed(collector.records + 1, RoleCells(*row))


def _values(column: pa.Array) -> Any:
    """The values of an Arrow column, one by one, such as `surefit.data.cells.text_of` takes."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return column.to_numpy(zero_copy_only=False)  # keeps the width, so that 0.1 stays 0.1
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _strings(column)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        column = _without_nanoseconds(column)
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):  # a date beyond the years 1 to 9999 that Python knows
        return column.cast(pa.string()).to_pylist()


def _strings(column: pa.Array) -> Any:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return column.cast(pa.large_binary()).to_pylist()  # single cells are not UTF-8
    return column.to_pylist()


def _without_nanoseconds(column: pa.Array) -> pa.Array:
    """Python's times know microseconds."""
    kind = column.type
    if getattr(kind, "unit", "us") != "ns":
        return column
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"), safe=False)
