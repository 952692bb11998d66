"""Where the heads of a packed batch stand when they are laid out for attention by groups of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from surefit.text.packing import RowGroup
from surefit.types import Int64Array, PackedBatch

# Tokens are rounded up to a multiple of this by empty ones at the end: the library for matrix products
# generates code for each number of rows, which takes longer than the few empty rows.
_TOKEN_STEP = 32


@dataclass(frozen=True)
class Moves:
    """How head vectors move between the two orders.

    Attributes:
        by_group: for each place by group, the head vector of the batch that stands there, or the
            first one of the first empty token where none does.
        by_token: for each head vector of the batch, its place by group.
    """

    by_group: Tensor
    by_token: Tensor


class FastLayout:
    """Sizes and places of one batch.

    By group, the heads are laid out as (rows * heads, width, head_dim), first all queries, then all
    keys, then all values of the group; scores as (rows * heads, width, width).

    Args:
        batch: the rows.
        groups: their groups.
        heads: number of heads.
        dtype: of the scores.

    Attributes:
        groups, heads: as given.
        tokens: tokens of the batch.
        padded_tokens: the same with empty tokens at the end, one at least.
        slots: tokens of all groups' rectangles.
        scores: attention scores of all groups and heads.
        first_tokens: place of each row's first token, shape (rows,), int64.
    """

    def __init__(self, batch: PackedBatch, groups: list[RowGroup], heads: int, dtype: torch.dtype) -> None:
        lengths = np.diff(batch.cu_seqlens).astype(np.int64)
        self.groups = groups
        self.heads = heads
        self.tokens = batch.tokens
        self.padded_tokens = (batch.tokens // _TOKEN_STEP + 1) * _TOKEN_STEP
        self.slots = sum(group.rows * group.width for group in self.groups)
        self.scores = sum(group.rows * heads * group.width**2 for group in self.groups)
        self.first_tokens = torch.from_numpy(batch.cu_seqlens[:-1].astype(np.int64))
        self._lengths = lengths
        self._position_ids = batch.position_ids
        self._dtype = dtype
        self._moves: dict[int, Moves] = {}

    def head_vectors(self, kinds: int) -> int:
        """Head vectors of all groups' rectangles."""
        return kinds * self.slots * self.heads

    def rectangles(self, by_group: Tensor, kinds: int) -> list[tuple[Tensor, ...]]:
        """Of each group its parts of each kind, each of shape (rows * heads, width, head_dim)."""
        views, start, head_dim = [], 0, by_group.shape[1]
        for group in self.groups:
            count, shape = group.rows * self.heads * group.width, (group.rows * self.heads, group.width, head_dim)
            parts = by_group[start : start + kinds * count].view(kinds, *shape)
            views.append(parts.unbind())
            start += kinds * count
        return views

    def squares(self, scores: Tensor) -> list[Tensor]:
        """Of each group what belongs to its attention scores, shape (rows * heads, width, width)."""
        views, start = [], 0
        for group in self.groups:
            count = group.rows * self.heads * group.width**2
            views.append(scores[start : start + count].view(group.rows * self.heads, group.width, group.width))
            start += count
        return views

    def first_rows(self, of_rows: Tensor) -> list[Tensor]:
        """Of each group the rows of a tensor (rows, hidden), as (rows * heads, 1, head_dim)."""
        head_dim = of_rows.shape[1] // self.heads
        return [of_rows[group.first : group.first + group.rows].view(-1, 1, head_dim) for group in self.groups]

    def moves(self, kinds: int) -> Moves:
        """How head vectors move, of which so many kinds stand side by side in a token: the context, key and value, or all."""
        if kinds not in self._moves:
            places = self._places(kinds)
            by_group = np.full(self.slots * self.heads * kinds, places.size, np.int64)
            by_group[places.ravel()] = np.arange(places.size)
            self._moves[kinds] = Moves(torch.from_numpy(by_group), torch.from_numpy(places.ravel()))
        return self._moves[kinds]

    @cached_property
    def score_places(self) -> Int64Array:
        """Of each row the place of its first score and the distance from query to query, shape (2, rows)."""
        places = np.empty((2, len(self._lengths)), np.int64)
        start = 0
        for group in self.groups:
            own = slice(group.first, group.first + group.rows)
            size = self.heads * group.width**2
            places[0, own], places[1, own] = start + np.arange(group.rows) * size, group.width
            start += group.rows * size
        return places

    def _places(self, kinds: int) -> Int64Array:
        """Place of each head vector of each token, shape (tokens, kinds, heads)."""
        heads = self.heads
        row_base = np.empty(len(self._lengths), np.int64)
        kind_step, head_step = np.empty_like(row_base), np.empty_like(row_base)
        start = 0
        for group in self.groups:
            rows = slice(group.first, group.first + group.rows)
            row_base[rows] = start + np.arange(group.rows) * heads * group.width
            kind_step[rows] = group.rows * heads * group.width
            head_step[rows] = group.width
            start += kinds * group.rows * heads * group.width
        row = np.repeat(np.arange(len(self._lengths)), self._lengths)
        first = (row_base[row] + self._position_ids)[:, None, None]
        kind = np.arange(kinds)[:, None] * kind_step[row][:, None, None]
        places: Int64Array = first + kind + np.arange(heads) * head_step[row][:, None, None]
        return places

    @cached_property
    def score_mask(self) -> Tensor | None:
        """What is added to the scores, 0 or minus infinity, shape (scores,); None where no rectangle has padding."""
        if self.slots == self.tokens:
            return None
        masks = []
        for group, is_padding in zip(self.groups, self._padding(), strict=True):
            mask = torch.zeros(is_padding.shape, dtype=self._dtype).masked_fill_(is_padding, float("-inf"))
            masks.append(mask[:, None, None, :].expand(-1, self.heads, group.width, -1).reshape(-1))
        return torch.cat(masks)

    @cached_property
    def key_masks(self) -> list[Tensor]:
        """Of each group 1 for a key of a token and 0 for one of padding, shape (rows * heads, width, 1)."""
        of_rows = [torch.logical_not(is_padding).to(self._dtype) for is_padding in self._padding()]
        return [mask.repeat_interleave(self.heads, 0)[..., None] for mask in of_rows]

    def _padding(self) -> list[Tensor]:
        """Of each group where its rectangle is padding, shape (rows, width)."""
        ends = [self._lengths[group.first : group.first + group.rows, None] for group in self.groups]
        return [torch.from_numpy(np.arange(group.width) >= own) for group, own in zip(self.groups, ends, strict=True)]
