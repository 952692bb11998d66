"""BERT over a packed batch, forward and backward by hand: the fast twin of `encoder`.

It computes what `BertEncoder` does. What differs is how: what stands between the products is computed
in few steps (`training_steps`), memory is used again from step to step, the last layer computes only what first tokens
need, and gradients go straight into the flat gradients of the parameters.

In the names here, "of_x" is the gradient of x, and what flows backward is the gradient of the
activations between the layers.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout, keep_values
from surefit.model.encoder import EMBEDDINGS_SITE, BertEncoder, Layer, layer_sites
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_masks import Masks
from surefit.model.fast_memory import PassMemory, Workspace
from surefit.model.fast_products import (
    Products,
    apply,
    backward_to_values,
    backward_to_weight,
    flat_order,
    layer_products,
)
from surefit.model.kernels.training_steps import CompiledSteps
from surefit.model.parameters import FlatParameters
from surefit.model.training_steps import (
    STATISTICS,
    Flow,
    Stream,
    TorchSteps,
    TrainingSteps,
    gradient_of,
    normalize_backward,
)
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
        dtype: precision of products, float32 or bfloat16.
        compiled: whether to take the compiled loops, which must fit the encoder.
    """

    def __init__(
        self,
        encoder: BertEncoder,
        config: BertConfig,
        parameters: FlatParameters,
        prefix: str,
        dtype: torch.dtype,
        *,
        compiled: bool = False,
    ) -> None:
        self.encoder = encoder
        self.config = config
        self.parameters = parameters
        self.dtype = dtype
        self.workspace = Workspace()
        self.steps: type[TrainingSteps] = CompiledSteps if compiled else TorchSteps
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
        groups = row_groups(np.diff(batch.cu_seqlens))
        self._layout = FastLayout(batch, groups, config.num_attention_heads, owner.dtype)
        self._masks = Masks(dropout, config, self._layout)
        self._memory = PassMemory(owner.workspace, owner.dtype)
        self._steps = owner.steps(batch, config, self._layout, self._masks, self._memory)

    def forward(self) -> Tensor:
        """The last layer's output for first tokens, shape (rows, hidden), float32; the next pass overwrites it."""
        stream = self._embed()
        for layer in range(self._last):
            stream = self._layer(layer, stream)
        return self._last_layer(self._last, stream).values

    def backward(self, gradient: Tensor) -> None:
        """Adds to the gradients of all parameters.

        Args:
            gradient: of what `forward` gave, shape (rows, hidden), float32.
        """
        flow = self._last_layer_backward(self._last, Flow(gradient.contiguous(), None))
        for layer in reversed(range(self._last)):
            flow = self._layer_backward(layer, flow)
        self._embed_backward(flow)
        self._owner.hand_over_gradients()

    # Embeddings: in fp32, since their sum and its gradient are not products.

    def _embed(self) -> Stream:
        modules, tokens, memory = self._owner.encoder.embeddings, self._layout.tokens, self._memory
        summed = memory.take_kept("embeddings", 0, tokens, self._hidden, dtype=torch.float32)
        ids, positions, types = self._ids()
        torch.index_select(modules.word_embeddings.weight.detach(), 0, ids, out=summed)
        summed.add_(modules.position_embeddings.weight.detach().index_select(0, positions))
        type_rows = modules.token_type_embeddings.weight.detach()
        summed.add_(type_rows if len(type_rows) == 1 else type_rows.index_select(0, types))
        shape, norm = (self._layout.padded_tokens, self._hidden), modules.LayerNorm
        values = memory.take("values of embeddings", *shape, dtype=torch.float32)
        own, weight, bias = values[:tokens], norm.weight.detach(), norm.bias.detach()
        mean, scale = (memory.take_kept(f"{part} of embeddings", 0, tokens, 1, dtype=torch.float32) for part in STATISTICS)
        aten.native_layer_norm.out(summed, [self._hidden], weight, bias, norm.eps, out0=own, out1=mean, out2=scale)
        keep = self._masks.of_tokens(EMBEDDINGS_SITE)
        if keep is not None:
            memory.keep("mask of embeddings", 0, keep)
            keep_values(own, keep, own).mul_(self._masks.hidden_scale)
        values[tokens:].copy_(own[0])  # not zeros, which LayerNorm may have to divide by their spread
        return Stream(values, memory.take_kept("output", -1, *shape).copy_(values))

    def _embed_backward(self, flow: Flow) -> None:
        modules, tokens, memory = self._owner.encoder.embeddings, self._layout.tokens, self._memory
        gradient = flow.values[:tokens] if flow.added is None else flow.values[:tokens].add_(flow.added[:tokens])
        keep = memory.find("mask of embeddings", 0)
        if keep is not None:
            keep_values(gradient, keep, gradient).mul_(self._masks.hidden_scale)
        summed, mean, scale = (memory.kept(f"{part}embeddings", 0) for part in ("", *(f"{part} of " for part in STATISTICS)))
        of_sum = memory.take("gradient of embeddings", tokens, self._hidden, dtype=torch.float32)
        normalize_backward(modules.LayerNorm, gradient, summed, mean, scale, of_sum)
        ids, positions, types = self._ids()
        of_words = gradient_of(modules.word_embeddings.weight)
        of_words.index_add_(0, ids, of_sum)
        if modules.word_embeddings.padding_idx is not None:
            of_words[modules.word_embeddings.padding_idx].zero_()  # as torch's Embedding does
        gradient_of(modules.position_embeddings.weight).index_add_(0, positions, of_sum)
        of_types = gradient_of(modules.token_type_embeddings.weight)
        if len(of_types) == 1:
            of_types.add_(of_sum.sum(0))
        else:
            of_types.index_add_(0, types, of_sum)

    def _ids(self) -> tuple[Tensor, Tensor, Tensor]:
        batch = self._batch
        return torch.from_numpy(batch.input_ids), torch.from_numpy(batch.position_ids), torch.from_numpy(batch.token_type_ids)

    # Layers

    def _layer(self, layer: int, stream: Stream) -> Stream:
        qkv, sites = self._owner.weights[layer].qkv, layer_sites(layer)
        into = self._memory.take_kept("query key value", layer, len(stream.read), 3 * self._hidden)
        context = self._steps.attend(layer, apply(qkv, stream.read, into))
        middle = self._project_attention(layer, context, stream.values, self._masks.of_tokens(sites.attention))
        return self._feed_forward(layer, middle, self._masks.of_tokens(sites.feed_forward))

    def _layer_backward(self, layer: int, flow: Flow) -> Flow:
        residual, of_context = self._project_attention_backward(layer, self._feed_forward_backward(layer, flow))
        of_projections = self._steps.attend_backward(layer, of_context)
        weights, gradients = self._owner.weights[layer].qkv, self._owner.gradients[layer].qkv
        backward_to_weight(gradients, of_projections, self._memory.kept("output", layer - 1))
        torch.sum(of_projections, 0, out=gradients.bias)
        return Flow(residual, backward_to_values(weights, of_projections, 1.0, self._memory.take("flowing", *residual.shape)))

    # Of the last layer only first tokens go on: of the other tokens it needs keys and values alone.

    def _last_layer(self, layer: int, stream: Stream) -> Stream:
        qkv, sites, width, memory = self._owner.weights[layer].qkv, layer_sites(layer), self._hidden, self._memory
        places = self._layout.first_tokens
        shape = (len(places), width)
        values = torch.index_select(stream.values, 0, places)
        first = torch.index_select(stream.read, 0, places, out=memory.take_kept("first", layer, *shape))
        query = apply(qkv.part(0, width), first, memory.take_kept("query", layer, *shape))
        into = memory.take_kept("query key value", layer, len(stream.read), 2 * width)
        context = self._steps.attend_first(layer, query, apply(qkv.part(width), stream.read, into))
        middle = self._project_attention(layer, context, values, self._masks.of_first_tokens(sites.attention))
        return self._feed_forward(layer, middle, self._masks.of_first_tokens(sites.feed_forward))

    def _last_layer_backward(self, layer: int, flow: Flow) -> Flow:
        residual, of_context = self._project_attention_backward(layer, self._feed_forward_backward(layer, flow))
        weights, gradients = self._owner.weights[layer].qkv, self._owner.gradients[layer].qkv
        width, memory, read = self._hidden, self._memory, self._memory.kept("output", layer - 1)
        of_query, of_key_value = self._steps.attend_first_backward(layer, of_context)
        for own, flowing, values in (
            (gradients.part(0, width), of_query, memory.kept("first", layer)),
            (gradients.part(width), of_key_value, read),
        ):
            backward_to_weight(own, flowing, values)
            torch.sum(flowing, 0, out=own.bias)
        of_first = backward_to_values(weights.part(0, width), of_query, 1.0, memory.take("flowing first", *of_query.shape))
        of_read = backward_to_values(weights.part(width), of_key_value, 1.0, memory.take("flowing", *read.shape))
        of_values = memory.take("gradient of the last input", *read.shape, dtype=torch.float32).zero_()
        return Flow(of_values.index_copy_(0, self._layout.first_tokens, residual.add_(of_first)), of_read)

    # The two halves that all layers share

    def _project_attention(self, layer: int, context: Tensor, residual: Tensor, keep: Tensor | None) -> Stream:
        projected = self._memory.take("projected", *residual.shape)
        apply(self._owner.weights[layer].attention, context, projected, self._masks.hidden_scale)
        norm = self._modules(layer).attention.output.LayerNorm
        return self._steps.normalize("middle", layer, norm, residual, projected, keep)

    def _project_attention_backward(self, layer: int, flow: Flow) -> tuple[Tensor, Tensor]:
        """Gradients of the residual and of the context."""
        norm, scale = self._modules(layer).attention.output.LayerNorm, self._masks.hidden_scale
        weights, gradients = self._owner.weights[layer].attention, self._owner.gradients[layer].attention
        residual, of_projected = self._steps.normalize_backward("middle", layer, norm, flow, gradients)
        backward_to_weight(gradients, of_projected, self._memory.kept("context", layer), scale)
        of_context = self._memory.take("gradient of context", *of_projected.shape)
        return residual, backward_to_values(weights, of_projected, scale, of_context)

    def _feed_forward(self, layer: int, middle: Stream, keep: Tensor | None) -> Stream:
        weights, memory = self._owner.weights[layer], self._memory
        shape = (len(middle.read), self._owner.config.intermediate_size)
        widened = apply(weights.widening, middle.read, memory.take_kept("widened", layer, *shape))
        active = self._steps.activate(layer, widened)
        projected = apply(weights.narrowing, active, memory.take("projected", *middle.read.shape), self._masks.hidden_scale)
        return self._steps.normalize("output", layer, self._modules(layer).output.LayerNorm, middle.values, projected, keep)

    def _feed_forward_backward(self, layer: int, flow: Flow) -> Flow:
        weights, gradients, memory = self._owner.weights[layer], self._owner.gradients[layer], self._memory
        norm, active, scale = self._modules(layer).output.LayerNorm, memory.kept("active", layer), self._masks.hidden_scale
        residual, of_projected = self._steps.normalize_backward("output", layer, norm, flow, gradients.narrowing)
        backward_to_weight(gradients.narrowing, of_projected, active, scale)
        of_active = memory.take("gradient of active", *active.shape)
        backward_to_values(weights.narrowing, of_projected, scale, of_active)
        of_widened = self._steps.activate_backward(layer, of_active, gradients.widening)
        backward_to_weight(gradients.widening, of_widened, memory.kept("middle", layer))
        into = memory.take("flowing in the middle", *residual.shape)
        return Flow(residual, backward_to_values(weights.widening, of_widened, 1.0, into))

    def _modules(self, layer: int) -> Layer:
        module = self._owner.encoder.encoder.layer[layer]
        assert isinstance(module, Layer)
        return module
