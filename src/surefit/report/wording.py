"""Figures in words, with as many digits as the test set can tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Of a text, no more is shown; the files have it whole.
_SHOWN_CHARACTERS = 600
_LEAST_DIGITS, _MOST_DIGITS = 2, 4
# The figures of a class, and why one of them that has no interval cannot be known.
UNKNOWN_OF_CLASS = {"precision": "never answered", "recall": "no test rows", "f1": "no rows"}


@dataclass(frozen=True)
class Wording:
    """How figures between 0 and 1 are written.

    Attributes:
        digits: behind the point.
    """

    digits: int

    @classmethod
    def of(cls, interval: Sequence[float]) -> Wording:
        """Digits enough to show the width of an interval with one of them, and no more.

        Args:
            interval: the narrowest of those that are to be shown.
        """
        width = interval[1] - interval[0]
        needed = _MOST_DIGITS if width <= 0 else math.ceil(-math.log10(width))
        return cls(min(max(needed, _LEAST_DIGITS), _MOST_DIGITS))

    def figure(self, value: float) -> str:
        """0.96."""
        return f"{value:.{self.digits}f}"

    def share(self, value: float) -> str:
        """96.1%."""
        return f"{value:.{self.digits - 1}%}"

    def between(self, interval: Sequence[float] | None) -> str:
        """0.92 to 0.98; without an interval, that there is none."""
        return "no interval" if interval is None else f"{self.figure(interval[0])} to {self.figure(interval[1])}"

    def share_between(self, interval: Sequence[float]) -> str:
        """92.5% to 97.8%."""
        return f"{self.share(interval[0])} to {self.share(interval[1])}"

    def estimate(self, value: float, interval: Sequence[float] | None) -> str:
        """0.96 (0.92 to 0.98)."""
        return f"{self.figure(value)} ({self.between(interval)})"


def points(value: float) -> str:
    """A difference in percentage points: +2.3."""
    return f"{value:+.1f}"


def points_between(interval: Sequence[float]) -> str:
    """The interval of such a difference."""
    return f"{points(interval[0])} to {points(interval[1])}"


def p_value(value: float) -> str:
    """0.003, or that it is less than can be shown; no line ends within it."""
    return "<\u00a00.001" if value < 0.001 else f"{value:.3f}"


def size(count: int) -> str:
    """481,087 bytes."""
    return f"{count:,} bytes"


def shortened(text: str) -> str:
    """A text as far as it is shown."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS].rstrip()}…"


def rows(count: int, what: str = "row") -> str:
    """1 row, 1,234 rows."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def listed(entries: Mapping[str, Any]) -> str:
    """Name and value of each entry: epochs = 3, head = softmax; what is not set is left out."""
    set_ = {name: value for name, value in entries.items() if value not in (None, "")}
    return ", ".join(f"{name.replace('_', ' ')} = {_plainly(value)}" for name, value in set_.items())


def _plainly(value: Any) -> str:
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def as_sentence(text: str) -> str:
    """A phrase with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
