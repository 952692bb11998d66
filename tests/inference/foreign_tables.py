"""Tables and columns as other libraries have them."""

from __future__ import annotations

from typing import ClassVar


class ArrowStream:
    """A table or column of another library that offers itself as an Arrow stream."""

    def __init__(self, content):
        self._content = content

    def __arrow_c_stream__(self, requested_schema=None):
        return self._content.__arrow_c_stream__(requested_schema)


class ArrowFrame(ArrowStream):
    """Such a table with columns, as polars has."""

    def __init__(self, table):
        super().__init__(table)
        self.columns = table.column_names


class ArrowColumn(ArrowStream):
    """Such a column, whose items are the texts."""

    def __iter__(self):
        return iter(self._content.to_pylist())


class ColumnsByName:
    """A table that gives its columns by name and else its rows, as a Dataset does."""

    def __init__(self, table):
        self.column_names = table.column_names
        self._table = table

    def __getitem__(self, name):
        return self._table.column(name).to_pylist()

    def __iter__(self):
        return iter(self._table.to_pylist())


class SplitsByName(dict):
    """Several tables by name, as a DatasetDict holds them."""

    column_names: ClassVar = {"train": ["text"]}


OTHER_TABLES = {
    "Arrow table": lambda table: table,
    "Arrow batch": lambda table: table.to_batches()[0],
    "Arrow stream, read once": lambda table: table.to_reader(),
    "other table with a stream": ArrowStream,
    "other table with columns": ArrowFrame,
    "columns by name": ColumnsByName,
}
