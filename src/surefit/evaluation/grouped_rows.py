"""How surely a figure is known that was measured on rows of which some belong together.

Rows with nearly the same text are right or wrong together, so a test set with many of them says
less than its number of rows. All that is computed here takes groups of rows as what was drawn, and
asks how much each group moved the figure (its influence, u in formulas). The sum of the squared
influences is the variance of the figure.

Intervals of figures from 0 to 1 are Wilson's score interval (Wilson 1927, Journal of the American
Statistical Association 22) for the effective number of rows, that is the number of independent rows
that would know the figure p as well: p (1 - p) over the variance of p (Kish 1965, Survey
Sampling; for Wilson's interval Franco, Little, Louis and Slud 2019, Journal of Survey Statistics
and Methodology 7). The variance is itself an estimate, whence Student's t stands for the normal
quantile (Korn and Graubard 1998, Survey Methodology 24), with Satterthwaite's degrees of freedom, 2
over the variance of the variance's logarithm. Only what is left of the variance once p (1 - p) is
divided out counts there, since Wilson's interval knows that much by itself: where each row is a group
of its own, a share gets Wilson's own interval.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from surefit.types import FloatArray, Int64Array

Interval = tuple[float, float]


def share_interval(right: FloatArray, rows: FloatArray, level: float) -> Interval | None:
    """Interval of a share of rows; None where there are no rows.

    Args:
        right: the rows of each group that count for the share, shape (groups,).
        rows: all rows of each group, shape (groups,). Groups without rows are passed over.
        level: of the confidence, as 0.95.
    """
    present = rows > 0
    right, rows = right[present], rows[present]
    if len(rows) == 0:
        return None
    share = float(right.sum() / rows.sum())
    return score_interval(share, (right - share * rows) / rows.sum(), effective_rows(right, rows, share), level)


def share_of_rows(hits: NDArray[np.bool_], groups: Int64Array, level: float = 0.95) -> Interval | None:
    """Interval of the share of rows that are hits; None where there are no rows.

    Args:
        hits: shape (n,).
        groups: rows that belong together share a number, shape (n,).
        level: of the confidence.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    of_groups, rows = np.bincount(numbers[hits], minlength=numbers.max(initial=-1) + 1), np.bincount(numbers)
    return share_interval(of_groups.astype(np.float64), rows.astype(np.float64), level)


def mean_of_rows(values: FloatArray, groups: Int64Array, level: float = 0.95) -> Interval | None:
    """Interval of the mean of values that are never negative, as `mean_interval`; None without rows.

    Args:
        values: shape (n,).
        groups: rows that belong together share a number, shape (n,).
        level: of the confidence.
    """
    if not len(values):
        return None
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return mean_interval(np.bincount(numbers, weights=values).astype(np.float64), sizes.astype(np.float64), level)


def share_difference_interval(first: float, of_first: Interval, second: float, of_second: Interval) -> Interval:
    """Interval of the difference of two shares of different rows, from their own (Newcombe 1998, Statistics in Medicine 17).

    Args:
        first: a share.
        of_first: its interval.
        second: the share that is taken from it.
        of_second: its interval.
    """
    difference = first - second
    below = math.hypot(first - of_first[0], of_second[1] - second)
    above = math.hypot(of_first[1] - first, second - of_second[0])
    return difference - below, difference + above


def effective_rows(sums: FloatArray, rows: FloatArray, mean_square: float) -> float:
    """How many independent rows would know a mean of small whole numbers as well.

    Wilson's interval reckons with z^2 / 2, about two, wrong rows more than were seen. Whether one
    of them would come alone cannot be seen, so they are taken to come in groups as large as those
    of the test set, wrong together. Where nothing is wrong, nothing else is known.

    Args:
        sums: sum of the values of each group's rows, shape (groups,).
        rows: all rows of each group, shape (groups,), at least 1 each.
        mean_square: mean over the rows of the squared values, which for a share is the share.
    """
    groups, mean = len(rows), float(sums.sum() / rows.sum())
    variance = float(np.sum((sums - mean * rows) ** 2)) / float(rows.sum()) ** 2
    return (groups * (mean_square - mean**2) + 2) / (groups * variance + 2 / kish_rows(rows))


