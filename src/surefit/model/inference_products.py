"""The products of one layer in inference: in float here, in int8 in `int8_products`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from surefit.model.activations import ACTIVATIONS
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import Linear, Products, apply
from surefit.model.int8_ranges import PLACES
from surefit.model.kernels import library

# Rows that weights are laid out for.
_EXPECTED_ROWS = 2048


class Reading(ABC):
    """The form in which products take activations.

    Attributes:
        dtype: of the values.
    """

    dtype: torch.dtype

    @abstractmethod
    def of(self, values: Tensor) -> Tensor:
        """Activations in this form, of the same shape; float32 or what attention gave comes in."""

    @cached_property
    def structure(self) -> library.Reading:
        """The same for the compiled loops."""
        return library.Reading(library.FORMS[self.dtype], 0, None)


class FloatReading(Reading):
    """Float32 or bfloat16.

    Args:
        place: what the activations are, one of `int8_ranges.PLACES`.
        dtype: of the values.
        workspace: memory.
    """

    def __init__(self, place: str, dtype: torch.dtype, workspace: Workspace) -> None:
        self.dtype = dtype
        self._place = place
        self._workspace = workspace

    def of(self, values: Tensor) -> Tensor:
        if values.dtype == self.dtype:
            return values
        return self._workspace.take(self._place, tuple(values.shape), self.dtype).copy_(values)


class Sum(NamedTuple):
    """Float32 activations, and what is to be added to them if that is not done yet."""

    values: Tensor
    projected: Tensor | None


@dataclass(frozen=True, eq=False)
class Apart:
    """A few channels of the feed-forward part that are computed in float32, where the others are not.

    Attributes:
        widening: their weights and biases, shapes (channels, hidden) and (channels,).
        narrowing: what they are multiplied with afterwards, shape (channels, hidden).
        hidden_act: the activation between.
    """

    widening: Linear
    narrowing: Tensor
    hidden_act: str

    def add(self, middle: Tensor) -> Tensor:
        """Adds to the middle, in place, what they add to the layer's output."""
        widened = torch.addmm(self.widening.bias, middle, self.widening.weight.t())
        return middle.addmm_(ACTIVATIONS[self.hidden_act].plain(widened), self.narrowing)

    @cached_property
    def structure(self) -> library.Apart:
        """The same for the compiled loops."""
        tensors = map(library.address, (self.widening.weight, self.widening.bias, self.narrowing))
        return library.Apart(len(self.narrowing), library.ACTIVATION_KINDS[self.hidden_act], *tensors)


class LayerProducts(ABC):
    """What one layer multiplies with its weights.

    Attributes:
        dtype: of queries, keys and values.
        apart: channels of the feed-forward part that `feed_forward` leaves out.
    """

    dtype: torch.dtype
    apart: Apart | None = None

    @abstractmethod
    def reading(self, place: str) -> Reading:
        """The form in which the products take the activations of a place, one of `int8_ranges.PLACES`."""

    @abstractmethod
    def query_key_value(self, hidden: Tensor) -> Tensor:
        """Side by side, shape (tokens, 3 * hidden), from what was read of shape (tokens, hidden)."""

    @abstractmethod
    def query(self, hidden: Tensor) -> Tensor:
        """Queries alone, shape (tokens, hidden)."""

    @abstractmethod
    def key_value(self, hidden: Tensor) -> Tensor:
        """Keys and values alone, side by side, shape (tokens, 2 * hidden)."""

    @abstractmethod
    def attention(self, context: Tensor, residual: Tensor) -> Sum:
        """The projection of what was read, and the residual, which may be overwritten."""

    @abstractmethod
    def feed_forward(self, middle: Tensor, residual: Tensor) -> Sum:
        """The feed-forward part's output for what was read, and the residual, which may be overwritten."""


# Names in oneDNN of the activations that it computes within a product.
FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
    "swish": ("swish", ""),
}


