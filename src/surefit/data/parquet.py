"""Parquet files and Arrow tables, batch by batch and only the columns that matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from surefit.config import ReadSettings
from surefit.data.columns import RoleCells, choose_columns
from surefit.data.source import RawRecord, RecordSource
from surefit.errors import DataError
from surefit.normalization import normalize_text

_BATCH_ROWS = 4096
_BUFFER_BYTES = 2**20
_DAMAGED = "the Parquet file is damaged or of a kind that cannot be read"
_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)


class ParquetRecords(RecordSource):
    """The records of a Parquet file."""

    def __init__(self, file: BinaryIO, settings: ReadSettings, *, labelled: bool) -> None:
        """Finds the columns.

        Args:
            file: open for as long as records are read.
            settings: columns.
            labelled: whether a label is needed.

        Raises:
            DataError: the file is damaged, or its columns cannot be used.
        """
        with _arrow_errors(_DAMAGED):
            # Through a buffer, since the columns of one row group may be as large as the file.
            self._file = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES)
            names = self._file.schema_arrow.names
        columns = [normalize_text(name) for name in names]
        roles = choose_columns(columns, settings, labelled=labelled)
        self._wanted = roles.picker()(names)
        super().__init__("parquet", columns, roles, labelled=labelled)

    def records(self) -> Iterator[RawRecord]:
        wanted = self._wanted
        with _arrow_errors(_DAMAGED):
            batches = self._file.iter_batches(_BATCH_ROWS, columns=[name for name in wanted if name is not None])
            columns = (RoleCells(*(None if name is None else batch.column(name) for name in wanted)) for batch in batches)
            yield from _records(self, columns)


class TableRecords(RecordSource):
    """The rows of an Arrow table in memory; the line of a row is its number from 1."""

    def __init__(self, table: pa.Table, settings: ReadSettings, *, labelled: bool) -> None:
        """Finds the columns.

        Args:
            table: the rows.
            settings: columns.
            labelled: whether a label is needed.

        Raises:
            DataError: the columns cannot be used.
        """
        self._table = table
        columns = [normalize_text(name) for name in table.column_names]
        super().__init__("frame", columns, choose_columns(columns, settings, labelled=labelled), labelled=labelled)

    def records(self) -> Iterator[RawRecord]:
        pick: Callable[[Sequence[pa.Array]], RoleCells[pa.Array]] = self.roles.picker()
        with _arrow_errors("the table holds values that cannot be read"):
            yield from _records(self, (pick(batch.columns) for batch in self._table.to_batches(_BATCH_ROWS)))


@contextmanager
def _arrow_errors(sentence: str) -> Iterator[None]:
    try:
        yield
    except _ARROW_ERRORS as error:
        raise DataError(f"{sentence} ({type(error).__name__})") from None


def _records(source: RecordSource, batches: Iterable[RoleCells[pa.Array]]) -> Iterator[RawRecord]:
    record = 0
    for columns in batches:
        values = (repeat(None) if column is None else _values(column) for column in columns)
        for row in zip(*values, strict=False):  # absent columns repeat for ever, and the text ends it
            record += 1
            yield source.typed_record(record, RoleCells(*row))


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
