"""What a model runs on: the device, the threads and the precision of its products."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch

from surefit.config import MachineSettings
from surefit.errors import UsageError

# oneDNN keeps the code it generates for each shape of product; packed batches have ever new shapes, so
# that its default of 1,024 entries takes hundreds of megabytes. The fast encoder rounds its shapes so
# that 256 entries hold nearly all that a training run meets.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

# What torch takes where nobody asks for a number of threads.
_ALL_THREADS = torch.get_num_threads()

# bf16 is taken when its products are at least this much faster: casts and rounding cost something.
_WORTH_IT = 1.3


@dataclass(frozen=True)
class Hardware:
    """Where and how a model computes.

    Attributes:
        device: the torch device.
        precision: "fp32" or "bf16"; weights stay in fp32 in both, bf16 is used inside products.
        threads: processor threads.
    """

    device: torch.device
    precision: str
    threads: int

    @property
    def dtype(self) -> torch.dtype:
        """Of products."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the model's products run in the chosen precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_hardware(settings: MachineSettings) -> Hardware:
    """Chooses device, threads and precision, measuring where the settings leave it open.

    Raises:
        UsageError: a device was asked for that this machine does not have.
    """
    device = torch.device(_available_device() if settings.device == "auto" else settings.device)
    _require_device(device)
    torch.set_num_threads(settings.threads or _ALL_THREADS)  # an earlier choice in this process may have changed it
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if bf16_speedup(device.type, torch.get_num_threads()) >= _WORTH_IT else "fp32"
    return Hardware(device, precision, torch.get_num_threads())


def _available_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _require_device(device: torch.device) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise UsageError(f"--device {device} is not available on this machine; try --device auto") from None


@cache
def bf16_speedup(device_type: str, threads: int) -> float:
    """How many times faster a bf16 matrix product is than an fp32 one, measured in about 50 ms.

    Args:
        device_type: "cpu", "cuda" or "mps".
        threads: number of threads in force; part of the key under which the result is remembered.
    """
    if device_type == "mps":
        return 1.0  # autocast on MPS gains little and differs between versions
    fastest: dict[torch.dtype, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        left = torch.ones(512, 384, device=device_type, dtype=dtype)
        right = torch.ones(384, 1536, device=device_type, dtype=dtype)
        times = []
        for _ in range(7):
            start = time.perf_counter()
            product = left @ right
            float(product[0, 0])  # waits for the device
            times.append(time.perf_counter() - start)
        fastest[dtype] = min(times[2:])
    return fastest[torch.float32] / fastest[torch.bfloat16]
