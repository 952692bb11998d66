"""Which range of values each activation has, so that eight bits can hold it.

Ranges are found once, on training rows, and belong to the saved model: a text's answer then depends
neither on the machine nor on the texts beside it, as it would with ranges taken from each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LEVELS = 255
# What the products of a layer read: its input, the context of its attention, what stands between its two
# halves, and the output of the activation function.
PLACES = ("hidden", "context", "middle", "active")
_BINS = 2048
_FLOAT = torch.finfo(torch.float32)
_SHRINKINGS = 80


@dataclass(frozen=True)
class Range:
    """What the levels 0 to 255 stand for; zero is one of them.

    Attributes:
        scale: from one level to the next, a normal number of float32.
        zero_point: the level of zero.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        scale_fits = isinstance(self.scale, float) and _FLOAT.tiny <= self.scale <= _FLOAT.max
        if not (scale_fits and type(self.zero_point) is int and 0 <= self.zero_point <= LEVELS):
            raise ValueError("a range needs a positive scale and a zero point from 0 to 255")


# Name of an activation ("LAYER PLACE") -> its range.
Ranges = Mapping[str, Range]
# Told of each activation: its name and its values.
Observe = Callable[[str, Tensor], None]


def activation_name(layer: int, place: str) -> str:
    """The name of an activation.

    Args:
        layer: number of the layer.
        place: one of `PLACES`.
    """
    return f"{layer} {place}"


class RangeFinder:
    """Finds ranges in two passes over the same rows: first how far values reach, then how they lie."""

    def __init__(self) -> None:
        self._reach: dict[str, tuple[float, float]] = {}
        self._histograms: dict[str, Tensor] = {}

    def see_reach(self, name: str, values: Tensor) -> None:
        """First pass."""
        low, high = (float(end) for end in torch.aminmax(values))
        known = self._reach.get(name, (0.0, 0.0))
        self._reach[name] = (min(low, known[0]), max(high, known[1]))

    def see_values(self, name: str, values: Tensor) -> None:
        """Second pass."""
        low, high = self._reach[name]
        counts = torch.histc(values.float(), _BINS, low, high).double()  # float32 cannot count beyond 2^24
        self._histograms[name] = counts + self._histograms.get(name, 0)

    def ranges(self) -> dict[str, Range]:
        """Of each activation that was seen."""
        return {name: self._range(name) for name in self._reach}

    def _range(self, name: str) -> Range:
        """The range with the least mean squared error, among those that shrink the reach in even steps.

        Source: Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3.1.
        """
        low, high = self._reach[name]
        if low == high:  # all zero
            return Range(1.0, 0)
        counts = self._histograms[name]
        centers = low + (torch.arange(_BINS, dtype=torch.float64) + 0.5) * (high - low) / _BINS
        errors = []
        shrunk = [1 - step / (_SHRINKINGS + 20) for step in range(_SHRINKINGS)]
        for factor in shrunk:
            scale = factor * (high - low) / LEVELS
            beyond = (centers - centers.clamp(factor * low, factor * high)).square()
            errors.append(float((counts * (beyond + scale**2 / 12)).sum()))
        factor = shrunk[min(range(_SHRINKINGS), key=errors.__getitem__)]
        scale = max(factor * (high - low) / LEVELS, _FLOAT.tiny)
        return Range(scale, round(-factor * low / scale))


@dataclass(frozen=True)
class Int8Facts:
    """What a saved model knows of predicting in int8.

    Attributes:
        ranges: of all activations.
        safe: whether it was found to change next to no answer.
    """

    ranges: Ranges
    safe: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `surefit.json`."""
        return {"safe": self.safe, "ranges": {name: [own.scale, own.zero_point] for name, own in self.ranges.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Int8Facts:
        """Takes what `to_json` gave.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is something else.
        """
        ranges = {name: Range(scale, zero_point) for name, (scale, zero_point) in content["ranges"].items()}
        if not ranges or not isinstance(content["safe"], bool):
            raise ValueError("there must be ranges, and whether they are safe")
        return cls(ranges, content["safe"])
