"""The forward pass of predictions against its plain twin in float64."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from encoder_twins import InferenceTwins, ragged_batch, rows_alone, rows_of
from torch import Tensor

from processor import by_torch_and_by_compiled_loops, needs_compiled_loops, needs_packed_products
from surefit.model.activations import ACTIVATIONS
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_memory import Workspace
from surefit.model.inference_attention import InferenceAttention
from surefit.text.packing import large_row_groups
from surefit.types import Encoding, PackedBatch

BATCHES = {
    "one row": [9],
    "one token": [1],
    "one-token rows": [1] * 40,
    "equal lengths": [7] * 19,
    "whole widths": [16, 16, 8, 8],
    "many groups": [60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1],
    "not sorted": [3, 40, 1, 17, 60, 2],
    "shortest first": [1, 2, 3, 128],
    "32 tokens": [20, 12],
    "longest possible": [128, 127],
}
RAGGED = [40, 33, 9, 9, 7, 1]
SHAPES: list[dict[str, Any]] = [
    {"hidden_size": 8, "num_attention_heads": 2},  # heads of width 4
    {"hidden_size": 128, "num_attention_heads": 2},
    {"hidden_size": 27, "num_attention_heads": 3, "intermediate_size": 50},  # no multiple of 8
    {"hidden_size": 5, "num_attention_heads": 1, "intermediate_size": 7},
    {"num_hidden_layers": 1},
    {"num_hidden_layers": 4},
    {"type_vocab_size": 1},
    {"type_vocab_size": 5},
    {"layer_norm_eps": 0.1},
]
# The compiled loops take sixteen values at a time.
SHAPES_OF_LOOPS: list[dict[str, Any]] = [
    {"hidden_size": 16, "num_attention_heads": 1, "intermediate_size": 16},
    {"hidden_size": 16, "num_attention_heads": 1, "intermediate_size": 48},
    {"hidden_size": 64, "num_attention_heads": 2},  # heads of width 32
    {"hidden_size": 96, "num_attention_heads": 2},  # 48
    {"hidden_size": 192, "num_attention_heads": 3},  # 64
    {"hidden_size": 112, "num_attention_heads": 7, "intermediate_size": 80},
    {"num_hidden_layers": 1},
    {"num_hidden_layers": 6},
    {"type_vocab_size": 1},
    {"type_vocab_size": 5},
    {"layer_norm_eps": 0.1},
]
HEADS, HEAD_DIM = 3, 4

each_batch = pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES.keys())
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def assert_same(twins: InferenceTwins, batch: PackedBatch, within: float = 1e-5) -> None:
    found = twins.inference.first_tokens(batch)
    assert (found.dtype, found.shape) == (torch.float32, (len(batch), twins.config.hidden_size))
    torch.testing.assert_close(found.double(), twins.expected(batch), atol=within, rtol=0)


def relative_difference(values: Tensor, expected: Tensor) -> float:
    return float((values.double() - expected).norm() / expected.norm())


@each_batch
@by_torch_and_by_compiled_loops
def test_first_tokens_are_those_of_the_plain_twin(lengths: list[int], compiled: bool):
    assert_same(InferenceTwins(compiled=compiled), ragged_batch(lengths))


@each_batch
@pytest.mark.parametrize("layers", [1, 3])
@by_torch_and_by_compiled_loops
def test_all_tokens_are_those_of_the_plain_twin(lengths: list[int], layers: int, compiled: bool):
    twins, batch = InferenceTwins(compiled=compiled, num_hidden_layers=layers), ragged_batch(lengths)
    found = twins.inference.all_tokens(batch)
    with torch.no_grad():
        expected = twins.plain.hidden_states(batch)[-1]
    assert (found.dtype, found.shape) == (torch.float32, (batch.tokens, twins.config.hidden_size))
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
    first = found[torch.from_numpy(batch.cu_seqlens[:-1]).long()]
    torch.testing.assert_close(twins.inference.first_tokens(batch), first, atol=1e-5, rtol=0)


@by_torch_and_by_compiled_loops
def test_rows_of_512_tokens_are_those_of_the_plain_twin(compiled: bool):
    assert_same(InferenceTwins(max_position_embeddings=512, compiled=compiled), ragged_batch([512, 511, 300, 2]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@by_torch_and_by_compiled_loops
def test_twins_agree_for_each_activation(activation: str, compiled: bool):
    assert_same(InferenceTwins(hidden_act=activation, compiled=compiled), ragged_batch(RAGGED))


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_twins_agree_for_each_shape(sizes: dict[str, Any]):
    batch = ragged_batch(RAGGED, types=max(sizes.get("type_vocab_size", 2), 2))
    assert_same(InferenceTwins(**sizes), batch)


@needs_compiled_loops
@pytest.mark.parametrize("sizes", SHAPES_OF_LOOPS, ids=str)
def test_compiled_loops_agree_for_each_shape_that_they_fit(sizes: dict[str, Any]):
    batch = ragged_batch(RAGGED, types=max(sizes.get("type_vocab_size", 2), 2))
    assert_same(InferenceTwins(compiled=True, **sizes), batch)


@each_batch
@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize("packed", [False, pytest.param(True, marks=needs_packed_products)], ids=["as they are", "packed"])
@by_torch_and_by_compiled_loops
def test_bf16_is_within_its_rounding(lengths: list[int], layers: int, packed: bool, compiled: bool):
    """A value is rounded about 12 times on its way through a layer, each time by 2^-8 of itself at most."""
    twins = InferenceTwins(torch.bfloat16, compiled=compiled, packed=packed, num_hidden_layers=layers)
    batch = ragged_batch(lengths)
    difference = relative_difference(twins.inference.first_tokens(batch), twins.expected(batch))
    assert 2**-12 < difference < np.sqrt(12 * layers) / 2**8, "it must be near, but cannot be exact"


@each_batch
@by_torch_and_by_compiled_loops
def test_rows_alone_are_as_in_the_batch(lengths: list[int], compiled: bool):
    twins, batch = InferenceTwins(compiled=compiled), ragged_batch(lengths)
    alone = rows_alone(twins.inference, batch)
    torch.testing.assert_close(twins.inference.first_tokens(batch), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [1e-4, 20, 100])
@by_torch_and_by_compiled_loops
def test_scores_of_any_size_are_weighed_as_by_the_plain_twin(factor: float, compiled: bool):
    batch = ragged_batch(RAGGED)
    exact, rough = InferenceTwins(compiled=compiled), InferenceTwins(torch.bfloat16, compiled=compiled)
    for twins in (exact, rough):
        twins.change("query", factor)
    assert_same(exact, batch, within=1e-4)
    # A score of 64 or more is rounded by up to 1/4, and all that its query attends to is wrong by as much.
    assert relative_difference(rough.inference.first_tokens(batch), rough.expected(batch)) < 0.1


def attended(batch: PackedBatch, query_key_value: Tensor) -> Tensor:
    """The context of each token in bf16, of projections of shape (tokens, 3 * heads * head_dim)."""
    layout = FastLayout(batch, large_row_groups(np.diff(batch.cu_seqlens)), HEADS, torch.bfloat16)
    projected = torch.full((layout.padded_tokens, query_key_value.shape[1]), torch.nan, dtype=torch.bfloat16)
    projected[: layout.tokens] = query_key_value
    context = InferenceAttention(layout, Workspace(), torch.bfloat16).all_tokens(projected)
    assert not context[layout.tokens :].any(), "empty tokens are zero whatever stood there"
    return context[: layout.tokens].clone()


def plainly_attended(batch: PackedBatch, query_key_value: Tensor) -> Tensor:
    contexts = []
    for first, end in zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True):
        own = query_key_value[first:end].double().view(-1, 3, HEADS, HEAD_DIM)
        query, key, value = own.permute(1, 2, 0, 3)
        weights = torch.softmax(query @ key.transpose(1, 2) * HEAD_DIM**-0.5, -1)
        contexts.append((weights @ value).transpose(0, 1).reshape(end - first, -1))
    return torch.cat(contexts)


def projections(tokens: int, size: float) -> Tensor:
    drawn = torch.randn(tokens, 3 * HEADS * HEAD_DIM, generator=torch.Generator().manual_seed(1))
    drawn[:, : HEADS * HEAD_DIM] *= size
    return drawn.bfloat16()


@pytest.mark.parametrize("shift", [0.0, 59.0, -59.0, 61.0, -61.0, 200.0, -200.0])
def test_scores_that_are_all_alike_are_weighed_alike_at_any_height(shift: float):
    """Softmax does not change where all scores of a query are larger by as much; padding's scores stay 0."""
    batch = ragged_batch([9, 6, 3])
    query_key_value = torch.zeros(18, 3, HEADS, HEAD_DIM)
    query_key_value[:, 0, :, 0], query_key_value[:, 1, :, 0] = shift, HEAD_DIM**0.5
    query_key_value[:, 2] = torch.arange(18)[:, None, None]
    found = attended(batch, query_key_value.view(18, -1).bfloat16())
    means = torch.tensor([4.0] * 9 + [11.5] * 6 + [16.0] * 3)[:, None].expand_as(found)
    torch.testing.assert_close(found.float(), means, rtol=2**-7, atol=0)


