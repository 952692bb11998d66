"""A trained model on another labelled file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surefit.config import ReadSettings, Settings
from surefit.data.clean import encode_labels
from surefit.errors import DataError
from surefit.evaluation.metrics import evaluate
from surefit.inference.classifier import load
from surefit.progress import Progress
from surefit.runs.rows import read_source


def evaluate_file(
    run: Path, data: Path, read: Mapping[str, Any], machine: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Classifies the labelled rows of a file and compares with their labels.

    Args:
        run: a run directory, or the model directory in one.
        data: a labelled file.
        read: how to read it, as flat settings.
        machine: device, threads and precision where they were asked for.
        progress: told how many rows are done.

    Returns:
        {"file", "records", "rejected", "result"}, the result as in `metrics.json`.

    Raises:
        DataError: the file cannot be read, or has a class that the model does not know.
    """
    classifier = load(run, **machine)
    reading = read_source(data, Settings(read=ReadSettings(**read)))
    targets = encode_labels(reading.examples, classifier.schema, data.name)
    progress.note(f"texts are read from the column {reading.chosen['text']!r}, labels from {reading.chosen['label']!r}")
    progress.begin("evaluate", len(reading.examples))
    pairs = None if reading.examples.text_pairs is None else reading.examples.text_pairs.to_pylist()
    predictions = classifier.predict(reading.examples.texts.to_pylist(), pairs)
    progress.end()
    if not all(prediction.labels for prediction in predictions):
        raise DataError(f"{data.name} has rows that cannot be classified")
    ids = classifier.schema.label2id
    predicted = np.array([ids[prediction.label] for prediction in predictions], dtype=np.int64)
    scores = np.array([prediction.scores for prediction in predictions], dtype=np.float64)
    result = evaluate(np.asarray(targets, dtype=np.int64), scores, predicted, classifier.schema)
    return {"file": data.name, "records": reading.records, "rejected": len(reading.rejected), "result": result.to_dict()}
