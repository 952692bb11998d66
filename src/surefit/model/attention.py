"""Attention over packed sequences, plainly written out: the twin that the fast ways are held to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surefit.model.dropout import StepDropout
from surefit.model.transfer import on_device
from surefit.text.packing import RowGroup, row_groups
from surefit.types import PackedBatch


@dataclass(frozen=True, eq=False)
class GroupLayout:
    """Where the tokens of a group of rows stand in a rectangle.

    Attributes:
        group: which rows, and how wide the rectangle is.
        first_token: place of the group's first token in the batch.
        first_score: how many attention scores of one head the groups before it have.
        slots: place of each token in the flattened rectangle, shape (tokens,), int64.
        key_mask: what is added to attention scores, 0 for a token and minus infinity for padding,
            shape (rows, 1, 1, width).
    """

    group: RowGroup
    first_token: int
    first_score: int
    slots: Tensor
    key_mask: Tensor

    @classmethod
    def of(cls, batch: PackedBatch, device: torch.device) -> list[GroupLayout]:
        """The layouts of a batch's groups, their tensors on `device`."""
        lengths = np.diff(batch.cu_seqlens)
        layouts, first_score = [], 0
        for group in row_groups(lengths):
            is_token = np.arange(group.width) < lengths[group.first : group.first + group.rows, None]
            mask = on_device(np.where(is_token, np.float32(0), np.float32("-inf"))[:, None, None, :], device)
            slots = on_device(np.flatnonzero(is_token), device)
            layouts.append(cls(group, int(batch.cu_seqlens[group.first]), first_score, slots, mask))
            first_score += group.rows * group.width**2
        return layouts

    def to_rectangle(self, packed: Tensor) -> Tensor:
        """The group's part of shape (tokens of the batch, width) as (rows, width of the group, width), zeros as padding."""
        own = packed[self.first_token : self.first_token + len(self.slots)]
        flat = own.new_zeros(self.group.rows * self.group.width, own.shape[1]).index_copy(0, self.slots, own)
        return flat.view(self.group.rows, self.group.width, -1)

    def to_packed(self, rectangle: Tensor) -> Tensor:
        """Shape (rows, width of the group, width) to (tokens of the group, width), padding left out."""
        return rectangle.reshape(self.group.rows * self.group.width, -1).index_select(0, self.slots)


def attention(
    query_key_value: Tensor, layouts: list[GroupLayout], heads: int, dropout: StepDropout | None, site: int, p: float
) -> Tensor:
    """Multi-head self-attention in which each row attends to its own tokens only.

    softmax(Q K^T / sqrt(head_dim)) V, Vaswani et al. 2017, equation 1. It is written out as matmul,
    softmax, matmul because on CPUs in bf16 that is several times faster, backward included, than
    `scaled_dot_product_attention`.

    Args:
        query_key_value: the three projections side by side, shape (tokens, 3 * hidden).
        layouts: where the tokens of each group stand.
        heads: number of heads.
        dropout: what to drop; nothing when not given.
        site: this attention's number among the sites that drop.
        p: share of the attention probabilities to drop.

    Returns:
        the context of each token, shape (tokens, hidden).
    """
    contexts = []
    for layout in layouts:
        rectangle = layout.to_rectangle(query_key_value)
        split = rectangle.view(*rectangle.shape[:2], 3, heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind()  # each (rows, heads, width, head_dim)
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(2, 3))
        probabilities = torch.softmax(scores + layout.key_mask.to(scores.dtype), dim=-1)
        if dropout is not None:
            probabilities = dropout.drop(probabilities, site, (dropout.scores + layout.first_score) * heads, p)
        context = torch.matmul(probabilities.to(value.dtype), value)
        contexts.append(layout.to_packed(context.transpose(1, 2)))
    return torch.cat(contexts)
