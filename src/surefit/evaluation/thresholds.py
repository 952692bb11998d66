"""Decision rules, fitted on validation rows to what is asked of them.

============================  ====================================================================
asked for                     rule
============================  ====================================================================
nothing                       the most probable class
precision, recall or F1 of    thresholds t for that class and 1 - t for the others: the class where
one class                     its score against the others is over t, else the most probable other
precision of every class      the most probable class, if it is probable enough for a class like it
macro F1                      thresholds of all classes
costs                         the class of least expected cost
an error rate                 any of these, if the probability of its answer is over one bound
============================  ====================================================================

`surefit.evaluation.curves` says how a point is chosen on few rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from surefit.decision import ABSTAINED_ID, decide, preferred_classes, scores_against_others, thresholds_of_class
from surefit.errors import DataError
from surefit.evaluation.curves import ChosenPoint, ThresholdCurve, choose_point
from surefit.evaluation.macro_f1 import macro_f1_thresholds
from surefit.evaluation.requests import DecisionRequest
from surefit.types import NEVER_ANSWERED, DecisionRule, FloatArray, Int64Array, LabelSchema

_NAMES_LISTED = 5


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Labelled rows and what a model says of them.

    Attributes:
        probabilities: calibrated, shape (n, classes).
        targets: class ids, shape (n,).
    """

    probabilities: FloatArray
    targets: Int64Array

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 2 or self.targets.shape != self.probabilities.shape[:1]:
            raise ValueError(f"one target a row is needed, got {self.targets.shape} and {self.probabilities.shape}")

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class FittedRule:
    """A decision rule, and whether it can be expected to do what was asked for.

    Attributes:
        rule: to be saved with the model.
        reached: whether the validation rows let one expect it; where not, the rule is the nearest.
        sentence: what was done and what it came to on the validation rows, for people.
        threshold: of the positive class's score against the others, None where no class was named
            or there were no rows of it.
    """

    rule: DecisionRule
    reached: bool
    sentence: str
    threshold: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names."""
        return asdict(self)


def fit_rule(validation: ScoredRows, schema: LabelSchema, request: DecisionRequest, temperature: float = 1.0) -> FittedRule:
    """Fits the decision rule that was asked for.

    Args:
        validation: rows that the model has not learned from, at least one.
        schema: the classes of a single-label problem.
        request: what the rule is to reach.
        temperature: that the probabilities are calibrated with, for the rule.

    Raises:
        UsageError: the request does not fit the classes.
        DataError: there are no rows.
    """
    request.require_fit(schema)
    if not len(validation):
        raise DataError("there are no validation rows to fit a decision rule on")
    plain = DecisionRule(temperature)
    if request.positive is not None:
        fitted = _fit_class(validation, schema, request, plain)
    elif request.costs is not None:
        fitted = _fit_costs(validation, schema, replace(plain, costs=request.costs), plain)
    elif request.min_precision is not None:
        fitted = _fit_precisions(validation, schema, request.min_precision, plain)
    elif request.best_f1:
        fitted = _fit_macro_f1(validation, plain)
    else:
        fitted = FittedRule(plain, reached=True, sentence="The most probable class is answered.")
    return fitted if request.max_error is None else _abstain(validation, request.max_error, fitted, len(schema))


def answer_curve(rows: ScoredRows, rule: DecisionRule) -> ThresholdCurve:
    """Coverage against error: which answers are right, by their probability, were none withheld."""
    answers = preferred_classes(rows.probabilities, rule)
    return ThresholdCurve.of(rows.probabilities[np.arange(len(rows)), answers], answers == rows.targets)


def mean_cost(rows: ScoredRows, schema: LabelSchema, rule: DecisionRule, costs: tuple[tuple[float, ...], ...]) -> float:
    """What an answer of the rule costs on average; 0 where it gives none."""
    return float(np.mean(answer_costs(rows, schema, rule, costs) or [0.0]))


def answer_costs(
    rows: ScoredRows, schema: LabelSchema, rule: DecisionRule, costs: tuple[tuple[float, ...], ...]
) -> list[float]:
    """What each answer of the rule costs, of the rows that it answers, in their order."""
    answers = decide(rows.probabilities, schema, rule)
    answered = answers != ABSTAINED_ID
    found: list[float] = np.array(costs)[rows.targets[answered], answers[answered]].tolist()
    return found


def _fit_class(rows: ScoredRows, schema: LabelSchema, request: DecisionRequest, plain: DecisionRule) -> FittedRule:
    name = str(request.positive)
    class_id = schema.label2id[name]
    curve = ThresholdCurve.of(scores_against_others(rows.probabilities)[:, class_id], rows.targets == class_id)
    if not curve.positives:
        sentence = f"No validation row is {name!r}, so that nothing can be fitted to it; the most probable class is answered."
        return FittedRule(plain, reached=False, sentence=sentence)
    point = choose_point(curve, request.min_precision, request.min_recall)
    recall = f"{point.hits / curve.positives:.3f} ({point.hits:,} of {curve.positives:,})"
    done = (
        f"{name!r} is answered where its score is over {point.threshold:.4f}: on the validation rows its precision is "
        f"{_share(point)} and its recall {recall}."
    )
    bounds = [("precision", request.min_precision), ("recall", request.min_recall)]
    asked = " and ".join(f"a {figure} of at least {least:g}" for figure, least in bounds if least is not None)
    if not point.reached:
        done = f"{asked[0].upper()}{asked[1:]} for {name!r} {_failure(point)}; the nearest is taken. {done}"
    rule = replace(plain, thresholds=thresholds_of_class(class_id, point.threshold, len(schema)))
    return FittedRule(rule, point.reached, done, point.threshold)


def _fit_precisions(rows: ScoredRows, schema: LabelSchema, least: float, plain: DecisionRule) -> FittedRule:
    """A class at a time, on the rows that it is the most probable class of."""
    answers = preferred_classes(rows.probabilities, plain)
    bounds, failed = [], []
    for class_id, name in enumerate(schema.id2label):
        own = answers == class_id
        point = None
        if own.any():
            curve = ThresholdCurve.of(rows.probabilities[own, class_id], rows.targets[own] == class_id)
            point = choose_point(curve, least, None)
        if point is None or not point.reached:
            failed.append(name)
        bounds.append(NEVER_ANSWERED if point is None or not point.reached else point.threshold)
    rule = replace(plain, abstain_below=tuple(bounds))
    decided = decide(rows.probabilities, schema, rule)
    answered, right = (int(np.count_nonzero(kept)) for kept in (decided != ABSTAINED_ID, decided == rows.targets))
    sentence = (
        f"For a precision of at least {least:g} of every class the model abstains where a class is not probable enough: "
        f"{answered:,} of {len(rows):,} validation rows are answered, {right:,} of these right."
    )
    if failed:
        named = ", ".join(map(repr, failed[:_NAMES_LISTED]))
        more = f" and {len(failed) - _NAMES_LISTED:,} more" if len(failed) > _NAMES_LISTED else ""
        sentence += f" The validation rows do not show it for {named}{more}: never answered."
    return FittedRule(rule, not failed, sentence)


def _fit_macro_f1(rows: ScoredRows, plain: DecisionRule) -> FittedRule:
    thresholds, gain = macro_f1_thresholds(rows.probabilities, rows.targets)
    if thresholds is None:
        sentence = (
            "Thresholds gain no macro F1 on validation rows that they are not fitted to; the most probable class is answered."
        )
        return FittedRule(plain, reached=True, sentence=sentence)
    sentence = f"Each class has its threshold; in cross-validation on the validation rows that gained {gain:.4f} macro F1."
    return FittedRule(replace(plain, thresholds=thresholds), reached=True, sentence=sentence)


def _fit_costs(rows: ScoredRows, schema: LabelSchema, rule: DecisionRule, plain: DecisionRule) -> FittedRule:
    assert rule.costs is not None
    own, others = (mean_cost(rows, schema, of, rule.costs) for of in (rule, plain))
    sentence = (
        f"The class of least expected cost is answered: on the validation rows an answer costs {own:.4g} on average, "
        f"the most probable class {others:.4g}."
    )
    return FittedRule(rule, reached=True, sentence=sentence)


def _abstain(rows: ScoredRows, most: float, fitted: FittedRule, classes: int) -> FittedRule:
    point = choose_point(answer_curve(rows, fitted.rule), 1 - most, None)
    done = (
        f"The model abstains where its answer has a probability below {point.threshold:.4f}: {point.answered:,} "
        f"of {len(rows):,} validation rows are answered, {point.answered - point.hits:,} of these wrong."
    )
    if not point.reached:
        done = f"An error rate of at most {most:g} {_failure(point)}; the nearest is taken. {done}"
    rule = replace(fitted.rule, abstain_below=(point.threshold,) * classes)
    return replace(fitted, rule=rule, reached=fitted.reached and point.reached, sentence=f"{fitted.sentence} {done}")


def _share(point: ChosenPoint) -> str:
    return f"{point.hits / point.answered:.3f} ({point.hits:,} of {point.answered:,})"


def _failure(point: ChosenPoint) -> str:
    return "cannot be told from so few validation rows" if point.seen else "cannot be reached on the validation rows"
