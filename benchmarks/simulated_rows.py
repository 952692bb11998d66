"""Rows whose true figures are known, drawn again and again to see how often intervals hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surefit.types import SINGLE_LABEL, FloatArray, Int64Array, LabelSchema


@dataclass(frozen=True)
class Population:
    """Classes of given shares, each decided right with the same chance, else taken for any other class.

    Attributes:
        shares: of the classes; they add up to 1.
        accuracy: the chance of a right answer.
        rows: how many are drawn.
        grouped: whether about a third of the rows stand in groups of two to five that share class and fate.
    """

    shares: tuple[float, ...]
    accuracy: float
    rows: int
    grouped: bool = False

    @property
    def schema(self) -> LabelSchema:
        return LabelSchema(SINGLE_LABEL, tuple(f"class {number}" for number in range(len(self.shares))))

    @property
    def macro_f1(self) -> float:
        """Of all rows that could be drawn."""
        shares, others = np.array(self.shares), len(self.shares) - 1
        predicted = shares * self.accuracy + (1 - shares) * (1 - self.accuracy) / others
        return float(np.mean(2 * shares * self.accuracy / (shares + predicted)))

    def groups(self, rng: np.random.Generator) -> Int64Array:
        """Group of each row, shape (rows,)."""
        sizes: list[int] = []
        while self.grouped and sum(sizes) < self.rows // 3:
            sizes.append(int(rng.integers(2, 6)))
        sizes += [1] * (self.rows - sum(sizes))
        return np.repeat(np.arange(len(sizes)), sizes)

    def targets(self, groups: Int64Array, rng: np.random.Generator) -> Int64Array:
        """True class of each row, shape (rows,)."""
        return rng.choice(len(self.shares), size=groups[-1] + 1, p=self.shares)[groups]

    def answers(
        self, targets: Int64Array, groups: Int64Array, rng: np.random.Generator, luck: FloatArray | None = None
    ) -> Int64Array:
        """What a classifier says, shape (rows,).

        Args:
            targets: the true classes.
            groups: the rows' groups.
            rng: source of chance.
            luck: from 0 to 1 for each group, decides who is right; drawn when not given.
        """
        luck = rng.random(groups[-1] + 1) if luck is None else luck
        step = rng.integers(1, len(self.shares), size=groups[-1] + 1)
        return np.where(luck[groups] < self.accuracy, targets, (targets + step[groups]) % len(self.shares))


def lopsided(classes: int, rows: int, smallest: int = 20) -> tuple[float, ...]:
    """Shares that fall by the same factor from class to class down to the smallest's rows."""
    factors = np.linspace(0.05, 1, 2_000)[:, None] ** np.arange(classes)
    shares = factors / factors.sum(axis=1, keepdims=True)
    return tuple(shares[np.argmin(np.abs(shares[:, -1] * rows - smallest))].tolist())


def held(intervals: Sequence[Sequence[float] | None], truth: float) -> float:
    """Share of the intervals that hold the truth, one pair of limits a row."""
    limits = np.array(intervals)
    return float(np.mean((limits[:, 0] <= truth) & (truth <= limits[:, 1])))
