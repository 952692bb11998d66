"""Threshold curves: what is answered, and what of it is right, as a threshold on a score falls.

The same curve serves precision against recall (rows that are of a class, by its score) and
coverage against error (rows that are right, by the probability of the answer).

A threshold that is chosen because the rows at hand look best there looks better than it is: where
a class has some twenty rows, a precision that they just meet is missed on others by one or two
points in a hundred. So thresholds are chosen by `expected_precision`, its mean given the rows under
the neutral prior Beta(1/3, 1/3) (Kerman 2011), which takes a third of a row from a precision near 1,
and by `expected_recall`, the chance that the next row of the class is found, as in conformal
prediction (Vovk, Gammerman and Shafer 2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surefit.types import FloatArray, Int64Array

_MOST_POINTS = 200
# Pseudo-rows of each kind (Kerman 2011, "neutral").
_PRIOR = 1 / 3


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """What is answered at each threshold that the rows tell apart, by falling threshold.

    Attributes:
        scores: the different scores, falling, shape (points,); no points where there are no rows.
        answered: rows whose score is at least that, shape (points,).
        hits: how many of them are as they should be, shape (points,).
        rows: all rows.
        positives: how many of all rows are as they should be.
    """

    scores: FloatArray
    answered: Int64Array
    hits: Int64Array
    rows: int
    positives: int

    @classmethod
    def of(cls, scores: FloatArray, hits: NDArray[np.bool_]) -> ThresholdCurve:
        """The curve of rows.

        The points are those of scikit-learn's `precision_recall_curve`, which gives no counts.

        Args:
            scores: shape (n,).
            hits: whether a row is as it should be (of the class, or right), shape (n,).
        """
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        last_of_score = np.flatnonzero(np.diff(falling, append=-np.inf))
        return cls(
            scores=falling[last_of_score],
            answered=last_of_score + 1,
            hits=np.cumsum(hits[order], dtype=np.int64)[last_of_score],
            rows=len(scores),
            positives=int(np.count_nonzero(hits)),
        )

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def precision(self) -> FloatArray:
        return np.asarray(self.hits / self.answered, dtype=np.float64)

    @property
    def recall(self) -> FloatArray:
        """0 where there is nothing to be found."""
        return np.asarray(self.hits / max(self.positives, 1), dtype=np.float64)

    @property
    def f1(self) -> FloatArray:
        return np.asarray(2 * self.hits / (self.answered + self.positives), dtype=np.float64)

    @property
    def coverage(self) -> FloatArray:
        """Share of the rows that are answered."""
        return np.asarray(self.answered / max(self.rows, 1), dtype=np.float64)

    @property
    def expected_precision(self) -> FloatArray:
        """(hits + 1/3) / (answered + 2/3)."""
        return np.asarray((self.hits + _PRIOR) / (self.answered + 2 * _PRIOR), dtype=np.float64)

    @property
    def expected_recall(self) -> FloatArray:
        """Of the next row to be found: hits / (positives + 1)."""
        return np.asarray(self.hits / (self.positives + 1), dtype=np.float64)

    @property
    def area_of_error(self) -> float:
        """Area under error against coverage (AURC; Geifman, Uziel and El-Yaniv 2019), 0 without rows.

        It is the mean over rows of the error among the rows at least as sure.
        """
        new_rows = np.diff(self.answered, prepend=0)
        return float(((1 - self.precision) * new_rows).sum() / max(self.rows, 1))

    def threshold(self, point: int) -> float:
        """A threshold that tells the rows of a point from the next ones: between their scores, 0 after the last."""
        if point == len(self) - 1:
            return 0.0
        return float(self.scores[point] + self.scores[point + 1]) / 2

    def shown_points(self, steps: Int64Array) -> Int64Array:
        """At most 200 points, the first and the last among them, about evenly spaced.

        Args:
            steps: what they are to be even in: `hits` or `answered`.
        """
        if len(self) == 0:
            return np.zeros(0, dtype=np.int64)
        wanted = np.linspace(steps[0], steps[-1], _MOST_POINTS - 1)
        return np.unique(np.append(np.searchsorted(steps, wanted), len(self) - 1))


@dataclass(frozen=True)
class ChosenPoint:
    """The point of a curve that meets a wish best.

    Attributes:
        threshold: of the score; rows over it are answered.
        answered: rows over it.
        hits: how many of them are as they should be.
        reached: whether precision and recall can be expected to be as wished.
        seen: whether the rows at hand are as wished at some point, if they may be too few to expect it.
    """

    threshold: float
    answered: int
    hits: int
    reached: bool
    seen: bool


def choose_point(curve: ThresholdCurve, min_precision: float | None, min_recall: float | None) -> ChosenPoint:
    """The point that answers most where a precision is asked for, that of most precision where a recall is.

    Where both are asked for or neither is, it is the point of best F1. Where none can be expected
    to meet the wish, it is the one that misses it least.

    Args:
        curve: of validation rows, at least one.
        min_precision: least precision, or None.
        min_recall: least recall, or None.
    """
    missing = _missing(curve.expected_precision, min_precision) + _missing(curve.expected_recall, min_recall)
    seen = _missing(curve.precision, min_precision) + _missing(curve.recall, min_recall)
    if (min_precision is None) == (min_recall is None):
        merit = curve.f1
    else:
        merit = curve.expected_precision if min_precision is None else curve.coverage
    reached = bool((missing == 0).any())
    merit = np.where(missing == 0, merit, -1.0) if reached else -missing
    point = len(merit) - 1 - int(merit[::-1].argmax())  # of equals the one that answers more
    return ChosenPoint(
        curve.threshold(point), int(curve.answered[point]), int(curve.hits[point]), reached, bool((seen == 0).any())
    )


def _missing(figures: FloatArray, least: float | None) -> FloatArray:
    return np.zeros(len(figures)) if least is None else np.maximum(least - figures, 0.0)
