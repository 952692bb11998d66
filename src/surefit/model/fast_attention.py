"""Attention of a packed batch by groups of rows, forward and backward by hand: the fast twin of `attention`."""

from __future__ import annotations

import torch
from torch import Tensor

from surefit.model.dropout import keep_values
from surefit.model.encoder import layer_sites
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_masks import Masks
from surefit.model.fast_memory import PassMemory

aten = torch.ops.aten


class FastAttention:
    """The attention of one batch in each layer.

    Args:
        layout: where the heads stand.
        masks: what is dropped.
        memory: of the pass.
        head_dim: width of a head.
    """

    def __init__(self, layout: FastLayout, masks: Masks, memory: PassMemory, head_dim: int) -> None:
        self._layout = layout
        self._masks = masks
        self._memory = memory
        self._head_dim = head_dim
        self._hidden = layout.heads * head_dim
        self._scale = head_dim**-0.5

    def forward(self, layer: int, query_key_value: Tensor) -> Tensor:
        """The context of each token, shape (padded tokens, hidden), of shape (padded tokens, 3 * hidden)."""
        layout, memory = self._layout, self._memory
        by_group = self._to_groups(
            query_key_value, 3, memory.take_kept("by group", layer, layout.head_vectors(3), self._head_dim)
        )
        scores = memory.take("scores", layout.scores)
        thirds, squares = layout.rectangles(by_group, 3), layout.squares(scores)
        for (query, key, _), square in zip(thirds, squares, strict=True):
            _product(query, key.transpose(1, 2), self._scale, square)
        if layout.score_mask is not None:
            scores.add_(layout.score_mask)
        probabilities = memory.take_kept("probabilities", layer, layout.scores)
        for square, into in zip(squares, layout.squares(probabilities), strict=True):
            torch.softmax(square, -1, out=into)
        keep = self._masks.of_scores(layer_sites(layer).probabilities)
        if keep is not None:
            memory.keep("kept scores", layer, keep)
        kept = layout.squares(self._kept(layer, probabilities))
        contexts = memory.take("context by group", layout.head_vectors(1), self._head_dim)
        for (_, _, value), square, (into,) in zip(thirds, kept, layout.rectangles(contexts, 1), strict=True):
            _product(square, value, self._masks.score_scale, into)
        return self._to_tokens(contexts, 1, memory.take_kept("context", layer, layout.padded_tokens, self._hidden))

    def backward(self, layer: int, of_context: Tensor) -> Tensor:
        """The gradient of `forward`'s argument from that of its result."""
        layout, memory, dropped_scale = self._layout, self._memory, self._masks.score_scale
        contexts = memory.take("context by group", layout.head_vectors(1), self._head_dim)
        of_contexts = layout.rectangles(self._to_groups(of_context, 1, contexts), 1)
        by_group = memory.take("gradient by group", layout.head_vectors(3), self._head_dim)
        of_thirds, thirds = layout.rectangles(by_group, 3), layout.rectangles(memory.kept("by group", layer), 3)
        probabilities = memory.kept("probabilities", layer)
        of_probabilities = memory.take("scores", layout.scores)
        kept, of_squares = layout.squares(self._kept(layer, probabilities)), layout.squares(of_probabilities)
        for (_, _, value), (_, _, of_value), (own,), square, of_square in zip(
            thirds, of_thirds, of_contexts, kept, of_squares, strict=True
        ):
            _product(square.transpose(1, 2), own, dropped_scale, of_value)
            _product(own, value.transpose(1, 2), dropped_scale, of_square)
        keep = memory.find("kept scores", layer)
        if keep is not None:
            keep_values(of_probabilities, keep, of_probabilities)
        of_scores = layout.squares(memory.take("kept probabilities", layout.scores))
        for (query, key, _), (of_query, of_key, _), square, of_square, into in zip(
            thirds, of_thirds, layout.squares(probabilities), of_squares, of_scores, strict=True
        ):
            aten._softmax_backward_data.out(of_square, square, -1, memory.dtype, grad_input=into)
            _product(into, key, self._scale, of_query)
            _product(into.transpose(1, 2), query, self._scale, of_key)
        return self._to_tokens(by_group, 3, memory.take("query key value", layout.padded_tokens, 3 * self._hidden))

    def forward_first(self, layer: int, query: Tensor, key_value: Tensor) -> Tensor:
        """The context of first tokens only.

        Args:
            layer: number of the layer.
            query: of first tokens, shape (rows, hidden).
            key_value: of all tokens, shape (padded tokens, 2 * hidden).

        Returns:
            shape (rows, hidden).
        """
        layout, memory = self._layout, self._memory
        by_group = self._to_groups(key_value, 2, memory.take_kept("by group", layer, layout.head_vectors(2), self._head_dim))
        context = memory.take_kept("context", layer, *query.shape)
        keep = self._masks.of_scores(layer_sites(layer).probabilities)
        views = zip(layout.rectangles(by_group, 2), layout.first_rows(query), layout.first_rows(context), strict=True)
        for group, ((key, value), own, into) in enumerate(views):
            scores = torch.bmm(own, key.transpose(1, 2)).mul_(self._scale)
            if layout.score_mask is not None:
                scores.add_(layout.squares(layout.score_mask)[group][:, :1])
            probabilities = memory.keep("first probabilities", group, torch.softmax(scores, -1))
            if keep is not None:
                probabilities = probabilities * memory.keep("first kept", group, layout.squares(keep)[group][:, :1].bool())
            _product(probabilities, value, self._masks.score_scale, into)
        return context

    def backward_first(self, layer: int, of_context: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of `forward_first`'s query and key_value from that of its result."""
        layout, memory = self._layout, self._memory
        query = memory.kept("query", layer)
        by_group = memory.take("gradient by group", layout.head_vectors(2), self._head_dim)
        of_query = memory.take("gradient of query", *query.shape)
        halves, of_halves = layout.rectangles(memory.kept("by group", layer), 2), layout.rectangles(by_group, 2)
        views = zip(halves, of_halves, *map(layout.first_rows, (query, of_query, of_context)), strict=True)
        for group, ((key, value), (of_key, of_value), own, into, of_own) in enumerate(views):
            probabilities, keep = memory.kept("first probabilities", group), memory.find("first kept", group)
            of_probabilities = torch.bmm(of_own, value.transpose(1, 2)).mul_(self._masks.score_scale)
            kept = probabilities
            if keep is not None:
                kept, of_probabilities = probabilities * keep, of_probabilities * keep
            _product(kept.transpose(1, 2), of_own, self._masks.score_scale, of_value)
            of_scores = aten._softmax_backward_data(of_probabilities, probabilities, -1, memory.dtype)
            _product(of_scores, key, self._scale, into)
            _product(of_scores.transpose(1, 2), own, self._scale, of_key)
        return of_query, self._to_tokens(by_group, 2, memory.take("query key value", layout.padded_tokens, 2 * self._hidden))

    def _kept(self, layer: int, probabilities: Tensor) -> Tensor:
        """The probabilities with zeros where they are dropped, not scaled."""
        keep = self._memory.find("kept scores", layer)
        if keep is None:
            return probabilities
        return keep_values(probabilities, keep, self._memory.take("kept probabilities", self._layout.scores))

    def _to_groups(self, by_token: Tensor, kinds: int, into: Tensor) -> Tensor:
        return torch.index_select(by_token.view(-1, self._head_dim), 0, self._layout.moves(kinds).by_group, out=into)

    def _to_tokens(self, by_group: Tensor, kinds: int, into: Tensor) -> Tensor:
        tokens, moves = self._layout.tokens, self._layout.moves(kinds)
        torch.index_select(by_group, 0, moves.by_token, out=into[:tokens].view(-1, self._head_dim))
        into[tokens:].zero_()
        return into


def _product(left: Tensor, right: Tensor, scale: float, into: Tensor) -> None:
    """Scaled matrix products of a group."""
    torch.baddbmm(into, left, right, beta=0, alpha=scale, out=into)
