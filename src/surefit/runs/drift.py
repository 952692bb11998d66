"""The rows that a run is judged on, kept as statistics, and later rows compared with them."""

from __future__ import annotations

import numpy as np

from surefit.data.clean import Targets
from surefit.evaluation.drift import DriftReport, compare
from surefit.evaluation.row_statistics import ReferenceStatistics, sampled_rows
from surefit.inference.drift import row_statistics
from surefit.model.saved import SavedClassifier
from surefit.progress import Progress
from surefit.runs.job import Job
from surefit.runs.results import Judged
from surefit.runs.tokens import encode_examples
from surefit.types import Examples, FloatArray, Int64Array

NO_REFERENCE = (
    "whether these rows are like those that the model was judged on is not known: it was saved without reference statistics; "
    "train it again to have them"
)


def reference_of(job: Job, judged: Judged, progress: Progress) -> ReferenceStatistics:
    """The statistics of a run's test rows, of a sample where they are many.

    Args:
        job: its classifier is trained.
        judged: the answers to the test rows.
        progress: told how many rows are described.
    """
    rows = sampled_rows(len(judged.predicted))
    progress.begin("reference", len(rows))
    statistics = row_statistics(
        job.pretrained.classifier,
        job.pretrained.tokenizer,
        [job.encoded.splits["test"][row] for row in rows],
        judged.probabilities[rows],
        judged.predicted[rows],
        np.asarray(job.rows.splits["test"].targets, dtype=np.int64)[rows],
        progress,
    )
    progress.end()
    return ReferenceStatistics.of(statistics, len(job.rows.schema))


def drift_of(
    saved: SavedClassifier,
    examples: Examples,
    probabilities: FloatArray,
    predicted: Int64Array,
    targets: Targets | None,
    progress: Progress,
) -> DriftReport | None:
    """How rows stand to those that a model was judged on; of many rows, a sample is looked at.

    Args:
        saved: the model, prepared.
        examples: the cleaned rows, at least one.
        probabilities: shape (rows, classes).
        predicted: class ids, shape (rows,).
        targets: the true class ids, shape (rows,), where they are known.
        progress: told how many rows are described.

    Returns:
        None where the model has no reference.
    """
    if saved.reference is None:
        return None
    rows = sampled_rows(len(examples))
    progress.begin("drift", len(rows))
    statistics = row_statistics(
        saved.classifier,
        saved.tokenizer,
        encode_examples(examples.take(rows), saved.tokenizer, Progress()),
        probabilities[rows],
        predicted[rows],
        None if targets is None else np.asarray(targets, dtype=np.int64)[rows],
        progress,
    )
    progress.end()
    return compare(saved.reference, statistics, saved.schema)
