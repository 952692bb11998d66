"""A trained model on another file: its figures where there are labels, and drift with or without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surefit.config import ReadSettings
from surefit.data.clean import clean, encode_labels
from surefit.data.collect import ReadResult
from surefit.data.columns import NoLabelColumnError
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.decision import ABSTAINED_ID
from surefit.errors import DataError
from surefit.evaluation.intervals import confidence_intervals
from surefit.evaluation.metrics import evaluate
from surefit.evaluation.row_statistics import predicted_counts
from surefit.inference.classifier import TextClassifier, load
from surefit.progress import Progress
from surefit.runs.directory import require_run, require_writable
from surefit.runs.drift import NO_REFERENCE, drift_of
from surefit.runs.leaks import learned_warning
from surefit.runs.predict import reading_notes
from surefit.runs.rejected import read_and_list_rejected, where_rejected
from surefit.runs.seen import read_seen, unknown_account
from surefit.types import Examples, FloatArray, Int64Array, LabelSchema


def evaluate_file(
    run: Path,
    data: Path,
    options: Mapping[str, Any],
    machine: Mapping[str, Any],
    progress: Progress,
    rejected: Path | None = None,
) -> dict[str, Any]:
    """Classifies the rows of a file, compares them with those that the model was judged on, and with their labels.

    Args:
        run: a run directory, or the model directory in one.
        data: a file, labelled or not; where no label column is named or certain, it is taken as unlabelled.
        options: how to read it, as flat settings.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done, and how.
        rejected: where to write the rejected records, if anywhere.

    Returns:
        {"file", "records", "rejected", "rejected_by_reason", "leaks", "predicted", "abstained", "result", "drift"}:
        leaks {"exact": rows whose text the model was trained or its best epoch chosen on}, None where
        that is not known; predicted {class: rows}; the result as in `metrics.json`, None where there are
        no labels; drift as `surefit.evaluation.drift.DriftReport` has it, None where the model has no
        reference statistics.

    Raises:
        DataError: the file cannot be read, or has a class that the model does not know.
    """
    if rejected is not None:
        require_writable(rejected, data)
    require_run(run)
    classifier = load(run, **machine)
    schema = classifier.schema
    reading = _read(data, ReadSettings(**options), classifier.columns, rejected, progress)
    labelled = reading.examples.labels is not None
    targets = np.asarray(encode_labels(reading.examples, schema, data.name), dtype=np.int64) if labelled else None
    for note in reading_notes(reading.chosen, reading.notes, classifier.columns):
        progress.note(note)
    examples = clean(reading.examples).examples
    seen = read_seen(run)
    learned_from = int(seen.learned_from(examples).sum())
    leaks = learned_from if learned_from or seen.complete else None
    if warning := unknown_account(run) if leaks is None else learned_warning(leaks):
        progress.note(warning)
    scores, predicted = _answers(classifier, reading, progress)
    drift = drift_of(classifier.saved, examples, scores, predicted, targets, progress)
    progress.note(classifier.engine_in_words)
    if drift is None:
        progress.note(NO_REFERENCE)
    *counts, abstained = predicted_counts(predicted, len(schema)).tolist()
    return {
        "file": data.name,
        "records": reading.records,
        "rejected": len(reading.rejected),
        "rejected_by_reason": reading.rejected_by_reason(),
        "leaks": {"exact": leaks},
        "predicted": dict(zip(schema.id2label, counts, strict=True)),
        "abstained": abstained,
        "result": None if targets is None else _figures(targets, scores, predicted, examples, schema),
        "drift": None if drift is None else drift.to_dict(),
    }


def _figures(
    targets: Int64Array, scores: FloatArray, predicted: Int64Array, examples: Examples, schema: LabelSchema
) -> dict[str, Any]:
    """The figures with their intervals, as in `metrics.json`."""
    groups = near_groups(WordSets.of(examples))
    intervals = confidence_intervals(targets, scores, predicted, groups, schema)
    return evaluate(targets, scores, predicted, schema).to_dict() | {"intervals": intervals.to_dict()}


def _read(
    data: Path, settings: ReadSettings, columns: Mapping[str, str], rejected: Path | None, progress: Progress
) -> ReadResult:
    """The rows of a file, without labels where it has no column that is certain to be the label."""
    try:
        return read_and_list_rejected(data, settings, columns, rejected)
    except NoLabelColumnError as error:
        reading = read_and_list_rejected(data, settings, columns, rejected, labelled=False)
        if not len(reading.examples):
            raise DataError(f"{data}: none of the {reading.records:,} rows can be used; {where_rejected(rejected)}") from None
        progress.note(f"taken as unlabelled, so that there are no figures: {error}")
        return reading


def _answers(classifier: TextClassifier, reading: ReadResult, progress: Progress) -> tuple[FloatArray, Int64Array]:
    """Probabilities, shape (rows, classes), and predicted class ids, shape (rows,), of the rows that can be used."""
    progress.begin("evaluate", len(reading.examples))
    predictions = classifier.predict_records(reading, progress)
    progress.end()
    predictions = [predictions[record - 1] for record in reading.examples.records.tolist()]
    ids = classifier.schema.label2id
    predicted = [ABSTAINED_ID if said.abstained else ids[said.label] for said in predictions]
    return np.array([said.scores for said in predictions], dtype=np.float64), np.array(predicted, dtype=np.int64)
