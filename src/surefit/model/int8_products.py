"""The products of one layer in inference with weights and activations of eight bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property

import torch
from torch import Tensor

from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import Linear, Products, apply
from surefit.model.inference_products import FUSED, Apart, FloatProducts, LayerProducts, Reading, Sum
from surefit.model.int8_ranges import LEVELS, PLACES, Observe, Range, Ranges, activation_name, widths
from surefit.model.kernels import library
from surefit.model.measured import measured_speedup, one_thread

# The product with levels has no more of the activations than these.
_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
_MOST_WEIGHT = 127
_EXPECTED_ROWS = 2048


def can_be_int8(hidden_act: str) -> bool:
    """Whether an encoder with this activation can be computed in int8."""
    return hidden_act in _ACTIVATIONS


class Int8Products(LayerProducts):
    """Products of activations in 256 levels and weights in 255, one scale for each output; sums are exact.

    Queries, keys, values and the products between them are bfloat16; activations between are float32.
    Channels that reach far (`Range.outliers`) have wider levels, for which their weights make up. Those of
    the activation function cannot be widened within a product: they are computed apart, in float32.

    Args:
        layer: its number.
        weights: of the layer, float32.
        hidden_act: the activation of the feed-forward part.
        ranges: of the layer's activations.
        workspace: memory.
    """

    dtype = torch.bfloat16

    def __init__(self, layer: int, weights: Products, hidden_act: str, ranges: Ranges, workspace: Workspace) -> None:
        own = {place: ranges[activation_name(layer, place)] for place in PLACES}
        self._ranges = own
        self._workspace = workspace
        self._weights = weights
        self._attention = _Int8Linear(weights.attention, own["context"])
        apart = torch.tensor(list(own["active"].outliers), dtype=torch.int64)
        self.apart = Apart(weights.widening.rows(apart), weights.narrowing.weight[:, apart].t().contiguous(), hidden_act)
        # What is computed apart counts as zero here, and zero stays zero.
        widening = Linear(weights.widening.weight.index_fill(0, apart, 0), weights.widening.bias.index_fill(0, apart, 0))
        narrowing = Linear(weights.narrowing.weight.index_fill(1, apart, 0), weights.narrowing.bias)
        self._widening = _Int8Linear(widening, own["middle"], FUSED[hidden_act])
        self._narrowing = _Int8Linear(narrowing, replace(own["active"], outliers={}))
        self._readings = {
            place: LevelReading(place, chosen, weights.qkv.weight.shape[1], workspace)
            for place, chosen in own.items()
            if place != "active"
        }

    # Packed when they are asked for: a layer needs the first of them or the other two.

    @cached_property
    def _query_key_value(self) -> _Int8Linear:
        return _Int8Linear(self._weights.qkv, self._ranges["hidden"])

    @cached_property
    def _query(self) -> _Int8Linear:
        return _Int8Linear(self._weights.qkv.part(0, self._weights.qkv.weight.shape[1]), self._ranges["hidden"])

    @cached_property
    def _key_value(self) -> _Int8Linear:
        return _Int8Linear(self._weights.qkv.part(self._weights.qkv.weight.shape[1]), self._ranges["hidden"])

    def reading(self, place: str) -> Reading:
        return self._readings[place]

    def query_key_value(self, hidden: Tensor) -> Tensor:
        return self._query_key_value.apply(hidden, torch.bfloat16)

    def query(self, hidden: Tensor) -> Tensor:
        return self._query.apply(hidden, torch.bfloat16)

    def key_value(self, hidden: Tensor) -> Tensor:
        return self._key_value.apply(hidden, torch.bfloat16)

    def attention(self, context: Tensor, residual: Tensor) -> Sum:
        return Sum(residual, self._attention.apply(context, torch.bfloat16))

    def feed_forward(self, middle: Tensor, residual: Tensor) -> Sum:
        active = self._widening.apply(middle, torch.uint8, self._ranges["active"])
        return Sum(residual, self._narrowing.apply(active, torch.bfloat16))


class LevelReading(Reading):
    """Levels: rounded to the nearest, those beyond the range to its end.

    Args:
        place: what the activations are.
        chosen: their range.
        channels: how many there are.
        workspace: memory.
    """

    dtype = torch.uint8

    def __init__(self, place: str, chosen: Range, channels: int, workspace: Workspace) -> None:
        self._place = place
        self._zero_point = chosen.zero_point
        self._steps = 1 / (chosen.scale * widths(chosen.outliers, channels))
        self._workspace = workspace

    def of(self, values: Tensor) -> Tensor:
        levels = self._workspace.take("unrounded levels", tuple(values.shape), torch.float32)
        if values.dtype == torch.float32:
            torch.mul(values, self._steps, out=levels)
        else:
            levels.copy_(values).mul_(self._steps)
        # By way of int8, since conversions to uint8 are slow; flipping the first bit adds 128.
        levels.round_().add_(self._zero_point - 128).clamp_(-128, 127)
        rounded = self._workspace.take(f"levels of {self._place}", tuple(values.shape), torch.int8)
        return rounded.copy_(levels).view(torch.uint8).bitwise_xor_(128)

    @cached_property
    def structure(self) -> library.Reading:
        return library.Reading(library.FORMS[self.dtype], self._zero_point, library.address(self._steps))


class _Int8Linear:
    """A weight and bias, ready for products with levels of one range.

    Source of the arithmetic: Jacob et al. 2018, "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference", sections 2.1 and 2.2; weights symmetric, one scale an
    output.
    """

    def __init__(self, linear: Linear, of_input: Range, fused: tuple[str, str] = ("none", "")) -> None:
        weight = linear.weight.detach().float() * widths(of_input.outliers, linear.weight.shape[1])
        self._scales = (weight.abs().amax(1) / _MOST_WEIGHT).clamp_min(torch.finfo(torch.float32).tiny)
        levels = (weight / self._scales[:, None]).round().clamp(-_MOST_WEIGHT, _MOST_WEIGHT).to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(levels, [_EXPECTED_ROWS, weight.shape[1]])
        self._zero_points = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = linear.bias.detach().float().clone()
        self._input = of_input
        self._fused = fused

    def apply(self, levels: Tensor, dtype: torch.dtype, into: Range | None = None) -> Tensor:
        """The outputs, in `dtype`; as levels of a range where that is given."""
        scale, zero_point = (1.0, 0) if into is None else (into.scale, into.zero_point)
        post_op, algorithm = self._fused
        operands = (levels, self._input.scale, self._input.zero_point, self._weight, self._scales, self._zero_points)
        output: Tensor = torch.ops.onednn.qlinear_pointwise(
            *operands, self._bias, scale, zero_point, dtype, post_op, [], algorithm
        )
        return output


class ObservedProducts(FloatProducts):
    """Products in float32 that show their activations, to find the ranges of `Int8Products`.

    Args:
        layer: its number.
        weights, hidden_act, workspace: as for `FloatProducts`.
        observe: told of each activation.
    """

    def __init__(self, layer: int, weights: Products, hidden_act: str, workspace: Workspace, observe: Observe) -> None:
        super().__init__(weights, hidden_act, workspace)
        self._layer = layer
        self._observe = observe

    def reading(self, place: str) -> Reading:
        return _Observed(activation_name(self._layer, place), self._observe)


class _Observed(Reading):
    dtype = torch.float32

    def __init__(self, name: str, observe: Observe) -> None:
        self._name = name
        self._observe = observe

    def of(self, values: Tensor) -> Tensor:
        self._observe(self._name, values)
        return values


@cache
def int8_is_exact() -> bool:
    """Whether this machine sums products of the largest levels rightly; some processors' instructions saturate.

    Found out in each process and never kept: wrong sums would be wrong answers.
    """
    rows, width = 256, 384
    levels = torch.full((rows, width), LEVELS, dtype=torch.uint8)
    try:
        with one_thread():
            ones = _Int8Linear(Linear(torch.ones(width, width), torch.zeros(width)), Range(1.0, 0))
            sums = ones.apply(levels, torch.float32)
    except (AttributeError, RuntimeError):  # a torch without such products
        return False
    return bool((sums - LEVELS * width).abs().max() < 1)


@cache
def int8_speedup(dtype: torch.dtype) -> float:
    """How many times faster an int8 product is than one in `dtype`; 0 where it is wrong.

    Args:
        dtype: float32 or bfloat16.
    """
    if not int8_is_exact():
        return 0.0
    name = f"int8_speedup_over_{str(dtype).removeprefix('torch.')}"
    return measured_speedup(name, torch.device("cpu"), lambda: _products(dtype))


def _products(dtype: torch.dtype) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """The same product, in `dtype` and in int8."""
    rows, width, outputs = 256, 384, 1536
    plain = Linear(torch.ones(outputs, width, dtype=dtype), torch.zeros(outputs, dtype=dtype))
    values, into = torch.ones(rows, width, dtype=dtype), torch.empty(rows, outputs, dtype=dtype)
    int8 = _Int8Linear(Linear(torch.ones(outputs, width), torch.zeros(outputs)), Range(1.0, 0))
    levels = torch.full((rows, width), LEVELS, dtype=torch.uint8)
    return lambda: apply(plain, values, into), lambda: int8.apply(levels, torch.bfloat16)
