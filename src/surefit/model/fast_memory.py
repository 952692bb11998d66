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
        keeping_passes: how many passes there were so far whose values had to last.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}
        self.keeping_passes = 0

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of undefined content.

        Args:
            name: what it is for; one name is one buffer.
            shape: its shape.
            dtype: its type.
        """
        count = math.prod(shape)
        buffer = self._buffers.get((name, dtype))
        if buffer is None or len(buffer) < count:
            # Somewhat larger than asked for, since batches differ a little in size. Never an inference
            # tensor, which only other passes in inference mode could write to.
            with torch.inference_mode(False):
                buffer = self._buffers[name, dtype] = torch.empty(count + count // 8, dtype=dtype)
        return buffer[:count].view(shape)


class PassMemory:
    """The memory of one batch's way through the encoder and back.

    Args:
        workspace: where it comes from.
        dtype: of activations.
        keeps: whether a backward pass follows, so that every layer's values must last.
    """

    def __init__(self, workspace: Workspace, dtype: torch.dtype, *, keeps: bool) -> None:
        self._workspace = workspace
        self._keeps = keeps
        workspace.keeping_passes += keeps
        self._number = workspace.keeping_passes
        self._kept: dict[tuple[str, int], Tensor] = {}
        self.dtype = dtype

    def take(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory that the next taker of the name overwrites."""
        return self._workspace.take(name, shape, dtype or self.dtype)

    def take_kept(self, name: str, layer: int, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory for what the backward pass of a layer needs; `kept` finds it again."""
        own = f"{name} {layer}" if self._keeps else name
        return self.keep(name, layer, self._workspace.take(own, shape, dtype or self.dtype))

    def keep(self, name: str, layer: int, tensor: Tensor) -> Tensor:
        """Remembers a tensor for the backward pass, and gives it back."""
        self._kept[name, layer] = tensor
        return tensor

    def kept(self, name: str, layer: int) -> Tensor:
        """What was kept.

        Raises:
            RuntimeError: another pass that keeps its values has begun since, and has overwritten them.
        """
        if self._number != self._workspace.keeping_passes:
            raise RuntimeError("each batch's backward pass must come before the next batch's forward pass")
        return self._kept[name, layer]

    def find(self, name: str, layer: int) -> Tensor | None:
        """What was kept, or None."""
        return self._kept.get((name, layer))
