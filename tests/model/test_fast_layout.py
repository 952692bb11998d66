from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from encoder_twins import ragged_batch

from surefit.model.fast_layout import FastLayout
from surefit.text.packing import large_row_groups, row_groups

HEADS, HEAD_DIM = 3, 4
LENGTHS = [[1], [32], [9], [7, 7, 7, 7, 7], [16, 16], [3, 40, 1, 17, 60, 2], [9, 8, 7, 3, 2, 1, 1, 1, 1]]
each_batch = pytest.mark.parametrize("lengths", LENGTHS, ids=str)
each_kind = pytest.mark.parametrize("kinds", [1, 2, 3])


def layout_of(lengths: list[int], dtype: torch.dtype = torch.float32) -> FastLayout:
    return FastLayout(ragged_batch(lengths), row_groups(np.array(lengths)), HEADS, dtype)


def head_vectors_of(layout: FastLayout, kinds: int) -> torch.Tensor:
    """The head vectors of all tokens, numbered, empty tokens being minus one."""
    vectors = torch.full((layout.padded_tokens, kinds * HEADS * HEAD_DIM), -1.0)
    real = vectors[: layout.tokens]
    real.copy_(torch.arange(real.numel()).view(real.shape))
    return vectors


@each_batch
def test_sizes_are_those_of_the_groups(lengths: list[int]):
    layout = layout_of(lengths)
    assert layout.tokens == sum(lengths) < layout.padded_tokens <= layout.tokens + 32
    assert layout.padded_tokens % 32 == 0
    assert sum(group.rows for group in layout.groups) == len(lengths)
    for group in layout.groups:
        longest = max(lengths[group.first : group.first + group.rows])
        assert group.width % 8 == 0
        assert longest <= group.width < longest + 8
    assert layout.slots == sum(group.rows * group.width for group in layout.groups)
    assert layout.scores == HEADS * sum(group.rows * group.width**2 for group in layout.groups)
    assert layout.head_vectors(3) == 3 * layout.slots * HEADS


@each_batch
@each_kind
def test_moves_undo_each_other(lengths: list[int], kinds: int):
    layout = layout_of(lengths)
    by_token = head_vectors_of(layout, kinds).view(-1, HEAD_DIM)
    moves = layout.moves(kinds)
    by_group = by_token[moves.by_group]
    assert by_group.shape == (layout.head_vectors(kinds), HEAD_DIM)
    assert torch.equal(by_group[moves.by_token], by_token[: layout.tokens * kinds * HEADS])


@each_batch
@each_kind
def test_padding_is_the_first_empty_token(lengths: list[int], kinds: int):
    layout = layout_of(lengths)
    by_group = layout.moves(kinds).by_group
    first_empty = layout.tokens * kinds * HEADS
    real = torch.zeros(len(by_group), dtype=torch.bool)
    real[layout.moves(kinds).by_token] = True
    assert (by_group[~real] == first_empty).all()
    assert (by_group[real] < first_empty).all()
    assert first_empty < layout.padded_tokens * kinds * HEADS


@each_batch
@each_kind
def test_rectangles_hold_each_row_kind_and_head(lengths: list[int], kinds: int):
    layout = layout_of(lengths)
    packed = head_vectors_of(layout, kinds)
    rectangles = layout.rectangles(packed.view(-1, HEAD_DIM)[layout.moves(kinds).by_group], kinds)
    rows = packed[: layout.tokens].view(-1, kinds, HEADS, HEAD_DIM).split(lengths)
    for group, parts in zip(layout.groups, rectangles, strict=True):
        assert len(parts) == kinds
        for kind, part in enumerate(parts):
            assert part.shape == (group.rows * HEADS, group.width, HEAD_DIM)
            for place, row in enumerate(rows[group.first : group.first + group.rows]):
                for head in range(HEADS):
                    own = part[place * HEADS + head]
                    assert torch.equal(own[: len(row)], row[:, kind, head])
                    assert own[len(row) :].eq(-1).all()


@each_batch
def test_squares_and_rectangles_are_views_of_the_whole(lengths: list[int]):
    layout = layout_of(lengths)
    scores = torch.zeros(layout.scores)
    for number, (group, square) in enumerate(zip(layout.groups, layout.squares(scores), strict=True), 1):
        assert square.shape == (group.rows * HEADS, group.width, group.width)
        square.add_(number)
    assert scores.all()
    assert (scores.diff() >= 0).all(), "groups follow each other"
    by_group = torch.zeros(layout.head_vectors(2), HEAD_DIM)
    for parts in layout.rectangles(by_group, 2):
        for part in parts:
            part.add_(1)
    assert by_group.eq(1).all()


@each_batch
def test_first_tokens_are_those_of_the_rows(lengths: list[int]):
    batch, layout = ragged_batch(lengths), layout_of(lengths)
    assert layout.first_tokens.tolist() == batch.cu_seqlens[:-1].tolist()
    of_rows = torch.arange(len(lengths) * HEADS * HEAD_DIM).view(len(lengths), -1)
    parts = layout.first_rows(of_rows)
    assert [part.shape for part in parts] == [(group.rows * HEADS, 1, HEAD_DIM) for group in layout.groups]
    assert torch.equal(torch.cat(parts).view(of_rows.shape), of_rows)


@each_batch
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_of_padding_are_masked_for_each_query(lengths: list[int], dtype: torch.dtype):
    layout = layout_of(lengths, dtype)
    if all(length % 8 == 0 for length in lengths) and len(set(lengths)) == 1:
        assert layout.score_mask is None
        return
    assert layout.score_mask is not None
    assert layout.score_mask.dtype == dtype
    for group, square in zip(layout.groups, layout.squares(layout.score_mask), strict=True):
        own = lengths[group.first : group.first + group.rows]
        for heads, length in zip(square.split(HEADS), own, strict=True):
            assert heads[..., :length].eq(0).all()
            assert heads[..., length:].isneginf().all()


def test_rows_that_fill_their_groups_need_no_mask():
    assert layout_of([16, 16, 16, 16, 8, 8]).score_mask is None
    assert layout_of([16, 16, 16, 16, 8, 7]).score_mask is not None


@each_batch
@pytest.mark.parametrize("groups_of", [row_groups, large_row_groups])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keys_of_tokens_are_told_from_those_of_padding(lengths: list[int], groups_of: Any, dtype: torch.dtype):
    layout = FastLayout(ragged_batch(lengths), groups_of(np.array(lengths)), HEADS, dtype)
    assert len(layout.key_masks) == len(layout.groups)
    for group, mask in zip(layout.groups, layout.key_masks, strict=True):
        assert (mask.dtype, mask.shape) == (dtype, (group.rows * HEADS, group.width, 1))
        for heads, length in zip(mask.split(HEADS), lengths[group.first : group.first + group.rows], strict=True):
            assert heads[:, :length].eq(1).all()
            assert heads[:, length:].eq(0).all()


@each_batch
def test_layouts_of_large_groups_move_each_head_vector_to_a_place_of_its_own(lengths: list[int]):
    layout = FastLayout(ragged_batch(lengths), large_row_groups(np.array(lengths)), HEADS, torch.float32)
    for moves in map(layout.moves, (1, 2, 3)):
        assert len(moves.by_token.unique()) == len(moves.by_token)
        assert torch.equal(moves.by_group[moves.by_token], torch.arange(len(moves.by_token)))
