"""Texts or a file in, predictions out, in the input's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from surefit.config import ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.columns import AsTrained
from surefit.data.passes import check, windows
from surefit.data.read import open_records
from surefit.data.source import RecordSource
from surefit.data.trained import notes_as_trained
from surefit.inference.classifier import TextClassifier, load
from surefit.progress import Progress
from surefit.runs.directory import require_run
from surefit.runs.predicted import PredictedRows
from surefit.types import ABSTAINED


def predict_texts(
    run: Path, texts: Sequence[str], text_pair: str | None, machine: Mapping[str, Any], progress: Progress
) -> PredictedRows:
    """Classifies texts given one by one; their ids are their numbers from 1.

    Args:
        run: a run directory, or the model directory in one.
        texts: what to classify.
        text_pair: the second text where `texts` is the first of a pair.
        machine: device, threads and precision where they were asked for.
        progress: told how the texts were computed.
    """
    require_run(run)
    classifier = load(run, **machine)
    pairs = None if text_pair is None else [text_pair]
    predictions = classifier.predict(list(texts), pairs)
    progress.note(classifier.engine_in_words)
    ids = tuple(str(number) for number in range(1, len(texts) + 1))
    shown_pairs = None if pairs is None else tuple(map(_writable, pairs))
    return PredictedRows(ids, tuple(map(_writable, texts)), shown_pairs, tuple(predictions), classifier.classes)


def predict_file(
    run: Path, path: Path, options: Mapping[str, Any], machine: Mapping[str, Any], progress: Progress
) -> Generator[PredictedRows, None, None]:
    """Classifies the rows of a file, which need no labels; no record is dropped.

    Args:
        run: a run directory, or the model directory in one.
        path: the file.
        options: how to read it, as flat settings.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done, and how.

    Returns:
        the records window by window, in an amount of memory that does not grow with the file. All
        that can be wrong with the file is said before the first.

    Raises:
        DataError: the file cannot be read, or its text column is not certain.
    """
    require_run(run)
    classifier = load(run, **machine)
    settings = ReadSettings(**options)
    progress.begin("read", 0)
    with open_records(path, AsTrained.of(settings, classifier.columns), labelled=False) as source:
        records = check(source)
        progress.end()
        notes = notes_as_trained(source, settings, classifier.columns)
        for note in reading_notes(source.chosen, notes, classifier.columns):
            progress.note(note)
        yield from _predict_windows(classifier, source, records, progress)


def predict_lines(
    run: Path, lines: RecordSource, machine: Mapping[str, Any], progress: Progress
) -> Generator[PredictedRows, None, None]:
    """Classifies lines of text, as standard input has them; their ids are their numbers from 1.

    Args:
        run: a run directory, or the model directory in one.
        lines: the texts.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done, and how.

    Returns:
        as `predict_file`.

    Raises:
        DataError: more than 1% of the lines do not decode.
    """
    records = check(lines)
    require_run(run)
    yield from _predict_windows(load(run, **machine), lines, records, progress)


def _predict_windows(
    classifier: TextClassifier, source: RecordSource, records: int, progress: Progress
) -> Generator[PredictedRows, None, None]:
    reasons: Counter[str] = Counter()
    truncated = abstained = 0
    progress.begin("predict", records)
    for window, predictions in classifier.predict_windows(windows(source), progress):
        used, others = window.examples, window.rejected_cells
        pairs = None
        if used.text_pairs is not None:
            pairs = _column(window, used.text_pairs, [cells.text_pair for cells in others])
        yield PredictedRows(
            ids=_column(window, used.ids, [record.id for record in window.rejected]),
            texts=_column(window, used.texts, [cells.text for cells in others]),
            text_pairs=pairs,
            predictions=tuple(predictions),
            classes=classifier.classes,
        )
        reasons.update(said.reason for said in predictions if said.reason)
        truncated += sum(said.truncated for said in predictions)
        abstained += sum(said.abstained for said in predictions)
    progress.end()
    for note in (*_result_notes(reasons, abstained, truncated, classifier.max_length), classifier.engine_in_words):
        progress.note(note)


def _result_notes(reasons: Counter[str], abstained: int, truncated: int, max_length: int) -> list[str]:
    """What is worth saying of how rows were classified: rows without an answer, and texts that were not read whole."""
    notes = []
    if reasons:
        each = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        notes.append(f"rows that could not be classified: {each}; they have an empty label and the reason")
    if abstained:
        notes.append(
            f"rows that the model abstained from: {abstained:,}; they have an empty label and the reason {ABSTAINED!r}"
        )
    if truncated:
        notes.append(f"texts that were cut to the {max_length} tokens that the model reads: {truncated:,}")
    return notes


def _column(window: ReadResult, used: pa.Array, rejected: Sequence[str | None]) -> tuple[str, ...]:
    """A column with a cell for each record, in their order, from the cells of the used and of the rejected ones."""
    return tuple(_writable(cell or "") for cell in window.in_order(used.to_pylist(), rejected))


def reading_notes(chosen: Mapping[str, str], notes: Sequence[str], trained: Mapping[str, str]) -> list[str]:
    """What is worth saying of how a file was read.

    Args:
        chosen: role -> column that was read.
        notes: what the reader itself has to say.
        trained: role -> column that the model was trained on; other columns are named.
    """
    other = [role for role, column in chosen.items() if role != "id" and trained.get(role) != column]
    return [*(f"the {role.replace('_', ' ')} is read from the column {chosen[role]!r}" for role in other), *notes]


def _writable(text: str) -> str:
    """A text that UTF-8 can write: bytes of an argument that were no UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()