def kish_rows(rows: FloatArray) -> float:
    """Effective number of rows where all rows of a group are right or wrong together (Kish 1965).

    Args:
        rows: all rows of each group, shape (groups,), at least 1 each.
    """
    return float(rows.sum() ** 2 / np.sum(rows**2))


def score_interval(figure: float, influences: FloatArray, rows: float, level: float) -> Interval:
    """Wilson's interval of a share, or of a mean of shares (see the module's text).

    Args:
        figure: from 0 to 1, as measured.
        influences: by how much each group moved it, shape (groups,). Their sum is 0 for a plain
            share; else minus the sum is the jackknife's estimate of the bias, which is taken off.
        rows: effective number of rows.
        level: of the confidence, as 0.95.
    """
    centred = influences - influences.mean()
    variance, spread = float(np.sum(centred**2)), figure * (1 - figure)
    freedom = math.inf
    if variance > 0 and spread > 0:
        freedom = _degrees_of_freedom(centred**2 / variance - 1 / len(centred) - centred * (1 - 2 * figure) / spread)
    unbiased = min(max(figure + float(influences.sum()), 0.0), 1.0)
    added = _quantile(level, freedom) ** 2 / rows
    half = math.sqrt(added * (unbiased * (1 - unbiased) + added / 4))
    low, high = (unbiased + added / 2 - half) / (1 + added), (unbiased + added / 2 + half) / (1 + added)
    # Rounding may leave the limit of a figure of 0 or 1 just short of it.
    return max(min(low, figure), 0.0), min(max(high, figure), 1.0)


def mean_interval(sums: FloatArray, rows: FloatArray, level: float) -> Interval | None:
    """Interval of the mean of values that are never negative and may have a long tail, as losses are.

    It is Student's on the scale of logarithms, which makes long tails less lopsided, with
    Satterthwaite's degrees of freedom.

    Args:
        sums: sum of the values of each group's rows, shape (groups,).
        rows: number of rows of each group, shape (groups,), at least 1 each.
        level: of the confidence, as 0.95.

    Returns:
        The interval; None where all groups have the same mean, so that nothing says how far others
        would be from it.
    """
    groups, mean = len(rows), float(sums.sum() / rows.sum())
    influences = (sums - mean * rows) / rows.sum()
    variance = float(np.sum(influences**2))
    if math.sqrt(variance) <= 1e-9 * mean:
        return None
    quantile = _quantile(level, _degrees_of_freedom(influences**2 / variance - 1 / groups))
    half = quantile * math.sqrt(variance * groups / (groups - 1)) / mean
    return mean * math.exp(-half), mean * math.exp(half)


def difference_interval(difference: float, influences: FloatArray, row_square: float, level: float) -> Interval:
    """Interval of the difference between two figures of the same rows, each from 0 to 1.

    It is the adjusted Wald interval of Bonett and Price (2012, Journal of Educational and Behavioral
    Statistics 37), which adds one row that favours either side, so that two classifiers that answer
    alike are not taken for the same. The variance is that between groups, with one degree of freedom
    less than there are groups; of a single group nothing is known.

    Args:
        difference: the first figure less the second.
        influences: by how much each group moved the difference, shape (groups,).
        row_square: mean square of the weights of the rows in a figure, 1 / n^2 where all weigh the same.
        level: of the confidence, as 0.95.
    """
    groups = len(influences)
    if groups == 1:
        return -1.0, 1.0
    variance = float(np.sum((influences - influences.mean()) ** 2)) + 2 * row_square
    half = _quantile(level, groups - 1) * math.sqrt(variance) * groups / (groups + 2)
    centre = difference * groups / (groups + 2)
    return max(min(centre - half, difference), -1.0), min(max(centre + half, difference), 1.0)


def _degrees_of_freedom(moved: FloatArray) -> float:
    """Satterthwaite's: those of the chi-squared distribution whose logarithm varies as much.

    Args:
        moved: by how much each group moved the logarithm of a variance, shape (groups,).
    """
    return 2 / max(float(np.sum(moved**2)), float(np.finfo(np.float64).eps))


def _quantile(level: float, degrees_of_freedom: float) -> float:
    """Of Student's t: how many standard errors an interval reaches to either side."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, (1 + level) / 2))
