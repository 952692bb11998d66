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

    def __str__(self) -> str:
        return f"{self.points:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


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
    return mean_over_corpora([outcomes], resamples, seed)


def mean_over_corpora(corpora: Sequence[Sequence[PairedOutcome]], resamples: int = 10_000, seed: int = 0) -> PooledDifference:
    """The mean of the corpora's pooled differences, each corpus counting the same whatever its size.

    The 95% interval is that of `pool`: rows are drawn within each corpus, with all their answers, and
    the mean is taken of each drawing. It speaks of other rows of these corpora, not of other corpora.

    Args:
        corpora: the outcomes of each corpus, one a run; at least one corpus with at least one run.
        resamples: how often the rows are drawn.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    points, drawn = zip(*(_differences(outcomes, resamples, generator) for outcomes in corpora), strict=True)
    low, high = np.percentile(np.mean(drawn, axis=0), (2.5, 97.5))
    answers = sum(len(outcome.ids) for outcomes in corpora for outcome in outcomes)
    return PooledDifference(float(np.mean(points)), float(low), float(high), answers)


def _differences(
    outcomes: Sequence[PairedOutcome], resamples: int, generator: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """One corpus' difference in points: of all its rows, and of rows drawn again and again, shape (resamples,)."""
    ids = np.concatenate([outcome.ids for outcome in outcomes])
    gains = np.concatenate([outcome.first.astype(np.int64) - outcome.second.astype(np.int64) for outcome in outcomes])
    rows, row_of_answer = np.unique(ids, return_inverse=True)
    gain = np.bincount(row_of_answer, weights=gains)
    answers = np.bincount(row_of_answer)
    differences = np.empty(resamples)
    for resample in range(resamples):
        drawn = generator.integers(0, len(rows), len(rows))
        differences[resample] = gain[drawn].sum() / answers[drawn].sum()
    return 100 * float(gain.sum() / answers.sum()), 100 * differences
