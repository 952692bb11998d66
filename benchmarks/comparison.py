"""SureFit and its peers in turns, each in a process of its own."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from benchmarks.machine import peak_flops
from benchmarks.side_process import SideError, SideProcess

SUREFIT = "surefit"
# Between sides, until the threads of the one before no longer wait for work on the cores.
_PAUSE_SECONDS = 0.3


def add_limit(flags: argparse.ArgumentParser) -> None:
    """The flag for `Comparison`'s limit."""
    advice = "seconds that a side may take to get ready, and for each turn, before it is left out (default: %(default)s)"
    flags.add_argument("--limit", type=float, default=900, help=advice)


class Comparison:
    """The sides, of which one that fails or takes too long is left out, and that is said.

    Args:
        limit: seconds that a side may take to get ready, and for each turn.
        required: sides without which there is nothing to compare.

    Attributes:
        sides: those that are ready, by name.
        left_out: why the others are not, a sentence each, by name.
    """

    def __init__(self, limit: float, required: Sequence[str] = (SUREFIT,)) -> None:
        self._limit, self._required = limit, required
        self.sides: dict[str, SideProcess] = {}
        self.left_out: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for side in self.sides.values():
            side.close()

    def start(self, name: str, builder: str, *arguments: Any) -> SideProcess | None:
        """Has a side made in a new process, in the place of one of that name; see `SideProcess`.

        Returns:
            the side; None where it is left out.
        """
        _say(f"{name}: getting ready")
        if name in self.sides:
            self.sides.pop(name).close()
        with self.leaving_out(name):
            self.sides[name] = SideProcess(builder, *arguments, limit=self._limit)
        return self.sides.get(name)

    @contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Leaves the side out where it gives no answer."""
        try:
            yield
        except SideError as error:
            self.leave_out(name, str(error))

    def leave_out(self, name: str, reason: str) -> None:
        """Goes on without a side.

        Raises:
            SystemExit: it is one of the required ones.
        """
        if name in self._required:
            raise SystemExit(f"error: {name} {reason}; there is nothing to compare with")
        self.sides.pop(name, None)
        self.left_out[name] = reason
        _say(f"{name}: left out, since it {reason}")

    def take_turns(self, turns: int, work: Callable[[str, int], float], flops_per_row: float) -> dict[str, Any]:
        """Times all sides in turns, so that the machine's drifting speed meets all of them.

        Args:
            turns: turns that count; one more, turn 0, warms up.
            work: has the named side work through the turn's rows and returns its rows per second.
            flops_per_row: floating-point operations of a plain model on the row's own tokens, on average.

        Returns:
            `peak_tflops`, of bf16 products timed in the same turns, and of each of the `sides` the medians
            of its turns; the ratio is the median of the turns' ratios.
        """
        rates: dict[str, list[float]] = {name: [] for name in self.sides}
        peaks = []
        for turn in range(turns + 1):
            peaks.append(peak_flops())
            for name in list(self.sides)[:: -1 if turn % 2 else 1]:  # nobody always comes after the same side
                time.sleep(_PAUSE_SECONDS)
                with self.leaving_out(name):
                    rate = work(name, turn)
                    _say(f"turn {turn}, {name}: {rate:.1f} rows/s")
                    if turn:
                        rates[name].append(rate)
        peak = statistics.median(peaks)
        return {
            "peak_tflops": round(peak / 1e12, 3),
            "sides": {
                name: {
                    "rows_per_second": round(statistics.median(rates[name]), 1),
                    "rows_per_second_of_turns": [round(rate, 1) for rate in rates[name]],
                    "share_of_peak": round(statistics.median(rates[name]) * flops_per_row / peak, 4),
                    "surefit_is_faster_by": round(median_ratio(rates[SUREFIT], rates[name]), 3),
                    "peak_memory_mib": round(side.peak_memory_mib),
                }
                for name, side in self.sides.items()
            },
        }


def median_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of the turns' ratios."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
