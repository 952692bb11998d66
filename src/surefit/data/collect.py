"""Where every reader puts its records: each is judged once, and used or rejected.

Used rows go into Arrow chunk by chunk, so that a million short rows cost little more than their
characters.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from surefit.data.cells import NESTED_KINDS, UnreadableCell, text_of
from surefit.data.columns import RoleCells, Roles, shown_name
from surefit.data.reasons import (
    MISSING_ID,
    MISSING_LABEL,
    SEVERAL_LABELS,
    TOO_FEW_CELLS,
    TOO_MANY_CELLS,
    is_empty,
    reason_against_texts,
)
from surefit.errors import DataError
from surefit.normalization import is_blank, normalize_text
from surefit.types import LABELS_TYPE, TEXT_TYPE, Examples, Int64Array, Rejected

_CHUNK_ROWS = 65_536
_NO_CELLS: RoleCells[str] = RoleCells(None, None, None, None)


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
    """What a file held.

    Attributes:
        examples: the rows that can be used, their texts as they are in the file.
        rejected: the records that cannot be used, in the order of the file.
        rejected_cells: what could be read of each of them, so that outputs can show every record.
        records: how many records the file holds, each in one of the two above.
        columns: the names of all columns, trimmed.
        chosen: role (text, text_pair, label, id) -> name of its column, for the roles there are.
        file_format: csv, tsv, jsonl, parquet, excel or frame.
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


class _Rows(NamedTuple):
    """Used rows on their way into Arrow: a list for each column."""

    ids: list[str | None]
    texts: list[str]
    text_pairs: list[str | None]
    labels: list[str]

    def to_arrow(self) -> pa.Table:
        has_label = np.fromiter(map(bool, self.labels), dtype=bool, count=len(self.labels))
        offsets = pa.array(np.concatenate([[0], np.cumsum(has_label)]), pa.int64())
        names = pa.array([label for label in self.labels if label], TEXT_TYPE)
        columns = {
            "id": pa.array(self.ids, TEXT_TYPE),
            "text": pa.array(self.texts, TEXT_TYPE),
            "text_pair": pa.array(self.text_pairs, TEXT_TYPE),
            "label": pa.LargeListArray.from_arrays(offsets, names, type=LABELS_TYPE),
        }
        return pa.table(columns)


