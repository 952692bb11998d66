"""The difference in accuracy of two classifiers that answered the same test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PairedOutcome:
    """Who was right on each test row of one run.

    Attributes:
        ids: row number in the corpus, shape (n,).
        first: whether the first classifier is right, shape (n,).
        second: whether the second classifier is right, shape (n,).
    """

    ids: NDArray[np.int64]
    first: NDArray[np.bool_]
    second: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.ids.shape == self.first.shape == self.second.shape:
            raise ValueError("both classifiers must have answered the same rows")

    @property
    def difference(self) -> float:
        """Accuracy of the first less accuracy of the second, in points."""
        return 100 * float(self.first.mean() - self.second.mean())


@dataclass(frozen=True)
class PooledDifference:
    """Accuracy of the first less accuracy of the second over several runs.

    Attributes:
        points: the difference in percentage points.
        low: lower end of its 95% interval.
        high: upper end of its 95% interval.
        answers: test rows over all runs, a row counting in each run that tested it.
    """

    points: float
    low: float
    high: float
    answers: int


def pool(outcomes: Sequence[PairedOutcome], resamples: int = 10_000, seed: int = 0) -> PooledDifference:
    """Pools runs with different seeds, with a 95% interval by the paired bootstrap over rows.

    A row that several runs tested is drawn with all its answers or not at all, since answers to one
    row are alike (a cluster bootstrap: Efron and Tibshirani 1993, chapters 6 and 13, percentile
    interval). The interval speaks of other rows for these training runs; how far other seeds
    would differ shows in the spread of the runs, which three runs are too few to put in an interval.

    Args:
        outcomes: one a run, at least one.
        resamples: how often the rows are drawn.
        seed: of the drawing.
    """
    ids = np.concatenate([outcome.ids for outcome in outcomes])
    gains = np.concatenate([outcome.first.astype(np.int64) - outcome.second.astype(np.int64) for outcome in outcomes])
    rows, row_of_answer = np.unique(ids, return_inverse=True)
    gain = np.bincount(row_of_answer, weights=gains)
    answers = np.bincount(row_of_answer)
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for resample in range(resamples):
        drawn = generator.integers(0, len(rows), len(rows))
        differences[resample] = gain[drawn].sum() / answers[drawn].sum()
    low, high = np.percentile(100 * differences, (2.5, 97.5))
    return PooledDifference(100 * float(gain.sum() / answers.sum()), float(low), float(high), len(ids))
