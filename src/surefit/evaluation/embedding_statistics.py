"""Where the embeddings of rows lie and how far they spread, so that others can be compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.evaluation.distribution import Distribution, number_in, numbers_in, object_in, quantile_edges
from surefit.types import FloatArray

# The test of means rests on variances, which need some rows.
_LEAST_ROWS = 5
_FAR = 0.99
_SMALLEST_SPREAD = 1e-3
_DIGITS = 5


@dataclass(frozen=True)
class EmbeddingStatistics:
    """Where the embeddings of rows lie and how far they spread.

    A dimension is measured from its centre in its own spread, since a few dimensions of a BERT are many
    times as large as all others and would hide them. A row is then so far from the centre, in some
    direction, a vector of length 1. Directions have a mean to which no single row adds more than another,
    so that a few outlying rows are not taken for a shift of all (Wang, Peng and Li 2015, "A
    High-Dimensional Nonparametric Multivariate Test for Mean Vector", JASA 110).

    Attributes:
        centre: mean of each dimension, of the half that sets the scale.
        spread: standard deviation of each dimension there, at least a thousandth of the largest.
        direction: mean of the other half's directions.
        variance: of these directions, the sum over dimensions.
        squared_covariance: sum of the squares of their covariances: the square of the variance where all of
            it lies in one dimension, less the more dimensions share it.
        deviation_variance: variance of the squared distances of the directions from their mean.
        distances: of the other half from the centre, with an edge at the 99th percentile of the first.
        far: that percentile.
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    direction: tuple[float, ...]
    variance: float
    squared_covariance: float
    deviation_variance: float
    distances: Distribution
    far: float

    def __post_init__(self) -> None:
        if not 0 < len(self.centre) == len(self.spread) == len(self.direction) or min(self.spread) <= 0:
            raise ValueError("embedding statistics need a centre, a positive spread and a direction for each dimension")
        if min(self.variance, self.squared_covariance) <= 0 or self.far not in self.distances.edges:
            raise ValueError("embedding statistics need positive variances, and an edge at the distance that is far")

    @classmethod
    def from_json(cls, entry: Any) -> EmbeddingStatistics:
        """Reads what `dataclasses.asdict` made, strictly; raises as `Distribution.from_json`."""
        read = object_in(entry)
        return cls(
            numbers_in(read["centre"]),
            numbers_in(read["spread"]),
            numbers_in(read["direction"]),
            number_in(read["variance"]),
            number_in(read["squared_covariance"]),
            number_in(read["deviation_variance"]),
            Distribution.from_json(read["distances"]),
            number_in(read["far"]),
        )

    @classmethod
    def of(cls, scale: NDArray[np.float32], measured: NDArray[np.float32]) -> EmbeddingStatistics | None:
        """Of the embeddings of both halves, each of shape (rows, hidden).

        Returns:
            None where a half has fewer than five rows, or rows that are all the same.
        """
        if min(len(scale), len(measured)) < _LEAST_ROWS:
            return None
        spread = scale.std(axis=0, ddof=1, dtype=np.float64)
        if not spread.max() > 0:
            return None
        centre = _rounded(scale.mean(axis=0, dtype=np.float64))
        spread = _rounded(np.maximum(spread, _SMALLEST_SPREAD * spread.max()))
        own_distances, _ = distances_and_directions(scale, centre, spread)
        far = float(np.quantile(own_distances, _FAR, method="inverted_cdf"))
        distances, directions = distances_and_directions(measured, centre, spread)
        deviations = directions - directions.mean(axis=0)
        squared = np.square(deviations).sum(axis=1)
        variance = float(squared.sum() / (len(measured) - 1))
        if not variance > 0:
            return None
        return cls(
            tuple(centre.tolist()),
            tuple(spread.tolist()),
            tuple(_rounded(directions.mean(axis=0)).tolist()),
            variance,
            _squared_covariance(deviations, variance),
            float(squared.var(ddof=1)),
            Distribution.of(distances, quantile_edges(own_distances, (_FAR,))),
            far,
        )


def distances_and_directions(
    embeddings: NDArray[np.float32], centre: Sequence[float] | FloatArray, spread: Sequence[float] | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How far embeddings are from a centre and in which directions.

    Args:
        embeddings: shape (n, hidden).
        centre: of each dimension.
        spread: of each dimension.

    Returns:
        The distances, shape (n,), and vectors of length 1, shape (n, hidden), of zeros for a row at the centre.
    """
    standardised = (embeddings.astype(np.float64) - np.asarray(centre)) / np.asarray(spread)
    distances = np.sqrt(np.square(standardised).sum(axis=1))
    return distances, standardised / np.where(distances > 0, distances, 1.0)[:, None]


def _squared_covariance(deviations: FloatArray, variance: float) -> float:
    """Sum of the squared covariances, without what chance adds to those of a sample.

    Products of different rows estimate it whatever the rows' distribution (Chen and Qin 2010, "A two-sample
    test for high-dimensional data", Annals of Statistics 38, section 3).

    Args:
        deviations: of each row from the mean, shape (rows, dimensions).
        variance: their sum of variances.
    """
    rows, dimensions = deviations.shape
    with_themselves = np.square(np.square(deviations).sum(axis=1)).sum()
    found = (np.square(deviations.T @ deviations).sum() - with_themselves) / (rows * (rows - 1))
    return float(np.clip(found, variance**2 / dimensions, variance**2))


def _rounded(values: FloatArray) -> FloatArray:
    """As many digits as the shifts that are looked for need, so that they take little room in a file."""
    return np.array([float(f"{value:.{_DIGITS}g}") for value in values])
