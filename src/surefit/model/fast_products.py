"""The products of the fast encoder's layers: their weights as views of flat tensors, and how they are computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surefit.model.configuration import BertConfig
from surefit.model.parameters import FlatParameters

# Parts of a layer whose weights are used in the precision of the products, in their flat order.
_PRODUCTS = (
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)


def flat_order(layers: int, prefix: str) -> list[str]:
    """Names of the encoder's product weights, then of their biases, layer by layer."""
    parts = [f"{prefix}encoder.layer.{layer}.{part}" for layer in range(layers) for part in _PRODUCTS]
    return [f"{part}.weight" for part in parts] + [f"{part}.bias" for part in parts]


@dataclass(frozen=True)
class Linear:
    """A product's weight, shape (out, in), and bias, shape (out,); or their gradients."""

    weight: Tensor
    bias: Tensor

    def part(self, start: int, end: int | None = None) -> Linear:
        """Some of its outputs."""
        return Linear(self.weight[start:end], self.bias[start:end])

    def rows(self, outputs: Tensor) -> Linear:
        """A copy of some of its outputs, whose places are given."""
        return Linear(self.weight[outputs], self.bias[outputs])


@dataclass(frozen=True)
class Products:
    """The products of one layer; `qkv` is query, key and value below each other."""

    qkv: Linear
    attention: Linear
    widening: Linear
    narrowing: Linear

    @classmethod
    def of(cls, flat: Tensor, parameters: FlatParameters, layer: str, config: BertConfig) -> Products:
        """Views of a flat tensor of weights or of their gradients."""
        hidden, wide = config.hidden_size, config.intermediate_size

        def linear(first: int, last: int, *shape: int) -> Linear:
            views = []
            for kind in ("weight", "bias"):
                start, end = (parameters.places[f"{layer}.{_PRODUCTS[place]}.{kind}"] for place in (first, last))
                views.append(flat[start[0] : end[1]])
            return Linear(views[0].view(*shape), views[1])

        return cls(
            linear(0, 2, 3 * hidden, hidden),
            linear(3, 3, hidden, hidden),
            linear(4, 4, wide, hidden),
            linear(5, 5, hidden, wide),
        )


def layer_products(flat: Tensor, parameters: FlatParameters, config: BertConfig, prefix: str) -> list[Products]:
    """The products of each layer, as views of a flat tensor of weights or of their gradients."""
    names = (f"{prefix}encoder.layer.{layer}" for layer in range(config.num_hidden_layers))
    return [Products.of(flat, parameters, name, config) for name in names]


def apply(linear: Linear, values: Tensor, into: Tensor, scale: float = 1.0) -> Tensor:
    """Writes the outputs, times `scale`, into a tensor, and gives it back."""
    # Scaled within the product: torch.add would round its alpha to bf16.
    return torch.addmm(linear.bias, values, linear.weight.t(), beta=scale, alpha=scale, out=into)


def backward_to_weight(of_linear: Linear, flowing: Tensor, values: Tensor, scale: float = 1.0) -> None:
    """Sets the gradient of the weight, of outputs that were multiplied by `scale` afterwards."""
    torch.addmm(of_linear.weight, flowing.t(), values, beta=0, alpha=scale, out=of_linear.weight)


def backward_to_values(linear: Linear, flowing: Tensor, scale: float, into: Tensor) -> Tensor:
    """The gradient of the values, of outputs that were multiplied by `scale` afterwards."""
    return torch.addmm(into, flowing, linear.weight, beta=0, alpha=scale, out=into)
