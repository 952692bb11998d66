"""Activations by hand against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from surefit.model.activations import ACTIVATIONS, Activation

EXPECTED = {
    "gelu": functional.gelu,
    "gelu_new": lambda values: functional.gelu(values, approximate="tanh"),
    "gelu_pytorch_tanh": lambda values: functional.gelu(values, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def values_of(dtype: torch.dtype) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.cat([torch.tensor([0.0, -0.0, 20.0, -20.0]), 3 * torch.randn(60)]).to(dtype).view(8, 8)


@each_activation
@each_dtype
def test_values_are_those_of_torch(name: str, dtype: torch.dtype):
    activation, values = ACTIVATIONS[name], values_of(dtype)
    expected, into = EXPECTED[name](values), torch.full_like(values, torch.nan)
    assert torch.equal(activation.plain(values), expected)
    activation.into(values, into)
    assert torch.equal(into, expected)


@each_activation
@each_dtype
def test_gradients_are_those_of_autograd(name: str, dtype: torch.dtype):
    activation: Activation = ACTIVATIONS[name]
    values = values_of(dtype).requires_grad_()
    flowing = torch.randn_like(values)
    EXPECTED[name](values).backward(flowing)
    into = torch.full_like(values, torch.nan)
    activation.backward_into(flowing, values.detach(), into)
    assert values.grad is not None
    assert torch.equal(into, values.grad)
