"""Easy, hard and ambiguous rows by how training went ("dataset cartography", Swayamdipta et al. 2020, EMNLP, section 2).

Of each training row three figures over the epochs: confidence (mean probability of the given class), variability (its
standard deviation) and correctness (share of the epochs in which the row was decided right). The paper names three
regions of the map of confidence and variability: easy to learn (high, low), hard to learn (low, low) and ambiguous
(high variability). It draws no borders, and borders at fixed probabilities would mean something else for 77 classes
than for two. Here correctness cuts the regions, which needs no threshold; the other two rank the rows within them:

- easy: right in every epoch, the highest confidence first;
- hard: right in none, the lowest confidence first; wrong labels are found here;
- ambiguous: all others, the highest variability first.

After one epoch variability is zero and no row is ambiguous. After two or three the figures are coarse, and a row that
was only learned late counts as ambiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from surefit.types import FloatArray, Int64Array

Region = Literal["easy", "ambiguous", "hard"]
REGIONS: tuple[Region, ...] = get_args(Region)
_EXAMPLES = 3
# Cells of the drawn map: confidence goes from 0 to 1, the standard deviation of a probability to a half at most.
_CONFIDENCE_CELLS, _VARIABILITY_CELLS = 20, 10
_MOST_VARIABILITY = 0.5


@dataclass(frozen=True)
class MapCell:
    """Rows of one region whose figures are close to each other.

    Attributes:
        region: theirs.
        confidence: the middle of the cell.
        variability: the middle of the cell.
        rows: how many there are.
    """

    region: Region
    confidence: float
    variability: float
    rows: int


@dataclass(frozen=True, eq=False)
class DataMap:
    """Where each training row stands.

    Attributes:
        epochs: how many the figures are over.
        confidence: mean probability of the given class, shape (n,).
        variability: its standard deviation (of the epochs, not of a sample of them), shape (n,).
        correctness: share of the epochs in which the row was decided right, shape (n,).
    """

    epochs: int
    confidence: FloatArray
    variability: FloatArray
    correctness: FloatArray

    @cached_property
    def regions(self) -> NDArray[np.int8]:
        """Position in `REGIONS` of each row's region, shape (n,)."""
        regions = np.full(len(self.correctness), REGIONS.index("ambiguous"), dtype=np.int8)
        regions[self.correctness == 1] = REGIONS.index("easy")
        regions[self.correctness == 0] = REGIONS.index("hard")
        return regions

    @property
    def counts(self) -> Mapping[Region, int]:
        """Rows of each region."""
        counts = np.bincount(self.regions, minlength=len(REGIONS)).tolist()
        return dict(zip(REGIONS, counts, strict=True))

    def most_extreme(self, region: Region, most: int) -> Int64Array:
        """Positions of the rows that are most what their region is called, the most so first, shape (m,).

        Args:
            region: which one.
            most: so many at most.
        """
        ranks = {"easy": -self.confidence, "ambiguous": -self.variability, "hard": self.confidence}
        own = np.flatnonzero(self.regions == REGIONS.index(region))
        return own[np.argsort(ranks[region][own], kind="stable")][:most]

    @property
    def cells(self) -> tuple[MapCell, ...]:
        """The map in cells that hold rows, region by region."""
        found = []
        for place, region in enumerate(REGIONS):
            own = self.regions == place
            counts, confidence, variability = np.histogram2d(
                self.confidence[own],
                self.variability[own],
                bins=(_CONFIDENCE_CELLS, _VARIABILITY_CELLS),
                range=((0, 1), (0, _MOST_VARIABILITY)),
            )
            for column, line in np.argwhere(counts > 0).tolist():
                rows = int(counts[column, line])
                found.append(MapCell(region, _middle(confidence, column), _middle(variability, line), rows))
        return tuple(found)

    @property
    def sentence(self) -> str:
        """What the counts say, for people."""
        easy, ambiguous, hard = (f"{self.counts[region]:,}" for region in REGIONS)
        rows = f"of {len(self.correctness):,} training rows"
        if self.epochs == 1:
            return f"{rows} {easy} were right in the only epoch and {hard} were not; ambiguous rows show after two epochs"
        return f"{rows} {easy} were right in each of {self.epochs} epochs, {ambiguous} in some and {hard} in none"

    def to_dict(self, name_of: Callable[[int], str]) -> dict[str, Any]:
        """The summary, as `metrics.json` holds it.

        Args:
            name_of: what a row is called, by its position.
        """
        examples = {region: [name_of(row) for row in self.most_extreme(region, _EXAMPLES).tolist()] for region in REGIONS}
        cells = [asdict(cell) for cell in self.cells]
        return {
            "epochs": self.epochs,
            "counts": self.counts,
            "examples": examples,
            "cells": cells,
            "sentence": self.sentence,
        }


def _middle(ends: FloatArray, cell: int) -> float:
    return round(float(ends[cell] + ends[cell + 1]) / 2, 6)


def draw_data_map(given_probabilities: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> DataMap:
    """Draws the map of a training run.

    Args:
        given_probabilities: what each epoch said of the given class of each row, shape (epochs, n), at least one epoch.
        right: whether the row was decided right then, shape (epochs, n).
    """
    if given_probabilities.ndim != 2 or len(given_probabilities) == 0 or right.shape != given_probabilities.shape:
        raise ValueError(f"a data map needs shapes (epochs, n) of both, got {given_probabilities.shape} and {right.shape}")
    probabilities = given_probabilities.astype(np.float64)
    return DataMap(len(probabilities), probabilities.mean(axis=0), probabilities.std(axis=0), right.mean(axis=0))
