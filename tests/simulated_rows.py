"""Rows whose true figures are known, drawn again and again to see how often intervals hold them."""

from dataclasses import dataclass

import numpy as np

from surefit.types import SINGLE_LABEL, LabelSchema


@dataclass(frozen=True)
class Population:
    """Classes of given shares, each decided right with the same chance, else taken for any other class.

    With `grouped`, about a third of the rows stand in groups of two to five that share class and fate.
    """

    shares: tuple[float, ...]
    accuracy: float
    rows: int
    grouped: bool = False

    @property
    def schema(self):
        return LabelSchema(SINGLE_LABEL, tuple(f"class {number}" for number in range(len(self.shares))))

    @property
    def macro_f1(self):
        shares, others = np.array(self.shares), len(self.shares) - 1
        predicted = shares * self.accuracy + (1 - shares) * (1 - self.accuracy) / others
        return float(np.mean(2 * shares * self.accuracy / (shares + predicted)))

    def groups(self, rng):
        sizes = []
        while self.grouped and sum(sizes) < self.rows // 3:
            sizes.append(int(rng.integers(2, 6)))
        sizes += [1] * (self.rows - sum(sizes))
        return np.repeat(np.arange(len(sizes)), sizes)

    def targets(self, groups, rng):
        return rng.choice(len(self.shares), size=groups[-1] + 1, p=self.shares)[groups]

    def answers(self, targets, groups, rng, luck=None):
        """What a classifier says; `luck` from 0 to 1 for each group decides who is right."""
        luck = rng.random(groups[-1] + 1) if luck is None else luck
        step = rng.integers(1, len(self.shares), size=groups[-1] + 1)
        return np.where(luck[groups] < self.accuracy, targets, (targets + step[groups]) % len(self.shares))


def lopsided(classes, rows, smallest=20):
    """Shares that fall by the same factor from class to class down to the smallest's rows."""
    factors = np.linspace(0.05, 1, 2_000)[:, None] ** np.arange(classes)
    shares = factors / factors.sum(axis=1, keepdims=True)
    return tuple(shares[np.argmin(np.abs(shares[:, -1] * rows - smallest))].tolist())


def held(intervals, truth):
    """Share of the intervals that hold the truth, one pair of limits a row."""
    limits = np.array(intervals)
    return float(np.mean((limits[:, 0] <= truth) & (truth <= limits[:, 1])))
