"""A trained model on another labelled file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surefit.config import ReadSettings
from surefit.data.clean import clean, encode_labels
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.decision import ABSTAINED_ID
from surefit.evaluation.intervals import confidence_intervals
from surefit.evaluation.metrics import evaluate
from surefit.inference.classifier import load
from surefit.progress import Progress
from surefit.runs.directory import require_run, require_writable
from surefit.runs.leaks import learned_warning
from surefit.runs.predict import reading_notes
from surefit.runs.rejected import read_and_list_rejected
from surefit.runs.seen import read_seen, unknown_account


def evaluate_file(
    run: Path,
    data: Path,
    options: Mapping[str, Any],
    machine: Mapping[str, Any],
    progress: Progress,
    rejected: Path | None = None,
) -> dict[str, Any]:
    """Classifies the labelled rows of a file and compares with their labels.

    Args:
        run: a run directory, or the model directory in one.
        data: a labelled file.
        options: how to read it, as flat settings.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done, and how.
        rejected: where to write the rejected records, if anywhere.

    Returns:
        {"file", "records", "rejected", "rejected_by_reason", "leaks", "result"}, the result as in
        `metrics.json`; leaks {"exact": rows whose text the model was trained or its best epoch
        chosen on}, None where that is not known.

    Raises:
        DataError: the file cannot be read, or has a class that the model does not know.
    """
    if rejected is not None:
        require_writable(rejected, data)
    require_run(run)
    classifier = load(run, **machine)
    reading = read_and_list_rejected(data, ReadSettings(**options), classifier.columns, rejected)
    targets = encode_labels(reading.examples, classifier.schema, data.name)
    for note in reading_notes(reading.chosen, reading.notes, classifier.columns):
        progress.note(note)
    seen = read_seen(run)
    cleaned = clean(reading.examples).examples
    learned_from = seen.learned_from(cleaned)
    leaks = learned_from if learned_from or seen.complete else None
    if warning := unknown_account(run) if leaks is None else learned_warning(leaks):
        progress.note(warning)
    progress.begin("evaluate", len(reading.examples))
    predictions = classifier.predict_records(reading, progress)
    progress.end()
    progress.note(classifier.engine_in_words)
    predictions = [predictions[record - 1] for record in reading.examples.records.tolist()]
    ids = classifier.schema.label2id
    predicted = np.array([ABSTAINED_ID if said.abstained else ids[said.label] for said in predictions], dtype=np.int64)
    scores = np.array([prediction.scores for prediction in predictions], dtype=np.float64)
    right, groups = np.asarray(targets, dtype=np.int64), near_groups(WordSets.of(cleaned))
    result = evaluate(right, scores, predicted, classifier.schema)
    intervals = confidence_intervals(right, scores, predicted, groups, classifier.schema)
    return {
        "file": data.name,
        "records": reading.records,
        "rejected": len(reading.rejected),
        "rejected_by_reason": reading.rejected_by_reason(),
        "leaks": {"exact": leaks},
        "result": result.to_dict() | {"intervals": intervals.to_dict()},
    }
