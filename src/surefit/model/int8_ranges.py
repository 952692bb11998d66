"""Which range of values each activation has, so that eight bits can hold it.

Ranges are found once, on training rows, and belong to the saved model: a text's answer then depends
neither on the machine nor on the texts beside it, as it would with ranges taken from each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

LEVELS = 255
# What the products of a layer read: its input, the context of its attention, what stands between its two
# halves, and the output of the activation function.
PLACES = ("hidden", "context", "middle", "active")
_FLOAT = torch.finfo(torch.float32)
# One channel in so many may be an outlier.
_CHANNELS_PER_OUTLIER = 100
_LEAST_REACH = 1e-30


@dataclass(frozen=True)
class Range:
    """What the levels 0 to 255 stand for; zero is one of them.

    A few channels reach several times as far as all others, in every BERT (Kovaleva et al. 2021, "BERT
    Busters"). Levels wide enough for them would be too coarse for the rest.

    Attributes:
        scale: from one level to the next, a normal number of float32.
        zero_point: the level of zero.
        outliers: channel -> how many times further it reaches than the others; its levels are so many
            times as wide, or it is computed apart.
    """

    scale: float
    zero_point: int
    outliers: Mapping[int, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        scale_fits = isinstance(self.scale, float) and _FLOAT.tiny <= self.scale <= _FLOAT.max
        if not (scale_fits and type(self.zero_point) is int and 0 <= self.zero_point <= LEVELS):
            raise ValueError("a range needs a positive scale and a zero point from 0 to 255")
        if not all(
            channel >= 0 and isinstance(times, float) and 1 < times < _FLOAT.max for channel, times in self.outliers.items()
        ):
            raise ValueError("outliers are channels that reach further than others")


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
    """Finds ranges from how far values reach in each channel.

    Ranges hold all values that were seen, but for outliers. Ends drawn in to the least squared error,
    as is usual where outliers are not looked after, moved answers further in our trials: the few tokens
    that reach far matter.
    """

    def __init__(self) -> None:
        self._ends: dict[str, tuple[Tensor, Tensor]] = {}

    def see(self, name: str, values: Tensor) -> None:
        """Takes values of an activation, shape (tokens, channels)."""
        low, high = torch.aminmax(values.float(), dim=0)
        if name in self._ends:
            low, high = torch.minimum(low, self._ends[name][0]), torch.maximum(high, self._ends[name][1])
        self._ends[name] = low.clamp_max(0), high.clamp_min(0)

    def ranges(self) -> dict[str, Range]:
        """Of each activation that was seen."""
        return {name: _range(*ends) for name, ends in self._ends.items()}


def _range(low: Tensor, high: Tensor) -> Range:
    """The range of an activation whose channels reach so far down and up, both of shape (channels,)."""
    reach = torch.maximum(-low, high)
    furthest = reach.topk(len(reach) // _CHANNELS_PER_OUTLIER + 1)
    *outlying, limit = zip(furthest.indices.tolist(), furthest.values.tolist(), strict=True)
    if limit[1] < _LEAST_REACH:  # nearly all are zero, so that no levels can be made for them
        outlying, limit = [], (0, float(reach.max()))
    if limit[1] < _LEAST_REACH:
        return Range(1.0, 0)
    outliers = {channel: own / limit[1] for channel, own in outlying if own > limit[1]}
    width = widths(outliers, len(reach))
    lowest, highest = float((low / width).min()), float((high / width).max())
    scale = (highest - lowest) / LEVELS
    return Range(scale, round(-lowest / scale), outliers)


def widths(outliers: Mapping[int, float], channels: int) -> Tensor:
    """How many times as wide as usual each channel's levels are, shape (channels,)."""
    found = torch.ones(channels)
    found[list(outliers)] = torch.tensor(list(outliers.values()))
    return found


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
        ranges = {
            name: [own.scale, own.zero_point, {str(channel): times for channel, times in own.outliers.items()}]
            for name, own in self.ranges.items()
        }
        return {"safe": self.safe, "ranges": ranges}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Int8Facts:
        """Takes what `to_json` gave.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is something else.
        """
        ranges = {
            name: Range(scale, zero_point, {int(channel): times for channel, times in outliers.items()})
            for name, (scale, zero_point, outliers) in content["ranges"].items()
        }
        if not ranges or not isinstance(content["safe"], bool):
            raise ValueError("there must be ranges, and whether they are safe")
        return cls(ranges, content["safe"])
