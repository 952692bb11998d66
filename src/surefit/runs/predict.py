"""Texts or a file in, predictions out, in the input's order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from surefit.artifacts import atomic_writer, write_csv_rows
from surefit.config import ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.trained import read_as_trained
from surefit.errors import UsageError
from surefit.inference.classifier import load
from surefit.progress import Progress
from surefit.runs.directory import require_run, require_writable
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
_OUTPUTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


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

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table: id, text, text_pair where rows are pairs, label, probability, truncated, reason."""
        return tuple(name for name in _KINDS if name != "text_pair" or self.text_pairs is not None)

    def cells(self) -> Iterator[tuple[object, ...]]:
        """The rows of a table with these columns."""
        given = [column for column in (self.ids, self.texts, self.text_pairs) if column is not None]
        for texts, said in zip(zip(*given, strict=True), self.predictions, strict=True):
            yield *texts, said.label, said.score, said.truncated, said.reason

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a row, with the probability of each class."""
        return [
            dict(zip(self.columns, cells, strict=True))
            | {"scores": dict(zip(self.classes, said.scores, strict=bool(said.scores)))}
            for cells, said in zip(self.cells(), self.predictions, strict=True)
        ]


def predict_texts(run: Path, texts: Sequence[str], text_pair: str | None, machine: Mapping[str, Any]) -> PredictedRows:
    """Classifies texts given one by one; their ids are their numbers from 1.

    Args:
        run: a run directory, or the model directory in one.
        texts: what to classify.
        text_pair: the second text where `texts` is the first of a pair.
        machine: device, threads and precision where they were asked for.
    """
    require_run(run)
    classifier = load(run, **machine)
    pairs = None if text_pair is None else [text_pair]
    predictions = classifier.predict(list(texts), pairs)
    ids = tuple(str(number) for number in range(1, len(texts) + 1))
    shown_pairs = None if pairs is None else tuple(map(_writable, pairs))
    return PredictedRows(ids, tuple(map(_writable, texts)), shown_pairs, tuple(predictions), classifier.classes)


def predict_file(
    run: Path, path: Path, options: Mapping[str, Any], machine: Mapping[str, Any], progress: Progress
) -> PredictedRows:
    """Classifies the rows of a file, which need no labels; no record is dropped.

    Args:
        run: a run directory, or the model directory in one.
        path: the file.
        options: how to read it, as flat settings.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done.

    Raises:
        DataError: the file cannot be read, or its text column is not certain.
    """
    require_run(run)
    classifier = load(run, **machine)
    reading = read_as_trained(path, ReadSettings(**options), classifier.columns, labelled=False)
    for note in reading_notes(reading, classifier.columns):
        progress.note(note)
    progress.begin("predict", reading.records)
    predictions = classifier.predict_records(reading, progress)
    progress.end()
    used, others = reading.examples, reading.rejected_cells
    pairs = None if used.text_pairs is None else _by_record(reading, used.text_pairs, [cells.text_pair for cells in others])
    return PredictedRows(
        ids=_by_record(reading, used.ids, [record.id for record in reading.rejected]),
        texts=_by_record(reading, used.texts, [cells.text for cells in others]),
        text_pairs=pairs,
        predictions=tuple(predictions),
        classes=classifier.classes,
    )


def _by_record(reading: ReadResult, used: pa.Array, rejected: Sequence[str | None]) -> tuple[str, ...]:
    """A column with a cell for each record, in their order, from the cells of the used and of the rejected ones."""
    cells: dict[int, str | None] = dict(zip(reading.examples.records.tolist(), used.to_pylist(), strict=True))
    cells |= {record.record: cell for record, cell in zip(reading.rejected, rejected, strict=True)}
    return tuple(_writable(cells[record] or "") for record in range(1, reading.records + 1))


def reading_notes(reading: ReadResult, trained: Mapping[str, str]) -> list[str]:
    """What is worth saying of how a file was read.

    Args:
        reading: the file.
        trained: role -> column that the model was trained on; other columns are named.
    """
    other = [role for role, column in reading.chosen.items() if role != "id" and trained.get(role) != column]
    columns = [f"the {role.replace('_', ' ')} is read from the column {reading.chosen[role]!r}" for role in other]
    return [*columns, *reading.notes]


def _writable(text: str) -> str:
    """A text that UTF-8 can write: bytes of an argument that were no UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def write_predictions(path: Path | None, predicted: PredictedRows) -> None:
    """Writes predictions to a file in the format its name says, or as CSV to standard output.

    Raises:
        UsageError: the name ends in none of the formats that can be written.
    """
    if path is None:
        _write_delimited(sys.stdout, predicted, ",")
        return
    check_output(path)
    ending = path.suffix.lower()
    if ending == ".parquet":
        with atomic_writer(path, binary=True) as file:
            names = predicted.columns
            columns = list(zip(*predicted.cells(), strict=True)) or [()] * len(names)
            arrays = {name: pa.array(column, _KINDS[name]) for name, column in zip(names, columns, strict=True)}
            pq.write_table(pa.table(arrays), file)
        return
    with atomic_writer(path) as file:
        if ending in (".csv", ".tsv"):
            _write_delimited(file, predicted, "," if ending == ".csv" else "\t")
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in predicted.to_dicts())


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
    if path.suffix.lower() not in _OUTPUTS:
        raise UsageError(f"--output {path.name}: its name must end in one of {', '.join(_OUTPUTS)}")


def _write_delimited(file: IO[str], predicted: PredictedRows, delimiter: str) -> None:
    write_csv_rows(file, [predicted.columns], delimiter)
    rows = ([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in predicted.cells())
    write_csv_rows(file, rows, delimiter)
