"""What the trained model, and simpler ones, make of rows they were not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.decision import decide, probabilities
from surefit.evaluation.baselines import (
    EMBEDDING_LOGISTIC_REGRESSION,
    MAJORITY_CLASS,
    TFIDF_LOGISTIC_REGRESSION,
    Baseline,
    LabelledExamples,
    fit_baselines,
)
from surefit.evaluation.comparison import PairedComparison, compare
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
    """

    probabilities: FloatArray
    predicted: Int64Array
    result: EvaluationResult


@dataclass(frozen=True, eq=False)
class BaselineResults:
    """The baselines, and how the model stands against each, in the same order."""

    baselines: tuple[Baseline, ...]
    comparisons: tuple[PairedComparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Baseline name -> its figures and the comparison, as `metrics.json` holds them."""
        return {
            _KEYS.get(baseline.name, baseline.name): {"name": baseline.name}
            | baseline.to_dict()
            | {"comparison": vars(comparison)}
            for baseline, comparison in zip(self.baselines, self.comparisons, strict=True)
        }


_KEYS = {
    MAJORITY_CLASS: "majority",
    TFIDF_LOGISTIC_REGRESSION: "tfidf_logistic_regression",
    EMBEDDING_LOGISTIC_REGRESSION: "embedding_logistic_regression",
}


def judge(logits: NDArray[Any], targets: NDArray[Any], schema: LabelSchema, rule: DecisionRule) -> Judged:
    """Turns logits into answers and compares them with the truth.

    Args:
        logits: shape (n, classes).
        targets: class ids, shape (n,), or 0/1 for each class, shape (n, classes).
        schema: the classes.
        rule: how probabilities and labels are made.
    """
    scores = probabilities(logits, schema.problem_type, rule.temperature)
    predicted = decide(scores, schema, rule)
    return Judged(scores, predicted, evaluate(targets, scores, predicted, schema))


def compare_with_baselines(
    splits: dict[Any, SplitRows], predicted: Int64Array, schema: LabelSchema, seed: int
) -> BaselineResults:
    """Fits the baselines on the same split and compares them with the model row by row.

    Args:
        splits: train, validation and test.
        predicted: the model's answers to the test rows.
        schema: the classes.
        seed: of the baselines' sampling.
    """
    train, validation, test = (
        LabelledExamples(splits[name].examples, np.asarray(splits[name].targets, dtype=np.int64))
        for name in ("train", "validation", "test")
    )
    baselines = fit_baselines(train, validation, test, schema, seed)
    comparisons = tuple(
        compare(test.targets, predicted, baseline.predicted, splits["test"].groups, schema, baseline.name)
        for baseline in baselines
    )
    return BaselineResults(baselines, comparisons)
