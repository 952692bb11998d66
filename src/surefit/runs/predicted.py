"""Predicted rows, and the files that they are written to window by window."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from surefit.artifacts import atomic_writer, output_file
from surefit.csv_files import write_csv_rows
from surefit.errors import UsageError
from surefit.runs.directory import require_writable
from surefit.types import Prediction

_KINDS = {
    "id": pa.string(),
    "text": pa.string(),
    "text_pair": pa.string(),
    "label": pa.string(),
    "probability": pa.float64(),
    "truncated": pa.bool_(),
    "reason": pa.string(),
}
_ROW_GROUP_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """What was classified, one entry a record in the input's order, and what the model says of it.

    Attributes:
        ids: id of each record.
        texts: the text as given; empty where the record has none that could be read.
        text_pairs: the second text likewise, None where rows are single texts.
        predictions: one a record.
        classes: class names in the order of the scores.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    text_pairs: tuple[str, ...] | None
    predictions: tuple[Prediction, ...]
    classes: tuple[str, ...]

    @classmethod
    def joined(cls, windows: Iterable[PredictedRows]) -> PredictedRows:
        """The rows of all windows, at least one, as those of one."""
        parts = list(windows)
        pairs = None if parts[0].text_pairs is None else tuple(chain(*(part.text_pairs or () for part in parts)))
        return cls(
            ids=tuple(chain(*(part.ids for part in parts))),
            texts=tuple(chain(*(part.texts for part in parts))),
            text_pairs=pairs,
            predictions=tuple(chain(*(part.predictions for part in parts))),
            classes=parts[0].classes,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a table: id, text, text_pair where rows are pairs, label, probability, truncated, reason (of no label)."""
        return tuple(name for name in _KINDS if name != "text_pair" or self.text_pairs is not None)

    def cells(self) -> Iterator[tuple[object, ...]]:
        """The rows of a table with these columns."""
        given = [column for column in (self.ids, self.texts, self.text_pairs) if column is not None]
        for texts, said in zip(zip(*given, strict=True), self.predictions, strict=True):
            yield *texts, said.label, said.score, said.truncated, said.unanswered

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a row, with the probability of each class."""
        return [
            dict(zip(self.columns, cells, strict=True))
            | {"scores": dict(zip(self.classes, said.scores, strict=bool(said.scores)))}
            for cells, said in zip(self.cells(), self.predictions, strict=True)
        ]


def write_predictions(path: Path | None, windows: Iterable[PredictedRows]) -> int:
    """Writes predictions to a file in the format its name says, or as CSV to standard output.

    Args:
        path: the file, or None. It takes its name only once all is written.
        windows: at least one; they are written as they come.

    Returns:
        how many rows were written.

    Raises:
        UsageError: the name ends in none of the formats that can be written.
    """
    if path is not None:
        check_output(path)
    windows = iter(windows)
    first = next(windows)  # what is wrong with the input is said before there is a file or a directory
    ending = "" if path is None else path.suffix.lower()
    count = 0
    opened = nullcontext(sys.stdout) if path is None else atomic_writer(output_file(path), binary=ending == ".parquet")
    with opened as file, _WRITERS.get(ending, _csv_writer)(file, first) as write:
        for window in chain([first], windows):
            write(window)
            count += len(window.predictions)
    return count


def check_output(path: Path, read: Path | None = None) -> None:
    """Refuses a name that cannot be written to, before any work is done.

    Args:
        path: the file to write; its ending says in which format.
        read: the file that is read, if any.

    Raises:
        UsageError: no format has that ending, it is a directory, or it is the file that is read.
        RunError: it is a file of a run.
    """
    require_writable(path, read)
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"--output {path.name}: its name must end in one of {', '.join(_WRITERS)}")


Write = Callable[[PredictedRows], object]


@contextmanager
def _csv_writer(file: IO[str], first: PredictedRows, delimiter: str = ",") -> Iterator[Write]:
    def write(window: PredictedRows) -> None:
        rows = ([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in window.cells())
        write_csv_rows(file, rows, delimiter)
        file.flush()  # whoever reads a pipe gets a window at a time

    write_csv_rows(file, [first.columns], delimiter)
    yield write


@contextmanager
def _jsonl_writer(file: IO[str], first: PredictedRows) -> Iterator[Write]:
    yield lambda window: file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in window.to_dicts())


@contextmanager
def _parquet_writer(file: IO[bytes], first: PredictedRows) -> Iterator[Write]:
    schema = pa.schema([(name, _KINDS[name]) for name in first.columns])
    held: list[pa.RecordBatch] = []

    def write(window: PredictedRows) -> None:
        columns = list(zip(*window.cells(), strict=True)) or [()] * len(schema)
        held.append(
            pa.record_batch([pa.array(cells, kind) for cells, kind in zip(columns, schema.types, strict=True)], schema=schema)
        )
        if sum(batch.nbytes for batch in held) >= _ROW_GROUP_BYTES:
            write_row_group()

    def write_row_group() -> None:
        writer.write_table(pa.Table.from_batches(held, schema))
        held.clear()

    with pq.ParquetWriter(file, schema) as writer:
        yield write
        if held:
            write_row_group()


_WRITERS: dict[str, Callable[[IO[Any], PredictedRows], AbstractContextManager[Write]]] = {
    ".csv": _csv_writer,
    ".tsv": partial(_csv_writer, delimiter="\t"),
    ".jsonl": _jsonl_writer,
    ".ndjson": _jsonl_writer,
    ".parquet": _parquet_writer,
}
