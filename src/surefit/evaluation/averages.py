"""Averaged figures of a classifier, and how each group of rows moves them.

What leaving out one group does to a figure is computed for every group (the delete-one-group
jackknife: Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 2; for
groups Wolter 2007, Introduction to Variance Estimation, chapter 4). It needs no derivatives, sees
that small classes bend a figure more than derivatives say, and is the same at every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.decision import ABSTAINED_ID
from surefit.types import MULTI_LABEL, FloatArray, Int64Array, LabelSchema

# The figures come in this order: macro precision, recall and F1, then weighted precision, recall and F1.
MACRO_F1 = 2
# Bounds the memory: about ten arrays of this many float64 stand at a time.
_MAX_CELLS = 2**20
# Chosen by simulation: with five, intervals of macro recall hold the truth too seldom, with twenty too often.
_ADDED_ROWS = 10


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """How many rows of each group concern each class.

    Attributes:
        true: rows that truly are of the class, a sparse matrix of shape (groups, classes).
        predicted: rows so predicted, likewise.
        both: rows that are both, likewise.
        groups: the group of each row, counted from 0 without gaps, shape (n,).
        rows: rows of each group, shape (groups,).
    """

    true: Any
    predicted: Any
    both: Any
    groups: Int64Array
    rows: FloatArray

    @classmethod
    def of(cls, targets: Int64Array, predicted: Int64Array, groups: Int64Array, schema: LabelSchema) -> ClassCounts:
        """Counts them.

        Args:
            targets: the truth, class ids of shape (n,), or 0/1 of shape (n, classes).
            predicted: what was decided, likewise.
            groups: rows that belong together share a number, shape (n,).
            schema: the classes.
        """
        from scipy.sparse import csc_array

        _, numbers = np.unique(groups, return_inverse=True)
        sizes = np.bincount(numbers).astype(np.float64)

        def count(rows: Int64Array, classes: Int64Array) -> Any:
            return csc_array((np.ones(len(rows)), (numbers[rows], classes)), shape=(len(sizes), len(schema)))

        if schema.problem_type == MULTI_LABEL:
            entries = [np.nonzero(labels) for labels in (targets, predicted, targets * predicted)]
        else:
            right = np.flatnonzero(targets == predicted)
            every, answered = np.arange(len(targets)), np.flatnonzero(predicted != ABSTAINED_ID)
            entries = [(every, targets), (answered, predicted[answered]), (right, targets[right])]
        true, of_predicted, both = (count(*entry) for entry in entries)
        return cls(true, of_predicted, both, groups=numbers, rows=sizes)

    def of_groups(self, values: NDArray[Any]) -> FloatArray:
        """Sums a value of each row, shape (n,), over the rows of each group, shape (groups,)."""
        return np.bincount(self.groups, weights=values, minlength=len(self.rows)).astype(np.float64, copy=False)

    def of_class(self, number: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows of each group that are of a class, predicted as it, and both, each of shape (groups,)."""
        true, predicted, both = (counts[:, [number]].toarray().ravel() for counts in (self.true, self.predicted, self.both))
        return true, predicted, both

    def totals(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows that are of each class, predicted as it, and both, each of shape (classes,)."""
        true, predicted, both = (counts.sum(axis=0) for counts in (self.true, self.predicted, self.both))
        return true, predicted, both


def exactly_right(targets: Int64Array, predicted: Int64Array) -> Int64Array:
    """1 for each row that is decided exactly right, with several labels its whole set, else 0, shape (n,)."""
    return np.asarray((targets == predicted).reshape(len(targets), -1).all(axis=1), dtype=np.int64)


def averages(true: FloatArray, predicted: FloatArray, both: FloatArray) -> FloatArray:
    """Macro and weighted precision, recall and F1.

    Classes that neither occur nor were predicted do not count, as in `surefit.evaluation.metrics`.

    Args:
        true: rows of each class, shape (..., classes).
        predicted: rows predicted as each class, likewise.
        both: rows of each class predicted as it, likewise.

    Returns:
        Shape (..., 6): macro precision, recall and F1, then weighted precision, recall and F1.
    """
    figures = (_ratio(both, predicted), _ratio(both, true), _ratio(2 * both, true + predicted))
    occurring = ((true + predicted) > 0).astype(np.float64)
    return np.stack([_mean(figure, weights) for weights in (occurring, true) for figure in figures], axis=-1)


def influences(counts: ClassCounts) -> tuple[FloatArray, FloatArray]:
    """The averaged figures, and by how much each group moves them.

    A group's influence is the figure less what it would be without the group, times the share of
    the rows that would be left. So the influences on a plain share sum up to 0, and on a figure that
    is biased by its curvature to minus the bias (Busing, Meijer and van der Leeden 1999, Statistics
    and Computing 9).

    Returns:
        The figures in the order of `averages`, shape (6,), and the influences, shape (groups, 6).
    """
    totals = counts.totals()
    figures = averages(*totals)
    matrices = [matrix.tocsr() for matrix in (counts.true, counts.predicted, counts.both)]
    without = [
        averages(*(total - matrix[part].toarray() for total, matrix in zip(totals, matrices, strict=True)))
        for part in _parts(len(counts.rows), len(totals[0]))
    ]
    left = 1 - counts.rows / counts.rows.sum()
    return figures, left[:, None] * (figures - np.concatenate(without))


def rows_if_alike(counts: ClassCounts) -> FloatArray:
    """How many rows would know a share as well as these know each average, were they independent.

    A small class in which nothing happened to be wrong moves no figure, and the variance that is
    seen misses it. So the variance is also reckoned from rates of error that are drawn towards the
    rate of all classes together, as if ten rows with that rate were added to each class (pseudo-Bayes
    estimates: Fienberg and Holland 1973, Journal of the American Statistical Association 68).

    Returns:
        In the order of `averages`, shape (6,).
    """
    true, predicted, both = counts.totals()
    figures = averages(true, predicted, both)
    missed, mistaken = _costs(true, predicted, both)
    # A row that is missed in one class is taken for another.
    missed_squared = missed * (missed + 2 * (predicted @ mistaken) / max(predicted.sum(), 1))
    variance = _variances(true, both) @ missed_squared + _variances(predicted, both) @ mistaken**2
    spread = figures * (1 - figures)
    # Where all is right or all is wrong: what the first row that is not would cost.
    extreme = _ratio((true @ missed + predicted @ mistaken) ** 2, true @ missed_squared + predicted @ mistaken**2)
    return np.where((spread > 0) & (variance > 0), _ratio(spread, variance), extreme)


def _costs(true: FloatArray, predicted: FloatArray, both: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What one more error costs each figure: a row of a class missed, a row mistaken for the class, (classes, 6) each."""
    figures, missed, mistaken = averages(true, predicted, both), [], []
    for part in _parts(len(true), len(true)):
        one = np.eye(part.stop - part.start, len(true), part.start)
        missed.append(figures - averages(true + 0 * one, predicted - one, both - one))
        mistaken.append(figures - averages(true + 0 * one, predicted + one, both + 0 * one))
    return np.concatenate(missed), np.concatenate(mistaken)


def _parts(length: int, width: int) -> list[slice]:
    """Cuts an array of that length and width into parts that fit the memory."""
    step = max(1, _MAX_CELLS // width)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _variances(rows: FloatArray, right: FloatArray) -> FloatArray:
    """Variance of the number of wrong rows of each class, by rates drawn together, shape (classes,)."""
    overall = 1 - right.sum() / max(rows.sum(), 1)
    rates = (rows - right + _ADDED_ROWS * overall) / (rows + _ADDED_ROWS)
    return np.asarray(rows * rates * (1 - rates))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    return _ratio((values * weights).sum(axis=-1), weights.sum(axis=-1))
