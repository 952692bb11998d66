"""Memory of the fast encoder: used again from step to step, so that the system need not find and clear it each time."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor


class Workspace(threading.local):
    """Buffers by name, which grow as they must. What `take` gives is overwritten by the next taker of its name.

    Each thread has buffers of its own, so that several may predict at the same time.

    Attributes:
        passes: how many there were so far whose values have to last.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}
        self._taken: dict[tuple[str, torch.dtype], Tensor] = {}
        self.passes = 0

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of undefined content.

        Args:
            name: what it is for; one name is one buffer.
            shape: its shape.
            dtype: its type.
        """
        key = (name, dtype)
        taken = self._taken.get(key)
        if taken is not None and taken.shape == shape:  # layer after layer asks for the same
            return taken
        count = math.prod(shape)
        buffer = self._buffers.get(key)
        if buffer is None or len(buffer) < count:
            # Somewhat larger than asked for, since batches differ a little in size. Never an inference
            # tensor, which only other passes in inference mode could write to.
            with torch.inference_mode(False):
                buffer = self._buffers[key] = torch.empty(count + count // 8, dtype=dtype)
        taken = self._taken[key] = buffer[:count].view(shape)
        return taken


class PassMemory:
    """The memory of one batch's way through the encoder and back.

    Args:
        workspace: where it comes from.
        dtype: of activations.
    """

    def __init__(self, workspace: Workspace, dtype: torch.dtype) -> None:
        self._workspace = workspace
        workspace.passes += 1
        self._number = workspace.passes
        self._kept: dict[tuple[str, int], Tensor] = {}
        self.dtype = dtype

    def take(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory that the next taker of the name overwrites."""
        return self._workspace.take(name, shape, dtype or self.dtype)

    def take_kept(self, name: str, layer: int, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory for what the backward pass of a layer needs; `kept` finds it again."""
        return self.keep(name, layer, self._workspace.take(f"{name} {layer}", shape, dtype or self.dtype))

    def keep(self, name: str, layer: int, tensor: Tensor) -> Tensor:
        """Remembers a tensor for the backward pass, and gives it back."""
        self._kept[name, layer] = tensor
        return tensor

    def kept(self, name: str, layer: int) -> Tensor:
        """What was kept.

        Raises:
            RuntimeError: another pass has begun since, and has overwritten them.
        """
        if self._number != self._workspace.passes:
            raise RuntimeError("each batch's backward pass must come before the next batch's forward pass")
        return self._kept[name, layer]

    def find(self, name: str, layer: int) -> Tensor | None:
        """What was kept, or None."""
        return self._kept.get((name, layer))
