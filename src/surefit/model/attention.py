"""Attention over packed sequences, plainly written out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surefit.model.dropout import dropout
from surefit.types import PackedBatch


@dataclass(frozen=True, eq=False)
class PackedLayout:
    """Where the tokens of a packed batch stand in a rectangle of its rows.

    Attributes:
        rows: number of rows.
        max_seqlen: tokens of the longest row.
        slots: place of each token in the flattened rectangle, shape (tokens,), int64; None where
            all rows are equally long, so that the packed batch is the rectangle.
        key_mask: what is added to attention scores, 0 for a token and minus infinity for padding,
            shape (rows, 1, 1, max_seqlen); None where nothing is padding.
    """

    rows: int
    max_seqlen: int
    slots: Tensor | None
    key_mask: Tensor | None

    @classmethod
    def of(cls, batch: PackedBatch, device: torch.device) -> PackedLayout:
        """The layout of one batch, its tensors on `device`."""
        rows, max_seqlen = len(batch), batch.max_seqlen
        if batch.tokens == rows * max_seqlen:
            return cls(rows, max_seqlen, None, None)
        cu_seqlens = torch.from_numpy(batch.cu_seqlens).to(device)
        is_token = torch.arange(max_seqlen, device=device) < cu_seqlens.diff().unsqueeze(1)
        key_mask = torch.zeros(rows, 1, 1, max_seqlen, device=device).masked_fill_(~is_token[:, None, None], float("-inf"))
        return cls(rows, max_seqlen, is_token.flatten().nonzero().squeeze(1), key_mask)

    def to_rectangle(self, packed: Tensor) -> Tensor:
        """Shape (tokens, width) to (rows, max_seqlen, width), zeros as padding."""
        if self.slots is not None:
            packed = packed.new_zeros(self.rows * self.max_seqlen, packed.shape[1]).index_copy(0, self.slots, packed)
        return packed.view(self.rows, self.max_seqlen, -1)

    def to_packed(self, rectangle: Tensor) -> Tensor:
        """Shape (rows, max_seqlen, width) to (tokens, width), padding left out."""
        flat = rectangle.reshape(self.rows * self.max_seqlen, -1)
        return flat if self.slots is None else flat.index_select(0, self.slots)


def attention(query_key_value: Tensor, layout: PackedLayout, heads: int, dropout_p: float, training: bool) -> Tensor:
    """Multi-head self-attention in which each row attends to its own tokens only.

    softmax(Q K^T / sqrt(head_dim)) V, Vaswani et al. 2017, equation 1. It is written out as matmul,
    softmax, matmul because on CPUs in bf16 that is several times faster, backward included, than
    `scaled_dot_product_attention`.

    Args:
        query_key_value: the three projections side by side, shape (tokens, 3 * hidden).
        layout: where the tokens stand.
        heads: number of heads.
        dropout_p: share of the attention probabilities dropped in training.
        training: whether to drop any.

    Returns:
        the context of each token, shape (tokens, hidden).
    """
    rectangle = layout.to_rectangle(query_key_value)
    split = rectangle.view(layout.rows, layout.max_seqlen, 3, heads, -1)
    query, key, value = split.permute(2, 0, 3, 1, 4).unbind()  # each (rows, heads, max_seqlen, head_dim)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(2, 3))
    if layout.key_mask is not None:
        scores = scores + layout.key_mask.to(scores.dtype)
    probabilities = dropout(torch.softmax(scores, dim=-1), dropout_p, training)
    context = torch.matmul(probabilities.to(value.dtype), value)
    return layout.to_packed(context.transpose(1, 2))
