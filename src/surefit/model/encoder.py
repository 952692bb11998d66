"""BERT over a packed batch (Devlin et al. 2019): no layer computes on padding.

Modules and parameters have the names that they have in Hugging Face's BertModel, so that the
`state_dict` of one loads into the other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from surefit.model.attention import PackedLayout, attention
from surefit.model.configuration import BertConfig
from surefit.model.dropout import dropout
from surefit.types import PackedBatch


class BertEncoder(nn.Module):
    """Embeddings, layers and pooler: Hugging Face's BertModel."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.pooler = Pooler(config)

    def hidden_states(self, batch: PackedBatch) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden)."""
        device = self.pooler.dense.weight.device
        layout = PackedLayout.of(batch, device)
        states = [self.embeddings(batch)]
        for layer in self.encoder.layer:
            states.append(layer(states[-1], layout))
        return states

    def forward(self, batch: PackedBatch) -> Tensor:
        """What the pooler makes of each row's first token, shape (rows, hidden)."""
        last = self.hidden_states(batch)[-1]
        first_tokens = torch.from_numpy(batch.cu_seqlens[:-1]).to(last.device)
        pooled: Tensor = self.pooler(last.index_select(0, first_tokens))
        return pooled


class Embeddings(nn.Module):
    """Sum of word, position and token type embeddings, normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._dropout_p = config.hidden_dropout_prob

    def forward(self, batch: PackedBatch) -> Tensor:
        """Shape (tokens, hidden)."""
        device = self.LayerNorm.weight.device
        words = self.word_embeddings(torch.from_numpy(batch.input_ids).to(device))
        positions = self.position_embeddings(torch.from_numpy(batch.position_ids).to(device))
        types = self.token_type_embeddings.weight  # one vector where a pair's texts are not told apart
        if len(types) > 1:
            types = self.token_type_embeddings(torch.from_numpy(batch.token_type_ids).to(device))
        return dropout(self.LayerNorm(words + types + positions), self._dropout_p, self.training)


class Layers(nn.Module):
    """The stack of layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])


class Layer(nn.Module):
    """Self-attention, then feed-forward, each with a residual connection."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Output(config.intermediate_size, config)

    def forward(self, hidden: Tensor, layout: PackedLayout) -> Tensor:
        """Shape (tokens, hidden) to the same shape."""
        hidden = self.attention(hidden, layout)
        output: Tensor = self.output(self.intermediate(hidden), hidden)
        return output


class Attention(nn.Module):
    """Self-attention and its projection."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Output(config.hidden_size, config)

    def forward(self, hidden: Tensor, layout: PackedLayout) -> Tensor:
        """Shape (tokens, hidden) to the same shape."""
        output: Tensor = self.output(self.self(hidden, layout), hidden)
        return output


class SelfAttention(nn.Module):
    """Query, key and value projections and the attention between them."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self._heads = config.num_attention_heads
        self._dropout_p = config.attention_probs_dropout_prob

    def forward(self, hidden: Tensor, layout: PackedLayout) -> Tensor:
        """Shape (tokens, hidden) to the same shape."""
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        bias = torch.cat([self.query.bias, self.key.bias, self.value.bias])
        query_key_value = functional.linear(hidden, weight, bias)
        return attention(query_key_value, layout, self._heads, self._dropout_p, self.training)


class Intermediate(nn.Module):
    """The widening half of the feed-forward part, with its activation."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self._activation = activation(config.hidden_act)

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape (tokens, hidden) to (tokens, intermediate)."""
        return self._activation(self.dense(hidden))


class Output(nn.Module):
    """Projection back to the hidden size, dropout, residual connection, LayerNorm."""

    def __init__(self, in_features: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._dropout_p = config.hidden_dropout_prob

    def forward(self, values: Tensor, residual: Tensor) -> Tensor:
        """Shapes (tokens, in_features) and (tokens, hidden) to (tokens, hidden)."""
        projected = dropout(self.dense(values), self._dropout_p, self.training)
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


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation that a Hugging Face config calls `name`, one of `configuration.ACTIVATIONS`."""

    def gelu_tanh(values: Tensor) -> Tensor:
        return functional.gelu(values, approximate="tanh")

    activations: dict[str, Callable[[Tensor], Tensor]] = {
        "gelu": functional.gelu,
        "gelu_new": gelu_tanh,
        "gelu_pytorch_tanh": gelu_tanh,
        "relu": functional.relu,
        "silu": functional.silu,
        "swish": functional.silu,
    }
    return activations[name]
