"""What was measured of this machine: kept in the user's cache, so that later processes choose alike and at once."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from surefit.artifacts import read_own_json, write_json
from surefit.errors import RunError, UsageError

# What tells one kind of processor from another in /proc/cpuinfo, on x86 and on Arm; a virtual machine's
# "model name" alone may stand for several.
_KIND_OF_PROCESSOR = frozenset(
    {"cpu family", "model", "model name", "stepping", "flags"}
    | {"CPU implementer", "CPU variant", "CPU part", "CPU revision", "Features"}
)
# Variables by which the libraries for products may be kept from using all that the processor can do.
_LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "MKL_ENABLE_INSTRUCTIONS",
)

_ROUNDS = 9
_WARM_UP_ROUNDS = 2
_MOST_APART = 1.1
_MOST_SPEEDUP = 1000.0


@dataclass(frozen=True)
class Figure:
    """A number that is measured of this machine, and kept under all that decides it.

    Attributes:
        name: what is measured; what is measured otherwise takes another name.
        device: that it is measured on.
        threads: processor threads that it is measured with.
    """

    name: str
    device: torch.device
    threads: int

    def kept(self) -> float | None:
        """What an earlier process measured, if any; whoever asks judges whether it can be."""
        path = _path()
        value = None if path is None else _read(path).get(self._machine, {}).get(self.name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def keep(self, value: float) -> None:
        """Keeps it for later processes; where nothing can be written, each of them measures for itself.

        Args:
            value: what was measured.
        """
        path = _path()
        if path is None:
            return
        machines = _read(path)  # again: another process may have written meanwhile
        machines.setdefault(self._machine, {})[self.name] = value
        with suppress(OSError, UsageError):
            write_json(path, {"machines": machines})

    @property
    def _machine(self) -> str:
        """All that decides speeds."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{processor_name()} ({processor_kind()}), {_cores()} cores, {threads}, torch {torch.__version__}, {device}"


def measured_speedup(
    name: str, device: torch.device, works: Callable[[], tuple[Callable[[], object], Callable[[], object]]]
) -> float:
    """How many times faster a piece of work is than the usual one: as it was kept, else measured in some 50 ms.

    Args:
        name: of the figure.
        device: that both compute on; they return when they are done.
        works: makes the usual work and the one that may be faster.
    """
    figure = Figure(name, device, threads=1)
    kept = figure.kept()
    if kept is not None and 1 / _MOST_SPEEDUP <= kept <= _MOST_SPEEDUP:
        return kept
    usual, other = _times(device, works())
    speedup = min(usual) / min(other)
    if is_steady(usual) and is_steady(other):
        figure.keep(speedup)
    return speedup


def is_steady(times: Sequence[float]) -> bool:
    """Whether the two shortest of several times agree, so that nothing else seems to have disturbed them."""
    best, second = sorted(times)[:2]
    return second <= _MOST_APART * best


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes in one thread meanwhile: on a busy machine several wait for each other, a hundred times as long at worst."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def cache_directory() -> Path | None:
    """Where SureFit keeps what it can do without: SUREFIT_CACHE, or a place in the user's cache; None where there is none."""
    if given := os.environ.get("SUREFIT_CACHE"):
        return Path(given)
    try:
        if sys.platform == "darwin":
            user = Path.home() / "Library" / "Caches"
        elif sys.platform == "win32":
            user = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        else:
            user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # nobody knows where the user's home is
        return None
    return user / "surefit"


@cache
def processor_name() -> str:
    """The processor's name, as the system has it."""
    names = [value for name, value in _processor_lines() if name == "model name"]
    return names[0] if names else platform.processor()


def _times(device: torch.device, works: Sequence[Callable[[], object]]) -> list[list[float]]:
    """Seconds that each work takes, in turns, so that a burst of load does not meet one of them alone."""
    if device.type == "cpu":
        times = _times_by(time.thread_time, works)  # counts only when the thread is given a processor
        if all(map(min, times)):  # where that clock is fine enough
            return times
    return _times_by(time.perf_counter, works)


def _times_by(clock: Callable[[], float], works: Sequence[Callable[[], object]]) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in works]
    with one_thread():
        for _ in range(_ROUNDS):
            for work, own in zip(works, times, strict=True):
                start = clock()
                work()
                own.append(clock() - start)
    return [own[_WARM_UP_ROUNDS:] for own in times]


def _path() -> Path | None:
    directory = cache_directory()
    return None if directory is None else directory / "measured.json"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Machine -> name -> what was kept; nothing of a file that is not there, damaged or foreign."""
    try:
        machines = read_own_json(path, "delete it").get("machines")
    except RunError:
        return {}
    if not isinstance(machines, dict):
        return {}
    return {machine: figures for machine, figures in machines.items() if isinstance(figures, dict)}


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def processor_kind() -> str:
    """A short hash of the processor's kind, its instructions included, and of what limits their use."""
    kind = sorted(f"{name}={value}" for name, value in _processor_lines() if name in _KIND_OF_PROCESSOR)
    limits = [f"{name}={os.environ.get(name, '')}" for name in _LIMITS]
    return hashlib.sha256("\n".join([platform.machine(), *kind, *limits]).encode(errors="replace")).hexdigest()[:8]


@cache
def _processor_lines() -> tuple[tuple[str, str], ...]:
    """What Linux says of the processors, each line once; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    parts = (line.partition(":") for line in lines)
    return tuple(dict.fromkeys((name.strip(), value.strip()) for name, _, value in parts))
