"""The products of one layer in inference: in float here, in int8 in `int8_products`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from surefit.model.activations import Activation
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import Linear, Products, apply


class LayerProducts(ABC):
    """What one layer multiplies with its weights.

    Activations come and go in float32. `read` puts them in the form that the products take, which is
    to be done once for each tensor.

    Attributes:
        dtype: of queries, keys and values.
    """

    dtype: torch.dtype

    @abstractmethod
    def read(self, place: str, values: Tensor) -> Tensor:
        """Activations in the form that products take, of the same shape.

        Args:
            place: what they are, one of `int8_ranges.PLACES`.
            values: float32, or what attention gave.
        """

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
    def add_attention(self, context: Tensor, residual: Tensor) -> Tensor:
        """The projection of what was read, plus the residual, float32; may overwrite the residual."""

    @abstractmethod
    def add_feed_forward(self, middle: Tensor, residual: Tensor) -> Tensor:
        """The feed-forward part's output for what was read, plus the residual, float32; may overwrite it."""


class FloatProducts(LayerProducts):
    """Products in float32 or bfloat16.

    Args:
        weights: of the layer, in that precision.
        activation: of the feed-forward part.
        workspace: memory.
    """

    def __init__(self, weights: Products, activation: Activation, workspace: Workspace) -> None:
        self._weights = weights
        self._activation = activation
        self._workspace = workspace
        self.dtype = weights.qkv.weight.dtype

    def read(self, place: str, values: Tensor) -> Tensor:
        return values if values.dtype == self.dtype else self._take(place, *values.shape).copy_(values)

    def query_key_value(self, hidden: Tensor) -> Tensor:
        return self._apply("projections", self._weights.qkv, hidden)

    def query(self, hidden: Tensor) -> Tensor:
        return self._apply("query", self._weights.qkv.part(0, hidden.shape[1]), hidden)

    def key_value(self, hidden: Tensor) -> Tensor:
        return self._apply("projections", self._weights.qkv.part(hidden.shape[1]), hidden)

    def add_attention(self, context: Tensor, residual: Tensor) -> Tensor:
        return residual.add_(self._apply("projected", self._weights.attention, context))

    def add_feed_forward(self, middle: Tensor, residual: Tensor) -> Tensor:
        widened = self._apply("widened", self._weights.widening, middle)
        self._activation.into(widened, widened)
        return residual.add_(self._apply("projected", self._weights.narrowing, self.read("active", widened)))

    def _apply(self, name: str, linear: Linear, values: Tensor) -> Tensor:
        return apply(linear, values, self._take(name, len(values), len(linear.bias)))

    def _take(self, name: str, *shape: int) -> Tensor:
        return self._workspace.take(name, shape, self.dtype)
