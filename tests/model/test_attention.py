"""The plain attention."""

from __future__ import annotations

import pytest
import torch
from encoder_twins import ragged_batch
from torch.nn import functional

from surefit.model.attention import GroupLayout, attention
from surefit.model.dropout import StepDropout

SITE = 4
LENGTHS = [[3], [1, 7, 4], [5, 5, 5, 5, 5], [1, 1], [9, 20, 3, 1, 17, 8, 2, 30, 5]]


def layouts_of(lengths: list[int]) -> list[GroupLayout]:
    return GroupLayout.of(ragged_batch(lengths), torch.device("cpu"))


def attention_of(packed: torch.Tensor, lengths: list[int], heads: int, dropout: StepDropout | None = None) -> torch.Tensor:
    return attention(packed, layouts_of(lengths), heads, dropout, SITE, 0.5)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_of_a_batch_is_that_of_each_row_alone(lengths: list[int]):
    torch.manual_seed(0)
    heads, width = 2, 8
    packed = torch.randn(sum(lengths), 3 * width, dtype=torch.float64)
    together = attention_of(packed, lengths, heads)
    rows = []
    for row in packed.split(lengths):
        query, key, value = row.view(len(row), 3, heads, width // heads).permute(1, 2, 0, 3)
        rows.append(functional.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(len(row), width))
    torch.testing.assert_close(together, torch.cat(rows))


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_packing_undoes_the_rectangles(lengths: list[int]):
    packed = torch.arange(1, sum(lengths) * 3 + 1, dtype=torch.float32).view(-1, 3)
    layouts = layouts_of(lengths)
    rectangles = [layout.to_rectangle(packed) for layout in layouts]
    assert torch.equal(torch.cat([layout.to_packed(own) for layout, own in zip(layouts, rectangles, strict=True)]), packed)
    for layout, rectangle in zip(layouts, rectangles, strict=True):
        own = lengths[layout.group.first : layout.group.first + layout.group.rows]
        assert rectangle.shape == (len(own), layout.group.width, 3)
        assert layout.group.width % 8 == 0
        for row, length in enumerate(own):
            assert rectangle[row, :length].all()
            assert not rectangle[row, length:].any()
            mask = layout.key_mask[row, 0, 0]
            assert mask.tolist() == [0.0] * length + [float("-inf")] * (layout.group.width - length)


def test_groups_are_four_rows_and_know_where_they_begin():
    layouts = layouts_of([9, 20, 3, 1, 17, 8, 2, 30, 5])
    assert [layout.group.rows for layout in layouts] == [4, 4, 1]
    assert [layout.first_token for layout in layouts] == [0, 33, 90]
    assert [layout.first_score for layout in layouts] == [0, 4 * 24**2, 4 * 24**2 + 4 * 32**2]


def test_gradients_stay_within_their_row():
    torch.manual_seed(0)
    packed = torch.randn(7, 12, requires_grad=True)
    attention_of(packed, [3, 4], 2)[:3].sum().backward()
    assert packed.grad is not None
    assert packed.grad[:3].abs().sum() > 0
    assert torch.equal(packed.grad[3:], torch.zeros(4, 12))


def test_probabilities_are_dropped_where_it_is_asked_for():
    torch.manual_seed(0)
    packed = torch.randn(6, 12)
    plain, dropped = attention_of(packed, [6], 2), attention_of(packed, [6], 2, StepDropout(0, 1))
    assert not torch.allclose(dropped, plain)
    assert torch.equal(attention_of(packed, [6], 2, StepDropout(0, 1)), dropped)
    assert not torch.allclose(attention_of(packed, [6], 2, StepDropout(0, 2)), dropped)


def test_probabilities_are_dropped_by_their_place_in_the_step():
    torch.manual_seed(0)
    lengths, step = [9, 20, 3, 1, 17, 8, 2, 30, 5], StepDropout(0, 1)
    packed = torch.randn(sum(lengths), 12, dtype=torch.float64)
    whole = attention_of(packed, lengths, 2, step)
    first = attention_of(packed[:33], lengths[:4], 2, step)
    second = attention_of(packed[33:], lengths[4:], 2, step.after(ragged_batch(lengths[:4])))
    torch.testing.assert_close(torch.cat([first, second]), whole)
