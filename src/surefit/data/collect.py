"""Where every reader's records go: each is judged once, and used or rejected.

Used rows go into Arrow chunk by chunk, so that a million short rows cost little more than their
characters.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import merge
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from surefit.data.columns import RoleCells, shown_name
from surefit.data.ids import NumberedId
from surefit.data.reasons import MISSING_ID, MISSING_LABEL, MISSING_TIME, is_empty, reason_against_texts
from surefit.data.source import RecordSource
from surefit.errors import DataError
from surefit.normalization import is_blank, normalize_text
from surefit.types import LABELS_TYPE, TEXT_TYPE, Examples, Int64Array, Rejected

_CHUNK_ROWS = 65_536
_REMEMBERED_LABELS = 65_536

Entry = TypeVar("Entry")


class NoUsableRowsError(DataError):
    """A file has records, and none of them can be used.

    Attributes:
        rejected: all of them, in the order of the file.
    """

    def __init__(self, message: str, rejected: tuple[Rejected, ...]) -> None:
        super().__init__(message)
        self.rejected = rejected

    def advise(self, advice: str) -> None:
        """Adds to the message where the reader finds the reasons."""
        self.args = (f"{self}; {advice}",)


@dataclass(frozen=True, eq=False)
class ReadResult:
    """What a file held, or one window of it.

    Attributes:
        examples: the rows that can be used, their texts as they are in the file.
        rejected: the records that cannot be used, in the order of the file.
        rejected_cells: what could be read of each of them, so that outputs can show every record.
        records: how many records there are, each in one of the two above; their numbers count from
            the beginning of the file.
        columns: the names of all columns, trimmed.
        chosen: role (text, text_pair, label, id, group, time) -> name of its column, for the roles there are.
        file_format: csv, tsv, jsonl, parquet, excel, frame or lines.
        notes: sentences on the file that a reader should be told, none mostly; no text is quoted.
    """

    examples: Examples
    rejected: tuple[Rejected, ...]
    rejected_cells: tuple[RoleCells[str], ...]
    records: int
    columns: tuple[str, ...]
    chosen: Mapping[str, str]
    file_format: str
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.examples) + len(self.rejected) != self.records:
            raise ValueError("every record of a file must be used or rejected")

    def rejected_by_reason(self) -> dict[str, int]:
        """How many records were rejected for each reason, by falling count."""
        return dict(Counter(record.reason for record in self.rejected).most_common())

    def in_order(self, used: Sequence[Entry], rejected: Sequence[Entry]) -> list[Entry]:
        """One entry for each record, in the order of the file.

        Args:
            used: one for each row that can be used.
            rejected: one for each record that cannot.
        """
        entries = dict(zip(self.examples.records.tolist(), used, strict=True))
        entries |= {record.record: entry for record, entry in zip(self.rejected, rejected, strict=True)}
        return [entries[record] for record in sorted(entries)]

    def ids(self) -> Iterator[NumberedId]:
        """Number and id of each record that has one, in the order of the file."""
        return merge(self._used_ids(), ((record.record, record.id) for record in self.rejected if record.id))

    def _used_ids(self) -> Iterator[NumberedId]:
        ids, records = self.examples.ids, self.examples.records
        for start in range(0, len(ids), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            yield from zip(records[chunk].tolist(), ids[chunk].to_pylist(), strict=True)


class _Rows(NamedTuple):
    """Used rows on their way into Arrow: a list for each column."""

    ids: list[str | None]
    texts: list[str]
    text_pairs: list[str | None]
    labels: list[str]
    groups: list[str | None]
    times: list[str | None]

    def to_arrow(self) -> pa.Table:
        has_label = np.fromiter(map(bool, self.labels), dtype=bool, count=len(self.labels))
        offsets = pa.array(np.concatenate([[0], np.cumsum(has_label)]), pa.int64())
        names = pa.array([label for label in self.labels if label], TEXT_TYPE)
        columns = {
            "id": pa.array(self.ids, TEXT_TYPE),
            "text": pa.array(self.texts, TEXT_TYPE),
            "text_pair": pa.array(self.text_pairs, TEXT_TYPE),
            "label": pa.LargeListArray.from_arrays(offsets, names, type=LABELS_TYPE),
            "group": pa.array(self.groups, TEXT_TYPE),
            "time": pa.array(self.times, TEXT_TYPE),
        }
        return pa.table(columns)


class Collector:
    """Judges records one by one, in the order of the file, and keeps them as columns until they are taken."""

    def __init__(self, source: RecordSource) -> None:
        """Starts without records.

        Args:
            source: where they come from.

        Attributes:
            records: how many were added.
            characters: of the texts that were added and not taken yet.
        """
        self.records = 0
        self._source = source
        self._has_ids = source.roles.id is not None
        self._is_pairs = source.roles.text_pair is not None
        self._begin()

    def _begin(self) -> None:
        self._taken = self.records
        self._rejected: list[Rejected] = []
        self._rejected_cells: list[RoleCells[str]] = []
        self._rows = _Rows(*([] for _ in _Rows._fields))
        self._chunks: list[pa.Table] = []
        self._used_records = array("q")
        self._used_lines = array("q")
        self._ungrouped = 0
        self.characters = 0

    @property
    def held(self) -> int:
        """How many records were added and not taken yet."""
        return self.records - self._taken

    def add(self, line: int, cells: RoleCells[str], reason: str = "") -> None:
        """Takes one record.

        Args:
            line: line of the file, or row of the sheet, where the record starts, from 1.
            cells: the cells that matter, those that could be read. Where ids are named and a record
                that is not used has none, its id stays empty: its number could be the id of another.
            reason: why it cannot be read, else empty.
        """
        self.records += 1
        label = _class_name(cells.label)
        reason = reason or self._reason_against(cells, label)
        if reason:
            id_ = "" if is_empty(cells.id) else cells.id
            self._rejected_cells.append(cells)
            self._rejected.append(Rejected(self.records, line, reason, id_ or ("" if self._has_ids else str(self.records))))
            return
        assert cells.text is not None
        self.characters += len(cells.text) + len(cells.text_pair or "")
        self._used_records.append(self.records)
        self._used_lines.append(line)
        rows = self._rows
        rows.ids.append(cells.id)
        rows.texts.append(cells.text)
        rows.text_pairs.append(cells.text_pair)
        rows.labels.append(label)
        rows.groups.append(self._group_of(cells))
        rows.times.append(cells.time)
        if len(rows.texts) == _CHUNK_ROWS:
            self._flush()

    def take(self) -> ReadResult:
        """The records that were added since the last call."""
        source = self._source
        result = ReadResult(
            examples=self._examples(),
            rejected=tuple(self._rejected),
            rejected_cells=tuple(self._rejected_cells),
            records=self.held,
            columns=source.columns,
            chosen=source.chosen,
            file_format=source.file_format,
            notes=source.notes + self._notes(),
        )
        self._begin()
        return result

    def _reason_against(self, cells: RoleCells[str], label: str) -> str:
        reason = reason_against_texts(cells.text, cells.text_pair, pairs=self._is_pairs)
        if reason:
            return reason
        if self._source.labelled and not label:
            return MISSING_LABEL
        if self._has_ids and is_empty(cells.id):
            return MISSING_ID
        if self._source.roles.time is not None and is_empty(cells.time):
            return MISSING_TIME
        return ""

    def _group_of(self, cells: RoleCells[str]) -> str | None:
        """What a used row belongs to: empty where the cell says nothing, None where there is no such column."""
        if self._source.roles.group is None:
            return None
        if not is_empty(cells.group):
            return cells.group
        self._ungrouped += 1
        return ""

    def _notes(self) -> tuple[str, ...]:
        """What is to be said of the rows that were not taken yet."""
        if not self._ungrouped:
            return ()
        column = shown_name(self._source.chosen["group"])
        if self._ungrouped == 1:
            return (f"the column {column} is empty in 1 row, which is a group of its own",)
        return (f"the column {column} is empty in {self._ungrouped:,} rows, each of which is a group of its own",)

    def _flush(self) -> None:
        self._chunks.append(self._rows.to_arrow())
        self._rows = _Rows(*([] for _ in _Rows._fields))

    def _examples(self) -> Examples:
        self._flush()
        table = pa.concat_tables(self._chunks)
        self._chunks.clear()
        records: Int64Array = np.array(self._used_records, dtype=np.int64)
        return Examples(
            ids=_column(table, "id") if self._has_ids else pa.array(records).cast(TEXT_TYPE),
            texts=_column(table, "text"),
            text_pairs=_column(table, "text_pair") if self._is_pairs else None,
            labels=_column(table, "label") if self._source.roles.label is not None else None,
            groups=_column(table, "group") if self._source.roles.group is not None else None,
            times=_column(table, "time") if self._source.roles.time is not None else None,
            records=records,
            lines=np.array(self._used_lines, dtype=np.int64),
        )


@lru_cache(_REMEMBERED_LABELS)
def _class_name(label: str | None) -> str:
    """The label in its normal form, remembered since labels repeat."""
    return "" if label is None or is_blank(label) else normalize_text(label)


def _column(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()
