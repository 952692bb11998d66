"""BERT over a packed batch on a GPU in bf16: the fast twin of `encoder` there, differentiated by autograd.

Attention goes through no rectangles, and where only first tokens are asked for, the last layer computes no more
than these need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout
from surefit.model.encoder import BertEncoder, Layer
from surefit.model.varlen_attention import Sequences, varlen_attention
from surefit.types import PackedBatch


class VarlenEncoder:
    """The encoder's computation.

    Args:
        encoder: the modules that own the weights.
        config: its shape.
    """

    def __init__(self, encoder: BertEncoder, config: BertConfig) -> None:
        self._encoder = encoder
        self._head_dim = config.head_dim
        self._dropout_p = config.attention_probs_dropout_prob

    def first_tokens(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """The last layer's output for each row's first token, shape (rows, hidden).

        Args:
            batch: the rows.
            dropout: what to drop; nothing when not given.
        """
        rows = self._rows_of(batch)
        *layers, last = map(_as_layer, self._encoder.encoder.layer)
        hidden = self._layers(layers, batch, rows, dropout)
        # Of the other tokens the last layer needs keys and values alone.
        own, first = last.attention.self, hidden.index_select(0, rows.first_tokens)
        (query,) = self._project((own.query,), first)
        key, value = self._project((own.key, own.value), hidden)
        context = varlen_attention(query, key, value, rows.of_first_tokens(), rows, self._attention_p(dropout))
        return _second_half(last, context, first, dropout)

    def all_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each token, shape (tokens, hidden).

        Args:
            batch: the rows.
        """
        return self._layers(map(_as_layer, self._encoder.encoder.layer), batch, self._rows_of(batch), None)

    def _layers(self, layers: Iterable[Layer], batch: PackedBatch, rows: Sequences, dropout: StepDropout | None) -> Tensor:
        """What the given layers make of all tokens, shape (tokens, hidden)."""
        hidden: Tensor = self._encoder.embeddings(batch, dropout)
        for layer in layers:
            own = layer.attention.self
            query, key, value = self._project((own.query, own.key, own.value), hidden)
            context = varlen_attention(query, key, value, rows, rows, self._attention_p(dropout))
            hidden = _second_half(layer, context, hidden, dropout)
        return hidden

    def _rows_of(self, batch: PackedBatch) -> Sequences:
        return Sequences.of(batch, self._encoder.pooler.dense.weight.device)

    def _attention_p(self, dropout: StepDropout | None) -> float:
        return 0.0 if dropout is None else self._dropout_p

    def _project(self, projections: Sequence[nn.Linear], hidden: Tensor) -> tuple[Tensor, ...]:
        """Several projections in one product, each of shape (tokens, heads, head_dim)."""
        weight = torch.cat([projection.weight for projection in projections])
        bias = torch.cat([projection.bias for projection in projections])
        together = functional.linear(hidden, weight, bias)
        return together.view(len(hidden), len(projections), -1, self._head_dim).unbind(1)


def _second_half(layer: Layer, context: Tensor, residual: Tensor, dropout: StepDropout | None) -> Tensor:
    """The layer's output from the context of its attention and from its input."""
    middle = layer.attention.output(context, residual, dropout)
    output: Tensor = layer.output(layer.intermediate(middle), middle, dropout)
    return output


def _as_layer(module: nn.Module) -> Layer:
    assert isinstance(module, Layer)
    return module
