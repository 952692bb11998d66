"""Attention of a packed batch by groups of rows, forward only."""

from __future__ import annotations

import torch
from torch import Tensor

from surefit.model.fast_layout import FastLayout
from surefit.model.fast_memory import Workspace

# Sums of exponentials of scores up to this, of any row there is, are far from both ends of float32 and
# bfloat16, so that no largest score need be subtracted first.
_MODERATE_SCORE = 60.0


class InferenceAttention:
    """The attention of one batch.

    Args:
        layout: where the heads stand.
        workspace: memory.
        dtype: of queries, keys, values and probabilities.
    """

    def __init__(self, layout: FastLayout, workspace: Workspace, dtype: torch.dtype) -> None:
        self._layout = layout
        self._workspace = workspace
        self._dtype = dtype

    def all_tokens(self, query_key_value: Tensor) -> Tensor:
        """The context of each token, shape (padded tokens, hidden).

        Args:
            query_key_value: side by side, shape (padded tokens, 3 * hidden); its empty tokens become zero.
        """
        layout, hidden = self._layout, query_key_value.shape[1] // 3
        head_dim = hidden // layout.heads
        thirds = layout.rectangles(self._to_groups(query_key_value, 3, head_dim), 3)
        scores = self._take("scores", layout.scores)
        squares = layout.squares(scores)
        for (query, key, _), square in zip(thirds, squares, strict=True):
            torch.baddbmm(square, query, key.transpose(1, 2), beta=0, alpha=head_dim**-0.5, out=square)
        sums = self._to_weights(scores, squares)
        contexts = self._take("context by group", layout.head_vectors(1), head_dim)
        for (_, _, value), square, (into,) in zip(thirds, squares, layout.rectangles(contexts, 1), strict=True):
            torch.bmm(square, value, out=into)
        if sums is not None:
            contexts.div_(sums)
        context = self._take("context", layout.padded_tokens, hidden)
        own = context[: layout.tokens].view(-1, head_dim)
        torch.index_select(contexts, 0, layout.moves(1).by_token, out=own)
        context[layout.tokens :].zero_()
        return context

    def first_tokens(self, query: Tensor, key_value: Tensor) -> Tensor:
        """The context of first tokens, shape (rows, hidden).

        Args:
            query: of first tokens, shape (rows, hidden).
            key_value: side by side, shape (padded tokens, 2 * hidden); its empty tokens become zero.
        """
        layout, head_dim = self._layout, query.shape[1] // self._layout.heads
        context = self._take("context", *query.shape)
        halves = layout.rectangles(self._to_groups(key_value, 2, head_dim), 2)
        views = zip(halves, layout.first_rows(query), layout.first_rows(context), layout.key_masks, strict=True)
        for (key, value), own, into, mask in views:
            scores = torch.bmm(own, key.transpose(1, 2)).float().mul_(head_dim**-0.5)
            scores.masked_fill_(mask.transpose(1, 2) == 0, float("-inf"))
            torch.bmm(torch.softmax(scores, -1).to(self._dtype), value, out=into)
        return context

    def _to_weights(self, scores: Tensor, squares: list[Tensor]) -> Tensor | None:
        """Turns scores into what values are to be weighed with, in place.

        In bf16 the softmax of torch takes several times as long as the products around it. There the
        exponentials do without the largest score where it is moderate, and the division waits until
        there are contexts, which are fewer. Zero keys and values of padding add nothing then.

        Returns:
            what contexts are to be divided by, shape (head vectors, 1), or None.
        """
        layout = self._layout
        if scores.dtype == torch.float32:
            self._mask(scores)
            for square in squares:
                torch.softmax(square, -1, out=square)
            return None
        low, high = torch.aminmax(scores)
        if not (float(low) > -_MODERATE_SCORE and float(high) < _MODERATE_SCORE):
            self._make_moderate(scores, squares)
        scores.exp_()
        sums = self._take("sums", layout.head_vectors(1), 1)
        for square, mask, (into,) in zip(squares, layout.key_masks, layout.rectangles(sums, 1), strict=True):
            torch.bmm(square, mask, out=into)
        return sums

    def _make_moderate(self, scores: Tensor, squares: list[Tensor]) -> None:
        """Subtracts its largest score from each query's where one of them is not moderate.

        The scores of other queries stay as they are, so that no row's answer depends on those beside it.
        """
        moderate = [square.abs().amax(-1, keepdim=True) < _MODERATE_SCORE for square in squares]
        self._mask(scores)
        for square, stays in zip(squares, moderate, strict=True):
            square.sub_(square.amax(-1, keepdim=True).masked_fill_(stays, 0))

    def _mask(self, scores: Tensor) -> None:
        if self._layout.score_mask is not None:
            scores.add_(self._layout.score_mask)

    def _to_groups(self, by_token: Tensor, kinds: int, head_dim: int) -> Tensor:
        by_token[self._layout.tokens :].zero_()
        into = self._take("by group", self._layout.head_vectors(kinds), head_dim)
        return torch.index_select(by_token.view(-1, head_dim), 0, self._layout.moves(kinds).by_group, out=into)

    def _take(self, name: str, *shape: int) -> Tensor:
        return self._workspace.take(name, shape, self._dtype)
