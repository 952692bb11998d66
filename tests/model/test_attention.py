from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from surefit.model.attention import PackedLayout, attention
from surefit.types import Encoding, PackedBatch


def batch_of(lengths: list[int]) -> PackedBatch:
    encodings = [Encoding(np.ones(length, np.int32), np.zeros(length, np.int32), 0) for length in lengths]
    return PackedBatch.from_encodings(encodings, np.arange(len(lengths)))


def layout_of(lengths: list[int]) -> PackedLayout:
    return PackedLayout.of(batch_of(lengths), torch.device("cpu"))


@pytest.mark.parametrize("lengths", [[3], [1, 7, 4], [5, 5, 5], [1, 1]])
def test_attention_of_a_batch_is_that_of_each_row_alone(lengths: list[int]):
    torch.manual_seed(0)
    heads, width = 2, 8
    packed = torch.randn(sum(lengths), 3 * width, dtype=torch.float64)
    together = attention(packed, layout_of(lengths), heads, 0.0, training=False)
    rows = []
    for row in packed.split(lengths):
        query, key, value = row.view(len(row), 3, heads, width // heads).permute(1, 2, 0, 3)
        rows.append(functional.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(len(row), width))
    torch.testing.assert_close(together, torch.cat(rows))


@pytest.mark.parametrize("lengths", [[2, 5, 1], [4, 4]])
def test_packing_undoes_the_rectangle(lengths: list[int]):
    packed = torch.arange(sum(lengths) * 3, dtype=torch.float32).view(-1, 3)
    layout = layout_of(lengths)
    rectangle = layout.to_rectangle(packed)
    assert rectangle.shape == (len(lengths), max(lengths), 3)
    assert torch.equal(layout.to_packed(rectangle), packed)


def test_rows_of_one_length_need_no_mask():
    assert layout_of([4, 4]).key_mask is None
    assert layout_of([4, 3]).key_mask is not None


def test_gradients_stay_within_their_row():
    torch.manual_seed(0)
    packed = torch.randn(7, 12, requires_grad=True)
    attention(packed, layout_of([3, 4]), 2, 0.0, training=False)[:3].sum().backward()
    assert packed.grad is not None
    assert packed.grad[:3].abs().sum() > 0
    assert torch.equal(packed.grad[3:], torch.zeros(4, 12))


def test_dropout_of_probabilities_happens_in_training_only():
    torch.manual_seed(0)
    packed = torch.randn(6, 12)
    layout = layout_of([6])
    plain = attention(packed, layout, 2, 0.0, training=False)
    assert torch.equal(attention(packed, layout, 2, 0.5, training=False), plain)
    assert not torch.allclose(attention(packed, layout, 2, 0.5, training=True), plain)
