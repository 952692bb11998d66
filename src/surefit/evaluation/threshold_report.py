"""What a fitted decision rule, and others, do on test rows: thresholds of classes, curves, costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.decision import ABSTAINED_ID, decide, scores_against_others
from surefit.evaluation.curves import ThresholdCurve, choose_point
from surefit.evaluation.metrics import ClassFigures
from surefit.evaluation.requests import DecisionRequest
from surefit.evaluation.thresholds import FittedRule, ScoredRows, answer_curve, mean_cost
from surefit.types import DecisionRule, FloatArray, LabelSchema

_MOST_CURVES = 20
_DIGITS = 6


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of best F1 of one class, on its score against the others.

    Attributes:
        threshold: fitted on validation rows; None where none of them is of the class.
        validation: its figures there.
        test: its figures on the test rows.
    """

    threshold: float | None
    validation: ClassFigures | None
    test: ClassFigures | None


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision against recall of one class on the test rows, at most some 200 points.

    Attributes:
        thresholds: of the score against the others, falling; rows at or over one are answered.
        precision: at each.
        recall: at each.
        chosen: figures of the class by the fitted rule.
    """

    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    chosen: ClassFigures


@dataclass(frozen=True)
class AnsweredFigures:
    """What a rule that may abstain comes to.

    Attributes:
        coverage: share of the rows that it answers.
        error: share of wrong answers among these, 0 where there are none.
        answered: rows that it answers.
    """

    coverage: float
    error: float
    answered: int


@dataclass(frozen=True)
class CoverageCurve:
    """Error against coverage on the test rows (El-Yaniv and Wiener 2010), at most some 200 points.

    Attributes:
        thresholds: of the probability of the answer, falling; rows at or over one are answered.
        coverage: at each.
        error: at each.
        area: under it, from all its points (AURC).
        validation: what the fitted rule comes to on the validation rows.
        chosen: and on the test rows.
    """

    thresholds: tuple[float, ...]
    coverage: tuple[float, ...]
    error: tuple[float, ...]
    area: float
    validation: AnsweredFigures
    chosen: AnsweredFigures


@dataclass(frozen=True)
class MeanCosts:
    """What an answer costs on average, by the cost table, of the test rows that the fitted rule answers.

    Attributes:
        rule: by the fitted rule.
        most_probable: were the most probable class answered to the same rows.
    """

    rule: float
    most_probable: float


@dataclass(frozen=True)
class ThresholdReport:
    """How a fitted rule does on test rows.

    Attributes:
        request: what was asked for.
        fitted: the rule.
        per_class: the thresholds of best F1, by class name.
        curves: by class name: of the class that was named, else of at most 20 classes, those whose
            best F1 on the validation rows is lowest.
        coverage: which rows it answers, and how many of them wrong.
        costs: None where no costs were given.
    """

    request: DecisionRequest
    fitted: FittedRule
    per_class: dict[str, ClassThreshold]
    curves: dict[str, PrecisionRecallCurve]
    coverage: CoverageCurve
    costs: MeanCosts | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as they stand in `metrics.json`."""
        return asdict(self)


def threshold_report(
    validation: ScoredRows, test: ScoredRows, schema: LabelSchema, request: DecisionRequest, fitted: FittedRule
) -> ThresholdReport:
    """Judges a fitted rule.

    Args:
        validation: the rows that it was fitted on.
        test: other rows, at least one.
        schema: the classes of a single-label problem.
        request: what was asked for.
        fitted: what `fit_rule` made of it.
    """
    scores, test_scores = (scores_against_others(rows.probabilities) for rows in (validation, test))
    per_class = {
        name: _best_f1(
            (scores[:, class_id], validation.targets == class_id), (test_scores[:, class_id], test.targets == class_id)
        )
        for class_id, name in enumerate(schema.id2label)
    }
    answers = decide(test.probabilities, schema, fitted.rule)
    curves = {}
    for name in _classes_with_curves(request, per_class):
        class_id = schema.label2id[name]
        of_class = test.targets == class_id
        chosen = _figures(answers == class_id, of_class)
        curves[name] = _precision_recall(ThresholdCurve.of(test_scores[:, class_id], of_class), chosen)
    return ThresholdReport(
        request,
        fitted,
        per_class,
        curves,
        _coverage(validation, test, schema, fitted.rule),
        _costs(test, schema, request, fitted),
    )


def _best_f1(validation: tuple[FloatArray, NDArray[np.bool_]], test: tuple[FloatArray, NDArray[np.bool_]]) -> ClassThreshold:
    """Of one class, from its scores and which rows are of it."""
    if not validation[1].any():
        return ClassThreshold(None, None, None)
    threshold = choose_point(ThresholdCurve.of(*validation), None, None).threshold
    on_validation, on_test = (_figures(scores > threshold, of_class) for scores, of_class in (validation, test))
    return ClassThreshold(threshold, on_validation, on_test)


def _figures(answered: NDArray[np.bool_], of_class: NDArray[np.bool_]) -> ClassFigures:
    """As by scikit-learn with zero_division=0, which would take minutes for a hundred classes one by one."""
    hits, answers, support = (int(np.count_nonzero(rows)) for rows in (answered & of_class, answered, of_class))
    return ClassFigures(hits / max(answers, 1), hits / max(support, 1), 2 * hits / max(answers + support, 1), support)


def _classes_with_curves(request: DecisionRequest, per_class: dict[str, ClassThreshold]) -> list[str]:
    if request.positive is not None:
        return [request.positive]
    lowest = {name: 0.0 if of.validation is None else of.validation.f1 for name, of in per_class.items()}
    chosen = set(sorted(lowest, key=lowest.__getitem__)[:_MOST_CURVES])
    return [name for name in per_class if name in chosen]


def _precision_recall(curve: ThresholdCurve, chosen: ClassFigures) -> PrecisionRecallCurve:
    points = curve.shown_points(curve.hits)
    return PrecisionRecallCurve(
        _exact(curve.scores[points]), _rounded(curve.precision[points]), _rounded(curve.recall[points]), chosen
    )


def _coverage(validation: ScoredRows, test: ScoredRows, schema: LabelSchema, rule: DecisionRule) -> CoverageCurve:
    curve = answer_curve(test, rule)
    points = curve.shown_points(curve.answered)
    return CoverageCurve(
        _exact(curve.scores[points]),
        _rounded(curve.coverage[points]),
        _rounded(1 - curve.precision[points]),
        curve.area_of_error,
        _answered(validation, schema, rule),
        _answered(test, schema, rule),
    )


def _answered(rows: ScoredRows, schema: LabelSchema, rule: DecisionRule) -> AnsweredFigures:
    answers = decide(rows.probabilities, schema, rule)
    answered = int(np.count_nonzero(answers != ABSTAINED_ID))
    wrong = answered - int(np.count_nonzero(answers == rows.targets))
    return AnsweredFigures(answered / max(len(rows), 1), wrong / max(answered, 1), answered)


def _costs(test: ScoredRows, schema: LabelSchema, request: DecisionRequest, fitted: FittedRule) -> MeanCosts | None:
    if request.costs is None:
        return None
    answered = decide(test.probabilities, schema, fitted.rule) != ABSTAINED_ID
    rows = ScoredRows(test.probabilities[answered], test.targets[answered])
    own, others = (mean_cost(rows, schema, rule, request.costs) for rule in (fitted.rule, DecisionRule()))
    return MeanCosts(own, others)


def _exact(scores: FloatArray) -> tuple[float, ...]:
    """Not rounded: scores of a sure model differ in their last digits, and one that is rounded up leaves its own row out."""
    return tuple(scores.tolist())


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())
