"""BERT over a packed batch, forward and backward by hand: the fast twin of `encoder`.

It computes what `BertEncoder` does. What differs is how: activations stay in one precision between
the products, memory is used again from step to step, the last layer computes only what first tokens
need, and gradients go straight into the flat gradients of the parameters.

In the names here, "of_x" is the gradient of x, and what flows backward is the gradient of the
activations between the layers.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from surefit.model.activations import ACTIVATIONS
from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout, keep_values
from surefit.model.encoder import EMBEDDINGS_SITE, BertEncoder, Layer, layer_sites
from surefit.model.fast_attention import FastAttention
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_masks import Masks
from surefit.model.fast_memory import PassMemory, Workspace
from surefit.model.fast_products import (
    Products,
    apply,
    backward_to_values,
    backward_to_weights,
    flat_order,
    layer_products,
)
from surefit.model.parameters import FlatParameters
from surefit.text.packing import row_groups
from surefit.types import PackedBatch

aten = torch.ops.aten


class FastEncoder:
    """The encoder's computation on a CPU.

    Args:
        encoder: the modules that own the weights.
        config: its shape.
        parameters: its weights, laid out in `flat_order` with `prefix`.
        prefix: what the names of its parameters begin with.
        dtype: precision of products and of activations between them, float32 or bfloat16.
    """

    def __init__(
        self, encoder: BertEncoder, config: BertConfig, parameters: FlatParameters, prefix: str, dtype: torch.dtype
    ) -> None:
        self.encoder = encoder
        self.config = config
        self.parameters = parameters
        self.dtype = dtype
        self.workspace = Workspace()
        self._prefix = prefix
        self._count = parameters.places[flat_order(config.num_hidden_layers, prefix)[-1]][1]
        parameters.overwritten = self._count
        self._values = parameters.values[: self._count].to(dtype)  # itself in fp32
        self.weights = layer_products(self._values, parameters, config, prefix)
        self.refresh()

    @cached_property
    def _gradients(self) -> Tensor:
        return torch.empty_like(self._values)

    @cached_property
    def gradients(self) -> list[Products]:
        """Of `weights`, set by a backward pass; `hand_over_gradients` adds them to those of the parameters."""
        return layer_products(self._gradients, self.parameters, self.config, self._prefix)

    def hand_over_gradients(self) -> None:
        """Adds the gradients of the products to those of the parameters, at the end of a backward pass."""
        own = self.parameters.gradients[: self._count]
        if self.parameters.fresh:
            own.copy_(self._gradients)
        else:
            own.add_(self._gradients)
        self.parameters.fresh = False

    def refresh(self) -> None:
        """Takes over the weights as they are now, in the precision of the products."""
        if self._values.data_ptr() != self.parameters.values.data_ptr():
            self._values.copy_(self.parameters.values[: self._count])

    def first_tokens(self, batch: PackedBatch, dropout: StepDropout | None) -> Tensor:
        """The last layer's output for each row's first token, shape (rows, hidden).

        Its backward pass adds to the gradients of the parameters.

        Args:
            batch: the rows.
            dropout: what to drop; nothing when not given.
        """
        if not torch.is_grad_enabled():
            return _Pass(self, batch, dropout).forward().clone()
        self.parameters.make_gradients()
        anchor = torch.zeros((), requires_grad=True)  # autograd calls backward only where an input asks for it
        output: Tensor = _Function.apply(anchor, _Pass(self, batch, dropout))  # type: ignore[no-untyped-call]
        return output


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: Tensor, computation: _Pass) -> Tensor:
        ctx.computation = computation
        return computation.forward().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:
        ctx.computation.backward(gradient)
        return None, None


class _Pass:
    """One batch on its way through the encoder and back.

    Rows of activations past the batch's tokens are empty: what stands in them is finite and meets
    only gradients of zero.
    """

    def __init__(self, owner: FastEncoder, batch: PackedBatch, dropout: StepDropout | None) -> None:
        config = owner.config
        self._owner = owner
        self._batch = batch
        self._hidden = config.hidden_size
        self._last = config.num_hidden_layers - 1
        self._activation = ACTIVATIONS[config.hidden_act]
        groups = row_groups(np.diff(batch.cu_seqlens))
        self._layout = FastLayout(batch, groups, config.num_attention_heads, owner.dtype)
        self._masks = Masks(dropout, config, self._layout)
        self._memory = PassMemory(owner.workspace, owner.dtype, keeps=torch.is_grad_enabled())
        self._attention = FastAttention(self._layout, self._masks, self._memory, config.head_dim)

    def forward(self) -> Tensor:
        """The last layer's output for first tokens, shape (rows, hidden); the next pass overwrites it."""
        hidden = self._embed()
        for layer in range(self._last):
            hidden = self._layer(layer, hidden)
        return self._last_layer(self._last, hidden)

    def backward(self, gradient: Tensor) -> None:
        """Adds to the gradients of all parameters.

        Args:
            gradient: of what `forward` gave, shape (rows, hidden).
        """
        flowing = self._last_layer_backward(self._last, gradient.to(self._owner.dtype))
        for layer in reversed(range(self._last)):
            flowing = self._layer_backward(layer, flowing)
        self._embed_backward(flowing)
        self._owner.hand_over_gradients()

    # Embeddings: in fp32, since their sum and its gradient are not products.

    def _embed(self) -> Tensor:
        modules, tokens, memory = self._owner.encoder.embeddings, self._layout.tokens, self._memory
        summed = memory.take_kept("embeddings", 0, tokens, self._hidden, dtype=torch.float32)
        ids, positions, types = self._ids()
        torch.index_select(modules.word_embeddings.weight.detach(), 0, ids, out=summed)
        summed.add_(modules.position_embeddings.weight.detach().index_select(0, positions))
        type_rows = modules.token_type_embeddings.weight.detach()
        summed.add_(type_rows if len(type_rows) == 1 else type_rows.index_select(0, types))
        normalized = memory.take("normalized embeddings", tokens, self._hidden, dtype=torch.float32)
        self._normalize("embeddings", 0, modules.LayerNorm, summed, normalized)
        keep = self._masks.of_tokens(EMBEDDINGS_SITE)
        if keep is not None:
            memory.keep("mask of embeddings", 0, keep)
            keep_values(normalized, keep, normalized).mul_(self._masks.hidden_scale)
        hidden = memory.take_kept("output", -1, self._layout.padded_tokens, self._hidden)
        hidden[:tokens].copy_(normalized)
        hidden[tokens:].copy_(normalized[0])  # not zeros, which LayerNorm may have to divide by their spread
        return hidden

    def _embed_backward(self, flowing: Tensor) -> None:
        modules, tokens, memory = self._owner.encoder.embeddings, self._layout.tokens, self._memory
        gradient = memory.take("gradient of embeddings", tokens, self._hidden, dtype=torch.float32)
        gradient.copy_(flowing[:tokens])
        keep = memory.find("mask of embeddings", 0)
        if keep is not None:
            keep_values(gradient, keep, gradient).mul_(self._masks.hidden_scale)
        of_sum = memory.take("normalized embeddings", tokens, self._hidden, dtype=torch.float32)
        self._normalize_backward("embeddings", 0, modules.LayerNorm, gradient, of_sum)
        ids, positions, types = self._ids()
        of_words = _gradient(modules.word_embeddings.weight)
        of_words.index_add_(0, ids, of_sum)
        if modules.word_embeddings.padding_idx is not None:
            of_words[modules.word_embeddings.padding_idx].zero_()  # as torch's Embedding does
        _gradient(modules.position_embeddings.weight).index_add_(0, positions, of_sum)
        of_types = _gradient(modules.token_type_embeddings.weight)
        if len(of_types) == 1:
            of_types.add_(of_sum.sum(0))
        else:
            of_types.index_add_(0, types, of_sum)

    def _ids(self) -> tuple[Tensor, Tensor, Tensor]:
        batch = self._batch
        return torch.from_numpy(batch.input_ids), torch.from_numpy(batch.position_ids), torch.from_numpy(batch.token_type_ids)

    # Layers

    def _layer(self, layer: int, hidden: Tensor) -> Tensor:
        weights, sites = self._owner.weights[layer], layer_sites(layer)
        projections = apply(weights.qkv, hidden, self._memory.take("query key value", len(hidden), 3 * self._hidden))
        context = self._attention.forward(layer, projections)
        middle = self._project_attention(layer, context, hidden, self._masks.of_tokens(sites.attention))
        return self._feed_forward(layer, middle, self._masks.of_tokens(sites.feed_forward))

    def _layer_backward(self, layer: int, flowing: Tensor) -> Tensor:
        residual, of_context = self._project_attention_backward(layer, self._feed_forward_backward(layer, flowing))
        of_projections = self._attention.backward(layer, of_context)
        weights, gradients = self._owner.weights[layer].qkv, self._owner.gradients[layer].qkv
        backward_to_weights(gradients, of_projections, self._memory.kept("output", layer - 1))
        return torch.addmm(residual, of_projections, weights.weight, out=self._memory.take("flowing", *residual.shape))

    # Of the last layer only first tokens go on: of the other tokens it needs keys and values alone.

    def _last_layer(self, layer: int, hidden: Tensor) -> Tensor:
        weights, sites, width, memory = self._owner.weights[layer], layer_sites(layer), self._hidden, self._memory
        rows = len(self._layout.first_tokens)
        first = torch.index_select(hidden, 0, self._layout.first_tokens, out=memory.take_kept("first", layer, rows, width))
        query = apply(weights.qkv.part(0, width), first, memory.take_kept("query", layer, rows, width))
        key_value = apply(weights.qkv.part(width), hidden, memory.take("query key value", len(hidden), 2 * width))
        context = self._attention.forward_first(layer, query, key_value)
        middle = self._project_attention(layer, context, first, self._masks.of_first_tokens(sites.attention))
        return self._feed_forward(layer, middle, self._masks.of_first_tokens(sites.feed_forward))

    def _last_layer_backward(self, layer: int, flowing: Tensor) -> Tensor:
        residual, of_context = self._project_attention_backward(layer, self._feed_forward_backward(layer, flowing))
        weights, gradients = self._owner.weights[layer].qkv, self._owner.gradients[layer].qkv
        width, memory, hidden = self._hidden, self._memory, self._memory.kept("output", layer - 1)
        of_query, of_key_value = self._attention.backward_first(layer, memory.kept("query", layer), of_context)
        backward_to_weights(gradients.part(0, width), of_query, memory.kept("first", layer))
        backward_to_weights(gradients.part(width), of_key_value, hidden)
        of_first = torch.addmm(residual, of_query, weights.weight[:width])
        of_hidden = torch.mm(of_key_value, weights.weight[width:], out=memory.take("flowing", *hidden.shape))
        return of_hidden.index_add_(0, self._layout.first_tokens, of_first)

    # The two halves that all layers share

    def _project_attention(self, layer: int, context: Tensor, residual: Tensor, keep: Tensor | None) -> Tensor:
        projected = self._memory.take("projected", *residual.shape)
        apply(self._owner.weights[layer].attention, context, projected, self._masks.hidden_scale)
        return self._residual("middle", layer, projected, residual, self._modules(layer).attention.output.LayerNorm, keep)

    def _project_attention_backward(self, layer: int, flowing: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the residual and of the context."""
        norm = self._modules(layer).attention.output.LayerNorm
        residual, of_projected = self._residual_backward("middle", layer, flowing, norm)
        weights, gradients = self._owner.weights[layer].attention, self._owner.gradients[layer].attention
        backward_to_weights(gradients, of_projected, self._memory.kept("context", layer), self._masks.hidden_scale)
        of_context = self._memory.take("gradient of context", *flowing.shape)
        return residual, backward_to_values(weights, of_projected, self._masks.hidden_scale, of_context)

    def _feed_forward(self, layer: int, middle: Tensor, keep: Tensor | None) -> Tensor:
        weights, memory = self._owner.weights[layer], self._memory
        shape = (len(middle), self._owner.config.intermediate_size)
        widened = apply(weights.widening, middle, memory.take_kept("widened", layer, *shape))
        active = memory.take_kept("active", layer, *shape)
        self._activation.into(widened, active)
        projected = apply(weights.narrowing, active, memory.take("projected", *middle.shape), self._masks.hidden_scale)
        return self._residual("output", layer, projected, middle, self._modules(layer).output.LayerNorm, keep)

    def _feed_forward_backward(self, layer: int, flowing: Tensor) -> Tensor:
        weights, gradients, memory = self._owner.weights[layer], self._owner.gradients[layer], self._memory
        residual, of_projected = self._residual_backward("output", layer, flowing, self._modules(layer).output.LayerNorm)
        widened, active, scale = memory.kept("widened", layer), memory.kept("active", layer), self._masks.hidden_scale
        backward_to_weights(gradients.narrowing, of_projected, active, scale)
        of_active = memory.take("gradient of active", *active.shape)
        backward_to_values(weights.narrowing, of_projected, scale, of_active)
        of_widened = memory.take("gradient of widened", *widened.shape)
        self._activation.backward_into(of_active, widened, of_widened)
        backward_to_weights(gradients.widening, of_widened, memory.kept("middle", layer))
        into = memory.take("flowing in the middle", *flowing.shape)
        return torch.addmm(residual, of_widened, weights.widening.weight, out=into)

    # Dropout, residual connection and LayerNorm

    def _residual(
        self, name: str, layer: int, projected: Tensor, residual: Tensor, norm: nn.LayerNorm, keep: Tensor | None
    ) -> Tensor:
        """LayerNorm(dropout(projected) + residual), of the same shape; projected is scaled for dropout already."""
        memory = self._memory
        if keep is not None:
            memory.keep(f"mask of {name}", layer, keep)
            keep_values(projected[: len(keep)], keep, projected[: len(keep)])
        summed = memory.take_kept(f"sum of {name}", layer, *projected.shape)
        torch.add(residual, projected, out=summed)
        normalized = memory.take_kept(name, layer, *projected.shape)
        self._normalize(name, layer, norm, summed, normalized)
        return normalized

    def _residual_backward(self, name: str, layer: int, flowing: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
        """Gradients of the residual and of what was projected, the latter not yet scaled."""
        residual = self._memory.take("gradient of residual", *flowing.shape)
        self._normalize_backward(name, layer, norm, flowing, residual)
        keep = self._memory.find(f"mask of {name}", layer)
        if keep is None:
            return residual, residual
        of_projected = self._memory.take("gradient of projected", *flowing.shape)
        keep_values(residual[: len(keep)], keep, of_projected[: len(keep)])
        of_projected[len(keep) :].zero_()
        return residual, of_projected

    def _normalize(self, name: str, layer: int, norm: nn.LayerNorm, values: Tensor, into: Tensor) -> None:
        memory = self._memory
        memory.keep(f"normalized of {name}", layer, values)
        mean = memory.take_kept(f"mean of {name}", layer, len(values), 1, dtype=torch.float32)
        scale = memory.take_kept(f"scale of {name}", layer, len(values), 1, dtype=torch.float32)
        shape, weight, bias = [self._hidden], norm.weight.detach(), norm.bias.detach()
        aten.native_layer_norm.out(values, shape, weight, bias, norm.eps, out0=into, out1=mean, out2=scale)

    def _normalize_backward(self, name: str, layer: int, norm: nn.LayerNorm, flowing: Tensor, into: Tensor) -> None:
        memory, shape = self._memory, [self._hidden]
        of_weight, of_bias = memory.take("gradient of norm", 2, self._hidden, dtype=torch.float32)
        values, mean, scale = (memory.kept(f"{part} of {name}", layer) for part in ("normalized", "mean", "scale"))
        weight, bias, wanted = norm.weight.detach(), norm.bias.detach(), [True, True, True]
        aten.native_layer_norm_backward.out(
            flowing, values, shape, mean, scale, weight, bias, wanted, out0=into, out1=of_weight, out2=of_bias
        )
        _gradient(norm.weight).add_(of_weight)
        _gradient(norm.bias).add_(of_bias)

    def _modules(self, layer: int) -> Layer:
        module = self._owner.encoder.encoder.layer[layer]
        assert isinstance(module, Layer)
        return module


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
