"""Texts or a file in, predictions out, in the input's order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from surefit.artifacts import atomic_writer, require_other_file, write_csv_rows
from surefit.config import ReadSettings
from surefit.data.read import ReadResult, read
from surefit.errors import UsageError
from surefit.inference.classifier import load
from surefit.progress import Progress
from surefit.types import Prediction

_COLUMNS = ("id", "text", "label", "probability", "truncated", "reason")
_OUTPUTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, eq=False)
class InputRows:
    """What is to be classified, one entry a record.

    Attributes:
        ids: id of each record.
        texts: the text as given; empty where the record has none.
        reading: the records as read from a file, or None where they came as texts.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    reading: ReadResult | None


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """The rows and what the model says of each.

    Attributes:
        rows: what was classified.
        predictions: one a record, in the input's order.
        classes: class names in the order of the scores.
    """

    rows: InputRows
    predictions: tuple[Prediction, ...]
    classes: tuple[str, ...]

    def cells(self) -> Iterator[tuple[object, ...]]:
        """The rows of a table with the columns id, text, label, probability, truncated, reason."""
        for row_id, text, said in zip(self.rows.ids, self.rows.texts, self.predictions, strict=True):
            yield row_id, text, said.label, said.score, said.truncated, said.reason

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a row, with the probability of each class."""
        return [
            dict(zip(_COLUMNS, cells, strict=True)) | {"scores": dict(zip(self.classes, said.scores, strict=bool(said.scores)))}
            for cells, said in zip(self.cells(), self.predictions, strict=True)
        ]


def read_texts(texts: Sequence[str]) -> InputRows:
    """Texts given one by one; their ids are their numbers from 1."""
    return InputRows(tuple(str(number) for number in range(1, len(texts) + 1)), tuple(texts), None)


def read_file(path: Path, options: Mapping[str, Any]) -> InputRows:
    """Reads a file whose rows need no labels; no record is dropped.

    Raises:
        DataError: the file cannot be read, or its text column is not certain.
    """
    reading = read(path, ReadSettings(**options), labelled=False)
    ids = {rejected.record: rejected.id for rejected in reading.rejected}
    ids |= dict(zip(reading.examples.records.tolist(), reading.examples.ids.to_pylist(), strict=True))
    texts = dict(zip(reading.examples.records.tolist(), reading.examples.texts.to_pylist(), strict=True))
    records = range(1, reading.records + 1)
    return InputRows(tuple(ids[record] for record in records), tuple(texts.get(record, "") for record in records), reading)


def predict_rows(run: Path, rows: InputRows, machine: Mapping[str, Any], progress: Progress) -> PredictedRows:
    """Classifies all rows with a trained model.

    Args:
        run: a run directory, or the model directory in one.
        rows: what to classify.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done.
    """
    classifier = load(run, **machine)
    if rows.reading is not None:
        progress.note(f"texts are read from the column {rows.reading.chosen['text']!r}")
    progress.begin("predict", len(rows.ids))
    if rows.reading is not None:
        predictions = classifier.predict_records(rows.reading, progress)
    else:
        predictions = classifier.predict(list(rows.texts))
    progress.end()
    shown = replace(rows, texts=tuple(_writable(text) for text in rows.texts))
    return PredictedRows(shown, tuple(predictions), classifier.classes)


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
            columns = list(zip(*predicted.cells(), strict=True)) or [()] * len(_COLUMNS)
            kinds = (pa.string(), pa.string(), pa.string(), pa.float64(), pa.bool_(), pa.string())
            arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
            pq.write_table(pa.table(dict(zip(_COLUMNS, arrays, strict=True))), file)
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
    """
    if read is not None:
        require_other_file(path, read)
    if path.is_dir():
        raise UsageError(f"--output {path} is a directory; name a file")
    if path.suffix.lower() not in _OUTPUTS:
        raise UsageError(f"--output {path.name}: its name must end in one of {', '.join(_OUTPUTS)}")


def _write_delimited(file: IO[str], predicted: PredictedRows, delimiter: str) -> None:
    write_csv_rows(file, [_COLUMNS], delimiter)
    rows = ([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in predicted.cells())
    write_csv_rows(file, rows, delimiter)
