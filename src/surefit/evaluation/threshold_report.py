"""What a fitted decision rule, and others, do on test rows: thresholds of classes, curves, costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.decision import ABSTAINED_ID, decide, decided_on, scores_against_others
from surefit.evaluation.curves import ThresholdCurve, choose_point
from surefit.evaluation.grouped_rows import Interval, mean_of_rows, share_of_rows
from surefit.evaluation.intervals import FigureIntervals, class_intervals
from surefit.evaluation.metrics import ClassFigures
from surefit.evaluation.requests import DecisionRequest
from surefit.evaluation.thresholds import FittedRule, ScoredRows, answer_costs, answer_curve
from surefit.types import DecisionRule, FloatArray, Int64Array, LabelSchema

_MOST_CURVES = 20
_DIGITS = 6


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of best F1 of one class, on its score against the others.

    Attributes:
        threshold: fitted on validation rows; None where none of them is of the class.
        validation: its figures there.
        test: its figures on the test rows.
        test_intervals: of these.
    """

    threshold: float | None
    validation: ClassFigures | None
    test: ClassFigures | None
    test_intervals: FigureIntervals | None


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
        coverage_interval: the 95% interval of the first.
        error_interval: of the second, None where no row is answered.
    """

    coverage: float
    error: float
    answered: int
    coverage_interval: Interval | None
    error_interval: Interval | None


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
        rule_interval: the 95% interval of the first; None where costs are negative, or all rows cost the same.
    """

    rule: float
    most_probable: float
    rule_interval: Interval | None


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
    validation: ScoredRows,
    test: ScoredRows,
    groups: Int64Array,
    schema: LabelSchema,
    request: DecisionRequest,
    fitted: FittedRule,
) -> ThresholdReport:
    """Judges a fitted rule.

    Args:
        validation: the rows that it was fitted on.
        test: other rows, at least one.
        groups: of these, rows with the same or nearly the same text share a number, shape (n,).
        schema: the classes of a single-label problem.
        request: what was asked for.
        fitted: what `fit_rule` made of it.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    scores, test_scores = (scores_against_others(rows.probabilities) for rows in (validation, test))
    per_class = {
        name: _best_f1(
            (scores[:, class_id], validation.targets == class_id),
            (test_scores[:, class_id], test.targets == class_id),
            numbers,
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
        _coverage(validation, test, numbers, schema, fitted.rule),
        _costs(test, numbers, schema, request, fitted),
    )


def _best_f1(
    validation: tuple[FloatArray, NDArray[np.bool_]], test: tuple[FloatArray, NDArray[np.bool_]], groups: Int64Array
) -> ClassThreshold:
    """Of one class, from its scores and which rows are of it, and the groups of the test rows."""
    if not validation[1].any():
        return ClassThreshold(None, None, None, None)
    threshold = choose_point(ThresholdCurve.of(*validation), None, None).threshold
    (_, of_class), answered = test, decided_on(test[0], threshold)
    on_validation, on_test = _figures(decided_on(validation[0], threshold), validation[1]), _figures(answered, of_class)
    # Rows that are neither of the class nor answered with it say nothing of it.
    concerned = of_class | answered
    _, numbers = np.unique(groups[concerned], return_inverse=True)
    true, predicted, both = (
        _sums(rows[concerned].astype(np.float64), numbers) for rows in (of_class, answered, of_class & answered)
    )
    return ClassThreshold(threshold, on_validation, on_test, class_intervals(true, predicted, both))


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


def _coverage(
    validation: ScoredRows, test: ScoredRows, groups: Int64Array, schema: LabelSchema, rule: DecisionRule
) -> CoverageCurve:
    curve = answer_curve(test, rule)
    points = curve.shown_points(curve.answered)
    return CoverageCurve(
        _exact(curve.scores[points]),
        _rounded(curve.coverage[points]),
        _rounded(1 - curve.precision[points]),
        curve.area_of_error,
        _answered(validation, np.arange(len(validation)), schema, rule),
        _answered(test, groups, schema, rule),
    )


def _answered(rows: ScoredRows, groups: Int64Array, schema: LabelSchema, rule: DecisionRule) -> AnsweredFigures:
    answers = decide(rows.probabilities, schema, rule)
    answered = answers != ABSTAINED_ID
    wrong = (answers != rows.targets)[answered]
    return AnsweredFigures(
        float(answered.mean()) if len(answered) else 0.0,
        float(wrong.mean()) if len(wrong) else 0.0,
        int(np.count_nonzero(answered)),
        share_of_rows(answered, groups),
        share_of_rows(wrong, groups[answered]),
    )


def _costs(
    test: ScoredRows, groups: Int64Array, schema: LabelSchema, request: DecisionRequest, fitted: FittedRule
) -> MeanCosts | None:
    if request.costs is None:
        return None
    answered = decide(test.probabilities, schema, fitted.rule) != ABSTAINED_ID
    rows = ScoredRows(test.probabilities[answered], test.targets[answered])
    own, others = (answer_costs(rows, schema, rule, request.costs) for rule in (fitted.rule, DecisionRule()))
    return MeanCosts(float(np.mean(own or [0.0])), float(np.mean(others or [0.0])), _interval(own, groups[answered]))


def _interval(costs: list[float], groups: Int64Array) -> Interval | None:
    return None if min(costs, default=0.0) < 0 else mean_of_rows(np.array(costs), groups)


def _sums(values: FloatArray, groups: Int64Array) -> FloatArray:
    """Of each group, numbered from 0."""
    return np.bincount(groups, weights=values).astype(np.float64, copy=False)


def _exact(scores: FloatArray) -> tuple[float, ...]:
    """Not rounded: scores of a sure model differ in their last digits, and one that is rounded up leaves its own row out."""
    return tuple(scores.tolist())


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())