@pytest.mark.parametrize("size", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("lengths", [[1], [8, 8], [17, 9, 5, 1]], ids=str)
def test_attention_is_the_softmax_of_the_scores(lengths: list[int], size: float):
    batch = ragged_batch(lengths)
    query_key_value = projections(batch.tokens, size)
    found, expected = attended(batch, query_key_value), plainly_attended(batch, query_key_value)
    largest = float(query_key_value.float().abs().max())
    assert relative_difference(found, expected) < 2**-7 * max(1.0, largest / 8)


def test_large_scores_change_nothing_for_the_rows_beside_them():
    """All are moderate of the first row, of the second are not: how it is weighed may not show in the first."""
    first, both = ragged_batch([13]), ragged_batch([13, 11])
    query_key_value = projections(both.tokens, 1.0)
    alone = attended(first, query_key_value[:13])
    query_key_value[13:] *= 30
    together = attended(both, query_key_value)
    assert torch.equal(together[:13], alone)
    assert relative_difference(together[13:], plainly_attended(both, query_key_value)[13:]) < 0.1
    # The same within a row, of its queries.
    query_key_value = projections(both.tokens, 1.0)
    query_key_value[5, : HEADS * HEAD_DIM] *= 100
    others = [token for token in range(13) if token != 5]
    assert torch.equal(attended(first, query_key_value[:13])[others], alone[others])


@each_dtype
@by_torch_and_by_compiled_loops
def test_memory_may_hold_anything_before_a_pass(dtype: torch.dtype, compiled: bool):
    batch = ragged_batch(RAGGED)
    fresh, used = (InferenceTwins(dtype, compiled=compiled) for _ in range(2))
    used.inference.first_tokens(ragged_batch([70] * 9))
    assert used.workspace._buffers
    for buffer in used.workspace._buffers.values():
        buffer.fill_(torch.nan)
    assert torch.equal(used.inference.first_tokens(batch), fresh.inference.first_tokens(batch))


@each_dtype
@by_torch_and_by_compiled_loops
def test_outputs_outlast_the_memory_they_were_made_in(dtype: torch.dtype, compiled: bool):
    twins, batch = InferenceTwins(dtype, compiled=compiled), ragged_batch(RAGGED)
    found = twins.inference.first_tokens(batch)
    before = found.clone()
    twins.inference.first_tokens(ragged_batch(RAGGED, seed=1))
    assert torch.equal(found, before)


@each_dtype
@by_torch_and_by_compiled_loops
def test_neither_weights_nor_batch_are_changed(dtype: torch.dtype, compiled: bool):
    twins, batch = InferenceTwins(dtype, compiled=compiled), ragged_batch(RAGGED)
    weights = {name: value.clone() for name, value in twins.encoder.state_dict().items()}
    ids = batch.input_ids.copy()
    twins.inference.first_tokens(batch)
    assert all(torch.equal(value, weights[name]) for name, value in twins.encoder.state_dict().items())
    assert (batch.input_ids == ids).all()


@each_dtype
@by_torch_and_by_compiled_loops
def test_it_can_be_used_in_inference_mode_and_out_of_it(dtype: torch.dtype, compiled: bool):
    twins, batch = InferenceTwins(dtype, compiled=compiled), ragged_batch(RAGGED)
    with torch.inference_mode():
        inside = twins.inference.first_tokens(batch)
    outside = twins.inference.first_tokens(batch)
    assert torch.equal(inside, outside)
    assert not outside.requires_grad
    with torch.inference_mode():
        assert torch.equal(twins.inference.first_tokens(batch), outside)


@each_dtype
@pytest.mark.parametrize("weight", ["word_embeddings", "query.weight", "output.dense.bias", "LayerNorm.weight"])
@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
@by_torch_and_by_compiled_loops
def test_damaged_weights_never_look_sound(dtype: torch.dtype, weight: str, damage: float, compiled: bool):
    twins = InferenceTwins(dtype, compiled=compiled)
    twins.change(weight, damage)
    assert not twins.inference.first_tokens(ragged_batch(RAGGED)).isfinite().any()


@by_torch_and_by_compiled_loops
def test_empty_tokens_are_finite_where_nothing_keeps_variance_from_zero(compiled: bool):
    twins = InferenceTwins(layer_norm_eps=0.0, compiled=compiled)
    twins.change("bias", 0)
    assert_same(twins, ragged_batch(RAGGED))


@each_dtype
@by_torch_and_by_compiled_loops
def test_threads_may_predict_at_the_same_time(dtype: torch.dtype, compiled: bool):
    twins = InferenceTwins(dtype, compiled=compiled)
    batches = [ragged_batch([20 + number, 10, 3, 70], seed=number) for number in range(4)]
    expected = [twins.inference.first_tokens(batch) for batch in batches]
    wrong = []

    def predict(number: int) -> None:
        for _ in range(30):
            if not torch.equal(twins.inference.first_tokens(batches[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@by_torch_and_by_compiled_loops
def test_order_of_the_rows_does_not_matter(compiled: bool):
    twins, batch, order = InferenceTwins(compiled=compiled), ragged_batch([3, 40, 1, 17, 60, 2]), [4, 1, 3, 0, 5, 2]
    in_order = PackedBatch.from_encodings([encoding_of(batch, row) for row in order], np.array(order))
    found = twins.inference.first_tokens(batch)
    torch.testing.assert_close(twins.inference.first_tokens(in_order), found[order], atol=1e-5, rtol=0)


def encoding_of(batch: PackedBatch, row: int) -> Encoding:
    own = rows_of(batch, row, row + 1)
    return Encoding(own.input_ids.astype(np.int32), own.token_type_ids.astype(np.int32), truncated_tokens=0)
