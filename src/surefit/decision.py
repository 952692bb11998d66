"""From logits to probabilities to labels: the only place where classification does it.

Two problem types, two readings of a row of logits:

- single label: the classes exclude each other, so probabilities come from the softmax and one
  class is decided on, the most probable one. With thresholds it is the class whose probability
  is largest relative to its threshold (p / t, as Spark ML's `thresholds` are defined). For two
  classes with thresholds (1 - t, t) that is the usual rule: class 1 where its probability
  exceeds t. With costs it is the class of least expected cost (Elkan 2001, equation 1). Where
  the probability of the class decided on is below its bound, the model abstains.
- several labels: each class is a question of its own, so probabilities come from the sigmoid
  and every class is decided on whose probability reaches its threshold (0.5 when not given).

Ties go to the lower class id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.errors import ModelError
from surefit.types import MULTI_LABEL, DecisionRule, FloatArray, Int64Array, LabelSchema, Prediction, ProblemType

# Stands in the place of a class id where the model abstains.
ABSTAINED_ID = -1
# Stands for a threshold of 0, by which nothing can be divided.
_SMALLEST_THRESHOLD = 1e-12


def probabilities(logits: NDArray[Any], problem_type: ProblemType, temperature: float = 1.0) -> FloatArray:
    """Turns logits into probabilities, in float64 whatever the model computed in.

    Args:
        logits: shape (n, classes). A single-label model with one logit a row gives the log-odds
            of class 1 against class 0; it comes back with two columns.
        problem_type: softmax over the classes for single label, else a sigmoid for each class.
        temperature: logits are divided by it first (Guo et al. 2017, equation 9).

    Returns:
        Shape (n, classes), between 0 and 1; for single label each row sums to 1.

    Raises:
        ModelError: a logit is not a finite number.
    """
    _require_finite(logits)
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if problem_type == MULTI_LABEL:
        return _sigmoid(scaled)
    if scaled.shape[1] == 1:
        scaled = np.hstack([np.zeros_like(scaled), scaled])
    return _softmax(scaled)


def _require_finite(logits: NDArray[Any]) -> None:
    finite = np.isfinite(logits)
    if not finite.all():
        damaged = len(logits) - np.count_nonzero(finite.all(axis=1))
        raise ModelError(
            f"the model gives logits that are not finite numbers for {damaged} of {len(logits)} rows; "
            "its weights are damaged or overflow: try --precision fp32, or train it again"
        )


def _softmax(logits: FloatArray) -> FloatArray:
    # Subtracting the largest logit changes nothing but keeps exp from overflowing.
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _sigmoid(logits: FloatArray) -> FloatArray:
    # exp only ever sees a number of at most 0, so it cannot overflow.
    decay = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, decay) / (1.0 + decay)


def decide(probabilities: FloatArray, schema: LabelSchema, rule: DecisionRule) -> Int64Array:
    """Decides on labels by the rule of the problem type (see the module's text).

    Args:
        probabilities: shape (n, classes).
        schema: the classes.
        rule: its temperature is in the probabilities already.

    Returns:
        Class ids of shape (n,) for single label, `ABSTAINED_ID` where the model abstains; else 1
        for each class decided on and 0 for the others, shape (n, classes): the form that targets
        have.

    Raises:
        ValueError: the rule is not for these classes.
    """
    rule.require_fit(schema)
    if schema.problem_type == MULTI_LABEL:
        thresholds = np.full(len(schema), 0.5) if rule.thresholds is None else np.array(rule.thresholds)
        return (probabilities >= thresholds).astype(np.int64)
    preferred = preferred_classes(probabilities, rule)
    if rule.abstain_below is None:
        return preferred
    sure = probabilities[np.arange(len(preferred)), preferred] >= np.array(rule.abstain_below)[preferred]
    return np.where(sure, preferred, ABSTAINED_ID)


def preferred_classes(probabilities: FloatArray, rule: DecisionRule) -> Int64Array:
    """What a single-label model would answer if it never abstained: class ids, shape (n,).

    Args:
        probabilities: shape (n, classes).
        rule: its costs or thresholds are used.
    """
    if rule.costs is not None:
        return np.asarray(expected_costs(probabilities, rule.costs).argmin(axis=1), dtype=np.int64)
    if rule.thresholds is not None:
        probabilities = probabilities / np.maximum(rule.thresholds, _SMALLEST_THRESHOLD)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def scores_against_others(probabilities: FloatArray) -> FloatArray:
    """What each class holds against the strongest of the others: p / (p + largest other p).

    Of two classes it is the probability itself. The class is decided on, and not the most probable
    of the others, by `thresholds_of_class` where its score is over the threshold.

    Args:
        probabilities: shape (n, classes).

    Returns:
        Shape (n, classes), between 0 and 1.
    """
    first = probabilities.argmax(axis=1)[:, None]
    second, largest = np.partition(probabilities, -2, axis=1)[:, -2:].T[:, :, None]
    others = np.where(np.arange(probabilities.shape[1]) == first, second, largest)
    return np.asarray(probabilities / (probabilities + others), dtype=np.float64)


def thresholds_of_class(class_id: int, threshold: float, classes: int) -> tuple[float, ...]:
    """Thresholds by which one class is decided on where its score against the others is over a threshold.

    Args:
        class_id: of that class.
        threshold: of its score, between 0 and 1.
        classes: how many there are.
    """
    return tuple(threshold if other == class_id else 1.0 - threshold for other in range(classes))


def decided_on(scores: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """Which rows a class is decided on for, by its score against the others and its threshold, as `scores` in shape."""
    return np.asarray(scores > threshold, dtype=np.bool_)


def expected_costs(probabilities: FloatArray, costs: tuple[tuple[float, ...], ...]) -> FloatArray:
    """What each answer to each row costs on average, by the probabilities (Elkan 2001, equation 1).

    Args:
        probabilities: shape (n, classes).
        costs: costs[i][j] of answering class j where i is true.

    Returns:
        Shape (n, classes).
    """
    return np.asarray(probabilities @ np.array(costs), dtype=np.float64)


def to_predictions(
    logits: NDArray[Any], schema: LabelSchema, rule: DecisionRule, truncated: NDArray[np.bool_]
) -> list[Prediction]:
    """Turns the logits of rows into what is said of each row.

    Args:
        logits: shape (n, classes).
        schema: the classes.
        rule: how probabilities and labels are made.
        truncated: whether the row's text was cut, shape (n,).

    Returns:
        One prediction a row, in the order of the rows. Several labels of one row stand by falling
        probability.

    Raises:
        ModelError: a logit is not a finite number.
        ValueError: the rule is not for these classes.
    """
    scores = probabilities(logits, schema.problem_type, rule.temperature)
    decided = decide(scores, schema, rule)
    abstained = decided == ABSTAINED_ID if decided.ndim == 1 else np.zeros(len(decided), dtype=np.bool_)
    rows = zip(_decided_classes(decided, scores), scores.tolist(), truncated.tolist(), abstained.tolist(), strict=True)
    return [
        Prediction(
            labels=tuple(schema.id2label[class_id] for class_id in class_ids),
            scores=tuple(row_scores),
            score=row_scores[class_ids[0]] if class_ids else max(row_scores) if unsure else 0.0,
            truncated=cut,
            abstained=unsure,
        )
        for class_ids, row_scores, cut, unsure in rows
    ]


def _decided_classes(decided: Int64Array, scores: FloatArray) -> Iterator[list[int]]:
    """The class ids of each row, by falling probability."""
    if decided.ndim == 1:
        yield from ([] if class_id == ABSTAINED_ID else [class_id] for class_id in decided.tolist())
        return
    for row_decided, row_scores in zip(decided, scores, strict=True):
        class_ids = np.flatnonzero(row_decided)
        yield class_ids[np.argsort(-row_scores[class_ids], kind="stable")].tolist()