class FloatProducts(LayerProducts):
    """Products in float32 or bfloat16.

    Args:
        weights: of the layer, in that precision.
        hidden_act: the activation of the feed-forward part.
        workspace: memory.
    """

    def __init__(self, weights: Products, hidden_act: str, workspace: Workspace) -> None:
        self.dtype = weights.qkv.weight.dtype
        self._workspace = workspace
        self._hidden_act = hidden_act
        self._weights = weights
        self._readings = {place: FloatReading(place, self.dtype, workspace) for place in PLACES}

    def reading(self, place: str) -> Reading:
        return self._readings[place]

    def query_key_value(self, hidden: Tensor) -> Tensor:
        return self._apply("projections", self._weights.qkv, hidden)

    def query(self, hidden: Tensor) -> Tensor:
        return self._apply("query", self._weights.qkv.part(0, hidden.shape[1]), hidden)

    def key_value(self, hidden: Tensor) -> Tensor:
        return self._apply("projections", self._weights.qkv.part(hidden.shape[1]), hidden)

    def attention(self, context: Tensor, residual: Tensor) -> Sum:
        return Sum(residual, self._apply("projected", self._weights.attention, context))

    def feed_forward(self, middle: Tensor, residual: Tensor) -> Sum:
        widened = self._apply("widened", self._weights.widening, middle)
        active = ACTIVATIONS[self._hidden_act].into(widened, widened)
        return Sum(residual, self._apply("projected", self._weights.narrowing, self.reading("active").of(active)))

    def _apply(self, name: str, linear: Linear, values: Tensor) -> Tensor:
        return apply(linear, values, self._workspace.take(name, (len(values), len(linear.bias)), self.dtype))


class PackedProducts(LayerProducts):
    """Products in bfloat16 whose weights oneDNN has laid out once, with the activation in the product.

    Args:
        weights: of the layer, bfloat16; they are copied.
        hidden_act: the activation of the feed-forward part.
        workspace: memory.
    """

    dtype = torch.bfloat16

    def __init__(self, weights: Products, hidden_act: str, workspace: Workspace) -> None:
        self._weights = weights
        self._attention = _PackedLinear(weights.attention)
        self._widening = _PackedLinear(weights.widening, FUSED[hidden_act])
        self._narrowing = _PackedLinear(weights.narrowing)
        self._readings = {place: FloatReading(place, self.dtype, workspace) for place in PLACES}

    # Packed when they are asked for: a layer needs the first of them or the other two.

    @cached_property
    def _query_key_value(self) -> _PackedLinear:
        return _PackedLinear(self._weights.qkv)

    @cached_property
    def _query(self) -> _PackedLinear:
        return _PackedLinear(self._weights.qkv.part(0, self._weights.qkv.weight.shape[1]))

    @cached_property
    def _key_value(self) -> _PackedLinear:
        return _PackedLinear(self._weights.qkv.part(self._weights.qkv.weight.shape[1]))

    def reading(self, place: str) -> Reading:
        return self._readings[place]

    def query_key_value(self, hidden: Tensor) -> Tensor:
        return self._query_key_value.apply(hidden)

    def query(self, hidden: Tensor) -> Tensor:
        return self._query.apply(hidden)

    def key_value(self, hidden: Tensor) -> Tensor:
        return self._key_value.apply(hidden)

    def attention(self, context: Tensor, residual: Tensor) -> Sum:
        return Sum(residual, self._attention.apply(context))

    def feed_forward(self, middle: Tensor, residual: Tensor) -> Sum:
        return Sum(residual, self._narrowing.apply(self._widening.apply(middle)))


class _PackedLinear:
    def __init__(self, linear: Linear, fused: tuple[str, str] = ("none", "")) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _EXPECTED_ROWS)
        self._bias = linear.bias.detach().clone()
        self._fused = fused

    def apply(self, values: Tensor) -> Tensor:
        post_op, algorithm = self._fused
        output: Tensor = torch.ops.mkldnn._linear_pointwise(values, self._weight, self._bias, post_op, [], algorithm)
        return output


def can_be_packed(dtype: torch.dtype, hidden_act: str) -> bool:
    """Whether `PackedProducts` can be computed here."""
    ops = torch.ops.mkldnn
    return (
        dtype == torch.bfloat16
        and hidden_act in FUSED
        and all(hasattr(ops, name) for name in ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported"))
        and bool(ops._is_mkldnn_bf16_supported())
    )
