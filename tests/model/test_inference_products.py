"""Products of one layer in inference against the same in float64, and packed ones against plain ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from processor import needs_packed_products
from surefit.model.activations import ACTIVATIONS
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import Linear, Products
from surefit.model.inference_products import FUSED, FloatProducts, LayerProducts, PackedProducts, can_be_packed

HIDDEN, WIDE = 48, 80
TOKENS = [1, 15, 33, 300]

each_number_of_tokens = pytest.mark.parametrize("tokens", TOKENS)
each_fused = pytest.mark.parametrize("hidden_act", FUSED)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_weights(dtype: torch.dtype) -> Products:
    shapes = [(3 * HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (WIDE, HIDDEN), (HIDDEN, WIDE)]
    return Products(
        *(
            Linear((drawn(*shape, seed=seed) * 0.2).to(dtype), drawn(shape[0], seed=10 + seed).to(dtype))
            for seed, shape in enumerate(shapes)
        )
    )


def exactly(linear: Linear, values: Tensor) -> Tensor:
    return values.double() @ linear.weight.double().t() + linear.bias.double()


def assert_as_exact(products: LayerProducts, weights: Products, hidden_act: str, tokens: int, within: float) -> None:
    """Each result differs from the exact one by no more than a share of the largest."""

    def same(found: Tensor, expected: Tensor, times: float = 1.0) -> None:
        assert found.dtype == products.dtype
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=times * within * float(expected.abs().max()))

    values, residual = drawn(tokens, HIDDEN, seed=5).to(products.dtype), drawn(tokens, HIDDEN, seed=6)
    expected = exactly(weights.qkv, values)
    same(products.query_key_value(values), expected)
    same(products.query(values), expected[:, :HIDDEN])
    same(products.key_value(values), expected[:, HIDDEN:])
    projected = products.attention(values, residual)
    assert projected.values is residual
    assert projected.projected is not None
    same(projected.projected, exactly(weights.attention, values))
    active = ACTIVATIONS[hidden_act].plain(exactly(weights.widening, values))
    projected = products.feed_forward(values, residual)
    assert projected.values is residual
    assert projected.projected is not None
    same(projected.projected, exactly(weights.narrowing, active), times=4)  # what was activated has been rounded too


@each_number_of_tokens
@pytest.mark.parametrize("hidden_act", ACTIVATIONS)
def test_products_in_fp32_are_exact(hidden_act: str, tokens: int):
    weights = random_weights(torch.float32)
    assert_as_exact(FloatProducts(weights, hidden_act, Workspace()), weights, hidden_act, tokens, within=1e-6)


@each_number_of_tokens
@pytest.mark.parametrize("hidden_act", ACTIVATIONS)
def test_products_in_bf16_are_as_exact_as_it_is(hidden_act: str, tokens: int):
    weights = random_weights(torch.bfloat16)
    assert_as_exact(FloatProducts(weights, hidden_act, Workspace()), weights, hidden_act, tokens, within=2**-8)


@needs_packed_products
@each_number_of_tokens
@each_fused
def test_packed_products_are_as_exact_as_bf16_is(hidden_act: str, tokens: int):
    weights = random_weights(torch.bfloat16)
    assert_as_exact(PackedProducts(weights, hidden_act, Workspace()), weights, hidden_act, tokens, within=2**-8)


@needs_packed_products
@each_fused
def test_packed_products_are_the_plain_ones_but_for_the_last_bit(hidden_act: str):
    weights, values = random_weights(torch.bfloat16), drawn(33, HIDDEN, seed=5).bfloat16()
    plain, packed = (kind(weights, hidden_act, Workspace()) for kind in (FloatProducts, PackedProducts))
    for name in ("query_key_value", "query", "key_value"):
        found, expected = getattr(packed, name)(values), getattr(plain, name)(values)
        torch.testing.assert_close(found, expected, rtol=2**-7, atol=1e-5)


@needs_packed_products
def test_packed_products_keep_the_weights_that_they_were_made_with():
    """The others see what changes in place: their owner makes new ones then (`Classifier.weights_changed`)."""
    weights, values = random_weights(torch.bfloat16), drawn(3, HIDDEN).bfloat16()
    packed, residual = PackedProducts(weights, "gelu", Workspace()), torch.zeros(3, HIDDEN)
    before = packed.attention(values, residual).projected
    weights.attention.weight.zero_()
    assert before is not None
    assert torch.equal(before, packed.attention(values, residual).projected)


def test_only_bf16_and_activations_that_are_fused_can_be_packed():
    assert not can_be_packed(torch.float32, "gelu")
    assert not can_be_packed(torch.bfloat16, "gelu_fast")
