"""How values are distributed, in counts, and how such figures are read again from JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.types import Int64Array

_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Distribution:
    """How values are distributed: counts in bins, and the mean.

    Attributes:
        mean: of the values.
        edges: rising; bin i holds values over edges[i - 1] and up to edges[i], the last bin those over all edges.
        counts: values in each bin, one bin more than there are edges.
    """

    mean: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.edges, self.edges[1:], strict=False))
        if not self.edges or not rising or len(self.counts) != len(self.edges) + 1:
            raise ValueError("a distribution needs rising edges and a count for each bin between and around them")

    @classmethod
    def from_json(cls, entry: Any) -> Distribution:
        """Reads what `dataclasses.asdict` made, strictly.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it is damaged; OverflowError by a number of
                hundreds of digits.
        """
        read = object_in(entry)
        return cls(number_in(read["mean"]), numbers_in(read["edges"]), counts_in(read["counts"]))

    @classmethod
    def of(cls, values: NDArray[Any], edges: Sequence[float]) -> Distribution:
        """The distribution of values, shape (n,), in bins with the given edges."""
        return cls(float(values.mean()), tuple(edges), tuple(binned(values, edges).tolist()))


def binned(values: NDArray[Any], edges: Sequence[float]) -> Int64Array:
    """How many values, shape (n,), fall into each bin of `Distribution`, shape (bins,)."""
    bins = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="left")
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.int64)


def quantile_edges(values: NDArray[Any], more: Sequence[float] = ()) -> list[float]:
    """Edges at tenths of the values, and around all of them, so that what was never seen has bins of its own.

    Args:
        values: shape (n,).
        more: other shares of the values to have an edge at.
    """
    inner = np.quantile(values, (*_QUANTILES, *more), method="inverted_cdf")
    below = np.nextafter(float(values.min()), -np.inf)
    return [float(edge) for edge in np.unique([below, *inner, float(values.max())])]


def object_in(value: Any) -> Mapping[str, Any]:
    """A JSON object; the functions below likewise read one kind of value and raise ValueError at others."""
    if not isinstance(value, dict):
        raise ValueError(f"a value that must be an object, got {type(value).__name__}")
    return value


def number_in(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a value that must be a finite number, got {value!r}")
    return float(value)


def count_in(value: Any) -> int:
    """A whole number from 0 on."""
    if type(value) is not int or not 0 <= value <= 2**53:
        raise ValueError(f"a value that must be a count, got {value!r}")
    return value


def numbers_in(value: Any) -> tuple[float, ...]:
    """A list of finite numbers."""
    return tuple(map(number_in, _list_in(value)))


def counts_in(value: Any) -> tuple[int, ...]:
    """A list of whole numbers from 0 on."""
    return tuple(map(count_in, _list_in(value)))


def _list_in(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"a value that must be a list, got {type(value).__name__}")
    return value
