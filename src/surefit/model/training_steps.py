"""What an encoder computes between its products in training: by torch here, by compiled loops in `kernels`.

The stream of activations between the layers and its gradient are float32, whatever products take.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from surefit.model.activations import ACTIVATIONS
from surefit.model.configuration import BertConfig
from surefit.model.dropout import keep_values
from surefit.model.fast_attention import FastAttention
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_masks import Masks
from surefit.model.fast_memory import PassMemory
from surefit.model.fast_products import Linear
from surefit.types import PackedBatch

aten = torch.ops.aten

# What a LayerNorm notes of each token: its mean and the inverse of its spread.
STATISTICS = ("mean", "scale")


class Stream(NamedTuple):
    """Activations between layers.

    Attributes:
        values: float32, shape (padded tokens, hidden); anything behind the tokens.
        read: the same as products take them, finite behind the tokens.
    """

    values: Tensor
    read: Tensor


class Flow(NamedTuple):
    """The gradient of a stream's values, as a sum.

    Attributes:
        values: float32, shape (padded tokens, hidden).
        added: of the products' type, of the same shape, or nothing.
    """

    values: Tensor
    added: Tensor | None


class TrainingSteps(ABC):
    """The steps of one batch; each keeps what its backward form needs in the memory of the pass.

    Args:
        batch: the rows.
        config: of the encoder.
        layout: of the batch.
        masks: what is dropped.
        memory: of the pass.
    """

    def __init__(self, batch: PackedBatch, config: BertConfig, layout: FastLayout, masks: Masks, memory: PassMemory) -> None:
        self.batch = batch
        self.config = config
        self.layout = layout
        self.masks = masks
        self.memory = memory

    @abstractmethod
    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        """The context of each token, shape (padded tokens, hidden), of shape (padded tokens, 3 * hidden)."""

    @abstractmethod
    def attend_backward(self, layer: int, of_context: Tensor) -> Tensor:
        """The gradient of `attend`'s argument from that of its result, zero behind the tokens."""

    @abstractmethod
    def attend_first(self, layer: int, query: Tensor, key_value: Tensor) -> Tensor:
        """The context of first tokens, shape (rows, hidden).

        Args:
            layer: number of the layer.
            query: of first tokens, shape (rows, hidden).
            key_value: of all tokens, shape (padded tokens, 2 * hidden).
        """

    @abstractmethod
    def attend_first_backward(self, layer: int, of_context: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of query and of key_value."""

    @abstractmethod
    def normalize(
        self, name: str, layer: int, norm: nn.LayerNorm, residual: Tensor, projected: Tensor, keep: Tensor | None
    ) -> Stream:
        """LayerNorm(dropout(projected) + residual).

        Args:
            name: "middle" or "output".
            layer: number of the layer.
            norm: the module.
            residual: float32, shape (n, hidden).
            projected: scaled for dropout already, of the same shape; may be overwritten.
            keep: which of its values stay, of the shape (rows or tokens, hidden); None where all do.
        """

    @abstractmethod
    def normalize_backward(
        self, name: str, layer: int, norm: nn.LayerNorm, flow: Flow, of_projection: Linear
    ) -> tuple[Tensor, Tensor]:
        """The gradients of the residual, float32, and of what was projected, not yet scaled.

        Args:
            name, layer, norm: as for `normalize`.
            flow: gradient of its result.
            of_projection: gradients of the projection, of which that of the bias is set.
        """

    @abstractmethod
    def activate(self, layer: int, widened: Tensor) -> Tensor:
        """The activation of the feed-forward part, of the same shape."""

    @abstractmethod
    def activate_backward(self, layer: int, of_active: Tensor, of_widening: Linear) -> Tensor:
        """The gradient of what was activated; sets that of the bias behind it."""


class TorchSteps(TrainingSteps):
    """The steps by torch."""

    def __init__(self, batch: PackedBatch, config: BertConfig, layout: FastLayout, masks: Masks, memory: PassMemory) -> None:
        super().__init__(batch, config, layout, masks, memory)
        self._attention = FastAttention(layout, masks, memory, config.head_dim)
        self._activation = ACTIVATIONS[config.hidden_act]

    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        return self._attention.forward(layer, query_key_value)

    def attend_backward(self, layer: int, of_context: Tensor) -> Tensor:
        return self._attention.backward(layer, of_context)

    def attend_first(self, layer: int, query: Tensor, key_value: Tensor) -> Tensor:
        return self._attention.forward_first(layer, query, key_value)

    def attend_first_backward(self, layer: int, of_context: Tensor) -> tuple[Tensor, Tensor]:
        return self._attention.backward_first(layer, of_context)

    def normalize(
        self, name: str, layer: int, norm: nn.LayerNorm, residual: Tensor, projected: Tensor, keep: Tensor | None
    ) -> Stream:
        memory, shape = self.memory, projected.shape
        if keep is not None:
            memory.keep(f"mask of {name}", layer, keep)
            keep_values(projected[: len(keep)], keep, projected[: len(keep)])
        summed = memory.take_kept(f"sum of {name}", layer, *shape, dtype=torch.float32)
        torch.add(residual, projected, out=summed)
        mean, scale = (memory.take_kept(f"{part} of {name}", layer, len(summed), 1, dtype=torch.float32) for part in STATISTICS)
        values = memory.take_kept(f"values of {name}", layer, *shape, dtype=torch.float32)
        weight, bias = norm.weight.detach(), norm.bias.detach()
        aten.native_layer_norm.out(summed, [shape[1]], weight, bias, norm.eps, out0=values, out1=mean, out2=scale)
        if memory.dtype == torch.float32:
            return Stream(values, memory.keep(name, layer, values))
        return Stream(values, memory.take_kept(name, layer, *shape).copy_(values))

    def normalize_backward(
        self, name: str, layer: int, norm: nn.LayerNorm, flow: Flow, of_projection: Linear
    ) -> tuple[Tensor, Tensor]:
        memory, flowing = self.memory, flow.values if flow.added is None else flow.values.add_(flow.added)
        summed, mean, scale = (memory.kept(f"{part} of {name}", layer) for part in ("sum", *STATISTICS))
        residual = memory.take(f"gradient of {name}", *flowing.shape, dtype=torch.float32)
        normalize_backward(norm, flowing, summed, mean, scale, residual)
        of_projected = memory.take("gradient of projected", *flowing.shape).copy_(residual)
        keep = memory.find(f"mask of {name}", layer)
        if keep is not None:
            keep_values(of_projected[: len(keep)], keep, of_projected[: len(keep)])
            of_projected[len(keep) :].zero_()
        torch.sum(of_projected, 0, out=of_projection.bias).mul_(self.masks.hidden_scale)
        return residual, of_projected

    def activate(self, layer: int, widened: Tensor) -> Tensor:
        return self._activation.into(widened, self.memory.take_kept("active", layer, *widened.shape))

    def activate_backward(self, layer: int, of_active: Tensor, of_widening: Linear) -> Tensor:
        into = self.memory.take("gradient of widened", *of_active.shape)
        self._activation.backward_into(of_active, self.memory.kept("widened", layer), into)
        torch.sum(into, 0, out=of_widening.bias)
        return into


def normalize_backward(norm: nn.LayerNorm, flowing: Tensor, summed: Tensor, mean: Tensor, scale: Tensor, into: Tensor) -> None:
    """Writes the gradient of a LayerNorm's input, and adds to those of its weight and bias; all float32.

    Args:
        norm: the module.
        flowing: gradient of its result, shape (n, hidden).
        summed: its input.
        mean, scale: of each token, shape (n, 1).
        into: where the gradient of the input is written.
    """
    of_weight, of_bias = torch.empty_like(norm.weight), torch.empty_like(norm.bias)
    weight, bias, shape, wanted = norm.weight.detach(), norm.bias.detach(), list(norm.normalized_shape), [True, True, True]
    aten.native_layer_norm_backward.out(
        flowing, summed, shape, mean, scale, weight, bias, wanted, out0=into, out1=of_weight, out2=of_bias
    )
    gradient_of(norm.weight).add_(of_weight)
    gradient_of(norm.bias).add_(of_bias)


def gradient_of(parameter: Tensor) -> Tensor:
    """A parameter's gradient, which is there."""
    assert parameter.grad is not None
    return parameter.grad
