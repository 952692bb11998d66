"""The activations of the feed-forward part, by the names that Hugging Face's configs have for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An activation, plainly and by hand.

    Attributes:
        plain: values -> activated values.
        into: the same, (values, tensor to write to).
        backward_into: (gradient of the output, values, tensor to write the gradient of the values to).
    """

    plain: Callable[[Tensor], Tensor]
    into: Callable[[Tensor, Tensor], Tensor]
    backward_into: Callable[[Tensor, Tensor, Tensor], Tensor]


def _gelu(approximate: str) -> Activation:
    return Activation(
        partial(functional.gelu, approximate=approximate),
        lambda values, into: aten.gelu.out(values, approximate=approximate, out=into),
        lambda flowing, values, into: aten.gelu_backward.grad_input(flowing, values, approximate=approximate, grad_input=into),
    )


_RELU = Activation(
    functional.relu,
    lambda values, into: torch.clamp_min(values, 0, out=into),
    lambda flowing, values, into: aten.threshold_backward.grad_input(flowing, values, 0, grad_input=into),
)
_SILU = Activation(
    functional.silu,
    lambda values, into: aten.silu.out(values, out=into),
    lambda flowing, values, into: aten.silu_backward.grad_input(flowing, values, grad_input=into),
)

ACTIVATIONS = {
    "gelu": _gelu("none"),
    "gelu_new": _gelu("tanh"),
    "gelu_pytorch_tanh": _gelu("tanh"),
    "relu": _RELU,
    "silu": _SILU,
    "swish": _SILU,
}
