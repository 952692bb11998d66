"""From logits to probabilities to labels: the only place where classification does it.

Two problem types, two readings of a row of logits:

- single label: the classes exclude each other, so probabilities come from the softmax and one
  class is decided on, the most probable one. With thresholds it is the class whose probability
  is largest relative to its threshold (p / t, as Spark ML's `thresholds` are defined). For two
  classes with thresholds (1 - t, t) that is the usual rule: class 1 where its probability
  exceeds t.
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
        rule: its thresholds are used; its temperature is already in the probabilities.

    Returns:
        Class ids of shape (n,) for single label, else 1 for each class decided on and 0 for the
        others, shape (n, classes): the form that targets have.
    """
    if schema.problem_type == MULTI_LABEL:
        thresholds = np.full(len(schema), 0.5) if rule.thresholds is None else np.array(rule.thresholds)
        return (probabilities >= thresholds).astype(np.int64)
    if rule.thresholds is not None:
        probabilities = probabilities / np.maximum(rule.thresholds, _SMALLEST_THRESHOLD)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def to_predictions(
    logits: NDArray[Any], schema: LabelSchema, rule: DecisionRule, truncated: NDArray[np.bool_]
) -> list[Prediction]:
    """Turns the logits of rows into what is said of each row.

    Args:
        logits: shape (n, classes).
        schema: the classes.
        rule: temperature and thresholds.
        truncated: whether the row's text was cut, shape (n,).

    Returns:
        One prediction a row, in the order of the rows. Several labels of one row stand by falling
        probability.

    Raises:
        ModelError: a logit is not a finite number.
    """
    scores = probabilities(logits, schema.problem_type, rule.temperature)
    decided = decide(scores, schema, rule)
    rows = zip(_decided_classes(decided, scores), scores.tolist(), truncated.tolist(), strict=True)
    return [
        Prediction(
            labels=tuple(schema.id2label[class_id] for class_id in class_ids),
            scores=tuple(row_scores),
            score=row_scores[class_ids[0]] if class_ids else 0.0,
            truncated=cut,
        )
        for class_ids, row_scores, cut in rows
    ]


def _decided_classes(decided: Int64Array, scores: FloatArray) -> Iterator[list[int]]:
    """The class ids of each row, by falling probability."""
    if decided.ndim == 1:
        yield from ([class_id] for class_id in decided.tolist())
        return
    for row_decided, row_scores in zip(decided, scores, strict=True):
        class_ids = np.flatnonzero(row_decided)
        yield class_ids[np.argsort(-row_scores[class_ids], kind="stable")].tolist()
