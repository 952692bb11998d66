"""BERT over a packed batch (Devlin et al. 2019): no layer computes on padding.

Modules and parameters have the names that they have in Hugging Face's BertModel, so that the
`state_dict` of one loads into the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from surefit.model.activations import ACTIVATIONS
from surefit.model.attention import GroupLayout, attention
from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout
from surefit.model.transfer import on_device
from surefit.types import PackedBatch


class BertEncoder(nn.Module):
    """Embeddings, layers and pooler: Hugging Face's BertModel."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.pooler = Pooler(config)

    def hidden_states(self, batch: PackedBatch, dropout: StepDropout | None = None) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden)."""
        return list(self._states(batch, dropout))

    def first_tokens(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """The last layer's output for each row's first token, shape (rows, hidden).

        Args:
            batch: the rows.
            dropout: what to drop; nothing when not given.
        """
        last = self.all_tokens(batch, dropout)
        return last.index_select(0, on_device(batch.cu_seqlens[:-1], last.device))

    def all_tokens(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """The last layer's output for each token, shape (tokens, hidden); arguments as for `first_tokens`."""
        # None but the last are kept: those of a large batch would fill a GPU.
        return deque(self._states(batch, dropout), maxlen=1).pop()

    def forward(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """What the pooler makes of each row's first token, shape (rows, hidden)."""
        pooled: Tensor = self.pooler(self.first_tokens(batch, dropout))
        return pooled

    def _states(self, batch: PackedBatch, dropout: StepDropout | None) -> Iterator[Tensor]:
        layouts = GroupLayout.of(batch, self.pooler.dense.weight.device)
        hidden: Tensor = self.embeddings(batch, dropout)
        yield hidden
        for layer in self.encoder.layer:
            hidden = layer(hidden, layouts, dropout)
            yield hidden


class Embeddings(nn.Module):
    """Sum of word, position and token type embeddings, normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = _embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.position_embeddings = _embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = _embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._dropout_p = config.hidden_dropout_prob

    def forward(self, batch: PackedBatch, dropout: StepDropout | None) -> Tensor:
        """Shape (tokens, hidden)."""
        device = self.LayerNorm.weight.device
        words = self.word_embeddings(on_device(batch.input_ids, device))
        positions = self.position_embeddings(on_device(batch.position_ids, device))
        types = self.token_type_embeddings.weight  # one vector where a pair's texts are not told apart
        if len(types) > 1:
            types = self.token_type_embeddings(on_device(batch.token_type_ids, device))
        normalized: Tensor = self.LayerNorm(words + types + positions)
        return dropped_tokens(normalized, dropout, EMBEDDINGS_SITE, self._dropout_p)


def _embedding(rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """An embedding of random vectors; torch's own way to draw them loads its compiler where weights have no memory yet."""
    vectors = torch.randn(rows, width)
    if padding_idx is not None:
        vectors[padding_idx] = 0
    embedding: nn.Embedding = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=padding_idx)  # type: ignore[no-untyped-call]
    return embedding


class Layers(nn.Module):
    """The stack of layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Layer(config, number) for number in range(config.num_hidden_layers)])


class Layer(nn.Module):
    """Self-attention, then feed-forward, each with a residual connection."""

    def __init__(self, config: BertConfig, number: int) -> None:
        super().__init__()
        sites = layer_sites(number)
        self.attention = Attention(config, sites)
        self.intermediate = Intermediate(config)
        self.output = Output(config.intermediate_size, config, sites.feed_forward)

    def forward(self, hidden: Tensor, layouts: list[GroupLayout], dropout: StepDropout | None) -> Tensor:
        """Shape (tokens, hidden) to the same shape."""
        hidden = self.attention(hidden, layouts, dropout)
        output: Tensor = self.output(self.intermediate(hidden), hidden, dropout)
        return output


class Attention(nn.Module):
    """Self-attention and its projection."""

    def __init__(self, config: BertConfig, sites: LayerSites) -> None:
        super().__init__()
        self.self = SelfAttention(config, sites.probabilities)
        self.output = Output(config.hidden_size, config, sites.attention)

    def forward(self, hidden: Tensor, layouts: list[GroupLayout], dropout: StepDropout | None) -> Tensor:
        """Shape (tokens, hidden) to the same shape."""
        output: Tensor = self.output(self.self(hidden, layouts, dropout), hidden, dropout)
        return output


class SelfAttention(nn.Module):
    """Query, key and value projections and the attention between them."""

    def __init__(self, config: BertConfig, site: int) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self._heads = config.num_attention_heads
        self._site = site
        self._dropout_p = config.attention_probs_dropout_prob

    def forward(self, hidden: Tensor, layouts: list[GroupLayout], dropout: StepDropout | None) -> Tensor:
        """Shape (tokens, hidden) to the same shape."""
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        bias = torch.cat([self.query.bias, self.key.bias, self.value.bias])
        query_key_value = functional.linear(hidden, weight, bias)
        return attention(query_key_value, layouts, self._heads, dropout, self._site, self._dropout_p)


class Intermediate(nn.Module):
    """The widening half of the feed-forward part, with its activation."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self._activation = ACTIVATIONS[config.hidden_act].plain

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape (tokens, hidden) to (tokens, intermediate)."""
        return self._activation(self.dense(hidden))


class Output(nn.Module):
    """Projection back to the hidden size, dropout, residual connection, LayerNorm."""

    def __init__(self, in_features: int, config: BertConfig, site: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._site = site
        self._dropout_p = config.hidden_dropout_prob

    def forward(self, values: Tensor, residual: Tensor, dropout: StepDropout | None) -> Tensor:
        """Shapes (tokens, in_features) and (tokens, hidden) to (tokens, hidden)."""
        projected = dropped_tokens(self.dense(values), dropout, self._site, self._dropout_p)
        normalized: Tensor = self.LayerNorm(projected + residual)
        return normalized


class Pooler(nn.Module):
    """A dense layer with tanh over first tokens."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, first_tokens: Tensor) -> Tensor:
        """Shape (rows, hidden) to the same shape."""
        return torch.tanh(self.dense(first_tokens))


@dataclass(frozen=True)
class LayerSites:
    """Numbers of the places in a layer that drop values.

    Attributes:
        probabilities: attention probabilities.
        attention: the projection after attention.
        feed_forward: the projection after the feed-forward part.
    """

    probabilities: int
    attention: int
    feed_forward: int


EMBEDDINGS_SITE = 1


def layer_sites(number: int) -> LayerSites:
    """The sites of a layer, counted from 0."""
    return LayerSites(3 * number + 2, 3 * number + 3, 3 * number + 4)


def head_site(layers: int) -> int:
    """The site before the head of a model with so many layers."""
    return 3 * layers + 2


def dropped_tokens(values: Tensor, dropout: StepDropout | None, site: int, p: float) -> Tensor:
    """Drops of values of each token, shape (tokens, width), where anything is to be dropped."""
    return values if dropout is None else dropout.drop(values, site, dropout.tokens * values.shape[1], p)
