"""What the trained model, and simpler ones, make of rows they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.data.clean import BoolArray
from surefit.data.split import SPLIT_NAMES, SplitName
from surefit.decision import decide, probabilities
from surefit.evaluation.baselines import (
    EMBEDDING_LOGISTIC_REGRESSION,
    MAJORITY_CLASS,
    TFIDF_LOGISTIC_REGRESSION,
    Baseline,
    LabelledEmbeddings,
    LabelledExamples,
    fit_baselines,
)
from surefit.evaluation.comparison import PairedComparison, compare
from surefit.evaluation.intervals import EvaluationIntervals, confidence_intervals
from surefit.evaluation.metrics import EvaluationResult, evaluate
from surefit.runs.split import SplitRows
from surefit.types import DecisionRule, FloatArray, Int64Array, LabelSchema


@dataclass(frozen=True, eq=False)
class Judged:
    """A model's answers to labelled rows, and how good they are.

    Attributes:
        probabilities: shape (n, classes).
        predicted: class ids, shape (n,), -1 where the model abstains, or 0/1 for each class, shape (n, classes).
        result: the figures.
        intervals: of the figures.
    """

    probabilities: FloatArray
    predicted: Int64Array
    result: EvaluationResult
    intervals: EvaluationIntervals

    def to_dict(self) -> dict[str, Any]:
        """The figures with their intervals, as `metrics.json` holds them."""
        return self.result.to_dict() | {"intervals": self.intervals.to_dict()}


@dataclass(frozen=True, eq=False)
class BaselineResults:
    """The baselines, the intervals of their figures, and how the model stands against each, in the same order.

    Attributes:
        baselines: fitted and judged.
        intervals: of their figures.
        comparisons: on all test rows.
        without_leaks: on those that repeat nothing which was learned from; on all where all do.
    """

    baselines: tuple[Baseline, ...]
    intervals: tuple[EvaluationIntervals, ...]
    comparisons: tuple[PairedComparison, ...]
    without_leaks: tuple[PairedComparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Baseline name -> its figures and the comparisons, as `metrics.json` holds them."""
        parts = zip(self.baselines, self.intervals, self.comparisons, self.without_leaks, strict=True)
        return {
            _KEYS.get(baseline.name, baseline.name): {"name": baseline.name}
            | baseline.to_dict()
            | {"intervals": intervals.to_dict(), "comparison": vars(comparison)}
            | ({} if without is comparison else {"comparison_without_leaks": vars(without)})
            for baseline, intervals, comparison, without in parts
        }


_KEYS = {
    MAJORITY_CLASS: "majority",
    TFIDF_LOGISTIC_REGRESSION: "tfidf_logistic_regression",
    EMBEDDING_LOGISTIC_REGRESSION: "embedding_logistic_regression",
}


def judge(logits: NDArray[Any], targets: NDArray[Any], groups: Int64Array, schema: LabelSchema, rule: DecisionRule) -> Judged:
    """Turns logits into answers and compares them with the truth.

    Args:
        logits: shape (n, classes).
        targets: class ids, shape (n,), or 0/1 for each class, shape (n, classes).
        groups: rows with the same or nearly the same text share a number, shape (n,).
        schema: the classes.
        rule: how probabilities and labels are made.
    """
    scores = probabilities(logits, schema.problem_type, rule.temperature)
    predicted = decide(scores, schema, rule)
    intervals = confidence_intervals(targets, scores, predicted, groups, schema)
    return Judged(scores, predicted, evaluate(targets, scores, predicted, schema), intervals)


def compare_with_baselines(
    splits: Mapping[SplitName, SplitRows],
    embedded: Mapping[SplitName, LabelledEmbeddings],
    predicted: Int64Array,
    repeating: BoolArray,
    schema: LabelSchema,
    seed: int,
) -> BaselineResults:
    """Fits the baselines on the same split and compares them with the model row by row.

    Args:
        splits: train, validation and test.
        embedded: the same rows as the model saw them before it was fine-tuned.
        predicted: the model's answers to the test rows.
        repeating: which of these repeat what was learned from, shape (n,).
        schema: the classes.
        seed: of the baselines' sampling.
    """
    train, validation, test = (LabelledExamples(splits[name].examples, embedded[name].targets) for name in SPLIT_NAMES)
    baselines = fit_baselines(train, validation, test, schema, seed, [embedded[name] for name in SPLIT_NAMES])
    groups = splits["test"].groups
    kept = np.flatnonzero(~repeating) if not repeating.all() else np.arange(len(repeating))

    def against(baseline: Baseline, rows: Int64Array | slice) -> PairedComparison:
        answers = predicted[rows], baseline.predicted[rows]
        return compare(test.targets[rows], *answers, groups[rows], schema, baseline.name)

    comparisons = tuple(against(baseline, slice(None)) for baseline in baselines)
    return BaselineResults(
        baselines,
        tuple(
            confidence_intervals(test.targets, baseline.probabilities, baseline.predicted, groups, schema)
            for baseline in baselines
        ),
        comparisons,
        without_leaks=tuple(against(baseline, kept) for baseline in baselines) if repeating.any() else comparisons,
    )
