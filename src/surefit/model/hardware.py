"""What a model runs on: the device, the threads and the precision of its products."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache

import torch

from surefit.config import MachineSettings
from surefit.errors import UsageError
from surefit.model.int8_products import int8_is_exact, int8_speedup
from surefit.model.int8_ranges import Int8Facts
from surefit.model.kernels.library import library
from surefit.model.measured import measured_speedup

# oneDNN keeps the code it generates for each shape of product; packed batches have ever new shapes, so
# that its default of 1,024 entries takes hundreds of megabytes. The fast encoder rounds its shapes so
# that 256 entries hold nearly all that a training run meets.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

# What torch takes where nobody asks for a number of threads.
_ALL_THREADS = torch.get_num_threads()

# A lower precision is taken when its products are at least this much faster: casts and rounding cost something.
_WORTH_IT = 1.3


@dataclass(frozen=True)
class Hardware:
    """Where and how a model computes.

    Attributes:
        device: the torch device.
        precision: "fp32", "bf16" or, for predictions of a classifier that has ranges of its activations,
            "int8"; weights stay in fp32, the others are used inside products.
        threads: processor threads.
        compiled_loops: whether compiled loops compute what stands between the products, where they fit the model.
    """

    device: torch.device
    precision: str
    threads: int
    compiled_loops: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Of products."""
        return torch.float32 if self.precision == "fp32" else torch.bfloat16

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the model's products run in the chosen precision."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_hardware(settings: MachineSettings, int8: Int8Facts | None = None) -> Hardware:
    """Chooses device, threads and precision, by what was measured of this machine where the settings leave it open.

    Args:
        settings: what is asked for.
        int8: of the model that is to predict, if it can do so in int8.

    Raises:
        UsageError: a device was asked for that this machine does not have, or int8 without the model
            or the processor for it.
    """
    device = torch.device(_available_device() if settings.device == "auto" else settings.device)
    _require_device(device)
    torch.set_num_threads(settings.threads or _ALL_THREADS)  # an earlier choice in this process may have changed it
    compiled_loops = device.type == "cpu" and library() is not None
    hardware = Hardware(device, settings.precision, torch.get_num_threads(), compiled_loops)
    if hardware.precision == "auto":
        faster = bf16_speedup(device) >= _WORTH_IT
        hardware = replace(hardware, precision="bf16" if faster else "fp32")
        if int8 is not None and int8.safe and device.type == "cpu":
            faster = int8_speedup(hardware.dtype) >= _WORTH_IT
            hardware = replace(hardware, precision="int8") if faster else hardware
    elif hardware.precision == "int8":
        _require_int8(device, int8)
    return hardware


def _require_int8(device: torch.device, int8: Int8Facts | None) -> None:
    if int8 is None:
        raise UsageError("--precision int8 needs a trained model that was saved with ranges for it; take auto, bf16 or fp32")
    if device.type != "cpu" or not int8_is_exact():
        raise UsageError(f"--precision int8 is not available on this machine ({device}); take auto, bf16 or fp32")


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
def bf16_speedup(device: torch.device) -> float:
    """How many times faster a bf16 matrix product is than an fp32 one.

    Args:
        device: to compute on.
    """
    if device.type == "mps":
        return 1.0  # autocast on MPS gains little and differs between versions
    return measured_speedup("bf16_speedup", device, lambda: (_product(device, torch.float32), _product(device, torch.bfloat16)))


def _product(device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    rows, width = (256, 384) if device.type == "cpu" else (8192, 768)  # less is over on a GPU before the call returns
    left = torch.ones(rows, width, device=device, dtype=dtype)
    right = torch.ones(width, 4 * width, device=device, dtype=dtype)
    return lambda: float((left @ right)[0, 0])  # waits for the device