class Collector:
    """Judges records one by one, in the order of the file, and keeps them as columns."""

    def __init__(self, columns: Sequence[str], roles: Roles, *, labelled: bool) -> None:
        """Starts without records.

        Args:
            columns: the names of all columns.
            roles: which of them play a role.
            labelled: whether a record without a label is rejected.
        """
        self.records = 0
        self._columns = tuple(columns)
        self._roles = roles
        self._has_ids = roles.id is not None
        self._labelled = labelled
        self._rejected: list[Rejected] = []
        self._rejected_cells: list[RoleCells[str]] = []
        self._rejected_with_id: list[Rejected] = []
        self._labels: dict[str, str] = {}
        self._rows = _Rows([], [], [], [])
        self._chunks: list[pa.Table] = []
        self._used_records = array("q")
        self._used_lines = array("q")

    def add(self, line: int, cells: RoleCells[str]) -> None:
        """Takes one record whose cells could be read.

        Args:
            line: line of the file, or row of the sheet, where the record starts, from 1.
            cells: the cells that matter, as text.
        """
        label = self._label(cells.label)
        reason = self._reason_against(cells, label)
        if reason:
            self.reject(line, reason, cells)
            return
        assert cells.text is not None
        self.records += 1
        self._used_records.append(self.records)
        self._used_lines.append(line)
        rows = self._rows
        rows.ids.append(cells.id)
        rows.texts.append(cells.text)
        rows.text_pairs.append(cells.text_pair)
        rows.labels.append(label)
        if len(rows.texts) == _CHUNK_ROWS:
            self._flush()

    def add_typed(self, line: int, cells: RoleCells[Any]) -> None:
        """Takes one record of typed cells, which become text by the rule of `surefit.data.cells`."""
        label = cells.label
        try:
            id_ = text_of(cells.id)
            if self._labelled and isinstance(label, NESTED_KINDS) and not isinstance(label, dict):
                raise UnreadableCell(SEVERAL_LABELS)
            texts = RoleCells(text_of(cells.text), text_of(cells.text_pair), self._label_text(label), id_)
        except UnreadableCell as unreadable:
            self.reject(line, unreadable.reason, RoleCells(*map(_text_if_readable, cells)))
        else:
            self.add(line, texts)

    def reject(self, line: int, reason: str, cells: RoleCells[str] = _NO_CELLS) -> None:
        """Takes one record that cannot be used.

        Args:
            line: where it starts.
            reason: one of the phrases of `surefit.data.reasons`.
            cells: those that could be read. Where ids are named and it has none, its id stays empty:
                its number could be the id of another.
        """
        self.records += 1
        self._rejected_cells.append(cells)
        id_ = None if is_empty(cells.id) else cells.id
        self._rejected.append(Rejected(self.records, line, reason, id_ or ("" if self._has_ids else str(self.records))))
        if id_:
            self._rejected_with_id.append(self._rejected[-1])

    def result(self, file_format: str, notes: tuple[str, ...] = ()) -> ReadResult:
        """All records as columns.

        Args:
            file_format: csv, tsv, jsonl, parquet, excel or frame.
            notes: sentences on the file.

        Raises:
            NoUsableRowsError: labels are needed and no record can be used.
            DataError: there are no records, or two have one id.
        """
        if not self.records:
            raise DataError("the file names its columns and has no rows")
        examples = self._examples()
        result = ReadResult(
            examples=examples,
            rejected=tuple(self._rejected),
            rejected_cells=tuple(self._rejected_cells),
            records=self.records,
            columns=self._columns,
            chosen={role: self._columns[place] for role, place in self._roles.present.items()},
            file_format=file_format,
            notes=notes,
        )
        if self._labelled and not len(examples):
            raise _nothing_usable(result)
        if self._roles.id is not None:
            _require_unique_ids(examples, self._rejected_with_id, shown_name(self._columns[self._roles.id]))
        return result

    def _label(self, label: str | None) -> str:
        """The class name: the label in its normal form, remembered since labels repeat."""
        if label is None:
            return ""
        known = self._labels.get(label)
        if known is None:
            known = self._labels[label] = "" if is_blank(label) else normalize_text(label)
        return known

    def _label_text(self, label: Any) -> str | None:
        try:
            return text_of(label)
        except UnreadableCell:
            if self._labelled:
                raise
            return None

    def _reason_against(self, cells: RoleCells[str], label: str) -> str:
        reason = reason_against_texts(cells.text, cells.text_pair, pairs=self._roles.text_pair is not None)
        if reason:
            return reason
        if self._labelled and not label:
            return MISSING_LABEL
        if self._has_ids and is_empty(cells.id):
            return MISSING_ID
        return ""

    def _flush(self) -> None:
        self._chunks.append(self._rows.to_arrow())
        self._rows = _Rows([], [], [], [])

    def _examples(self) -> Examples:
        self._flush()
        table = pa.concat_tables(self._chunks)
        self._chunks.clear()
        records: Int64Array = np.array(self._used_records, dtype=np.int64)
        return Examples(
            ids=_column(table, "id") if self._has_ids else pa.array(records).cast(TEXT_TYPE),
            texts=_column(table, "text"),
            text_pairs=_column(table, "text_pair") if self._roles.text_pair is not None else None,
            labels=_column(table, "label") if self._roles.label is not None else None,
            records=records,
            lines=np.array(self._used_lines, dtype=np.int64),
        )


def _column(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def _text_if_readable(cell: Any) -> str | None:
    try:
        return text_of(cell)
    except UnreadableCell:
        return None


def _nothing_usable(result: ReadResult) -> NoUsableRowsError:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in result.rejected_by_reason().items())
    first = result.rejected[0].line
    advice = ""
    if result.rejected_by_reason().keys() <= {TOO_FEW_CELLS, TOO_MANY_CELLS}:
        advice = f"; the header has {len(result.columns)} columns: check --delimiter, --quote and the header"
    sentence = f"none of the {result.records:,} rows can be used ({counts}), the first of them in line {first}{advice}"
    return NoUsableRowsError(sentence, result.rejected)


def _require_unique_ids(examples: Examples, rejected: Sequence[Rejected], column: str) -> None:
    """Compares the ids of all records, those of rejected records that have one included."""
    ids = pa.concat_arrays([examples.ids, pa.array([record.id for record in rejected], TEXT_TYPE)])
    records = np.concatenate([examples.records, np.array([record.record for record in rejected], dtype=np.int64)])
    codes = ids.dictionary_encode().indices.to_numpy()[np.argsort(records)]
    records.sort()
    _, first = np.unique(codes, return_index=True)
    if len(first) == len(codes):
        return
    again = np.setdiff1d(np.arange(len(codes)), first)[0]
    before = first[codes[again]]
    raise DataError(
        f"rows {records[before]:,} and {records[again]:,} have the same id in column {column}; "
        "--id needs a column without repeats"
    )
