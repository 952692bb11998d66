"""Arrays to tensors on the device that computes with them, and back."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor on a device; on a CPU both share their memory.

    A copy to a GPU does not wait for the work that the GPU still has: a plain copy would, once for
    each array of each step.

    Args:
        array: writable, of a type that torch has.
        device: where the tensor is to be.
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_cpu(tensor: Tensor) -> Tensor:
    """The tensor on the CPU; where it is there already, itself.

    A copy from a GPU does not wait for the work that the GPU still has, so its values are there only
    once something was read that was computed after the tensor.

    Args:
        tensor: without gradient.
    """
    return tensor.to("cpu", non_blocking=True)
