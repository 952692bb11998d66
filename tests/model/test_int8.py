"""Products in int8 against exact integers, ranges, and the encoder in int8 against the encoder in float."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_twins import InferenceTwins, ragged_batch, rows_alone
from torch import Tensor

from processor import by_torch_and_by_compiled_loops, needs_int8
from surefit.config import ModelSettings
from surefit.model.activations import ACTIVATIONS
from surefit.model.classifier import Classifier
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import Linear, Products
from surefit.model.hardware import Hardware
from surefit.model.int8_products import Int8Products, can_be_int8, int8_is_exact, int8_speedup
from surefit.model.int8_ranges import PLACES, Int8Facts, Range, RangeFinder, activation_name, widths
from surefit.model.pretrained import load_pretrained
from surefit.types import SINGLE_LABEL, LabelSchema, PackedBatch
from tiny_models import write_tiny_bert

HIDDEN, WIDE, TOKENS = 27, 50, 33
RANGES = {
    "0 hidden": Range(0.021, 120),
    "0 context": Range(0.017, 131),
    "0 middle": Range(0.023, 100),
    "0 active": Range(0.013, 13),
}
FUSED = [name for name in ACTIVATIONS if can_be_int8(name)]
CPU = torch.device("cpu")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_products() -> Products:
    """Weights, among them an output whose weights are all zero and one whose weights are tiny."""
    linears = []
    for seed, shape in enumerate([(3 * HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (WIDE, HIDDEN), (HIDDEN, WIDE)]):
        weight = drawn(*shape, seed=seed) * 0.2
        weight[1], weight[2] = 0, weight[2] * 1e-6
        linears.append(Linear(weight, drawn(shape[0], seed=10 + seed)))
    return Products(*linears)


def int8_products(weights: Products, hidden_act: str = "gelu") -> Int8Products:
    return Int8Products(0, weights, hidden_act, RANGES, Workspace())


def plain_levels(values: Tensor, own: Range) -> Tensor:
    """Levels by plain rounding, int64."""
    return ((values.double() / own.scale).round() + own.zero_point).clamp(0, 255).long()


def exact_outputs(linear: Linear, levels: Tensor, own: Range) -> Tensor:
    """The product's definition: sums of integers, then one scale for each output; float64."""
    scales = (linear.weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    weights = (linear.weight / scales[:, None]).round().long()
    assert weights.abs().max() == 127
    sums = (levels.long() - own.zero_point) @ weights.t()
    return sums.double() * own.scale * scales.double() + linear.bias.double()


@needs_int8
@pytest.mark.parametrize("place", PLACES[:-1])  # the last comes as levels out of a product
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_rounded_to_the_nearest_level(place: str, dtype: torch.dtype):
    products, own = int8_products(random_products()), RANGES[f"0 {place}"]
    values = (drawn(TOKENS, HIDDEN) * 200 * own.scale).to(dtype)
    values[0, :5] = torch.tensor([0.0, 1e30, -1e30, float("inf"), -float("inf")])
    levels = products.reading(place).of(values)
    assert (levels.dtype, levels.shape) == (torch.uint8, values.shape)
    assert levels[0, :5].tolist() == [own.zero_point, 255, 0, 255, 0]
    assert {0, 255} < set(levels.flatten().tolist())
    # Halfway between two levels float32 may go either way.
    halfway = ((values.double() / own.scale) % 1 - 0.5).abs() < 1e-4
    assert torch.equal(levels.long()[~halfway], plain_levels(values, own)[~halfway])
    assert halfway.float().mean() < 0.01


@needs_int8
def test_projections_are_the_sums_of_the_integers():
    weights = random_products()
    products = int8_products(weights)
    levels = products.reading("hidden").of(drawn(TOKENS, HIDDEN))
    found, expected = products.query_key_value(levels), exact_outputs(weights.qkv, levels, RANGES["0 hidden"])
    assert found.dtype == products.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-6)
    assert torch.equal(products.query(levels), found[:, :HIDDEN])
    assert torch.equal(products.key_value(levels), found[:, HIDDEN:])


@needs_int8
@pytest.mark.parametrize("tokens", [1, TOKENS])
def test_attention_s_projection_is_to_be_added_to_the_residual(tokens: int):
    weights, residual = random_products(), drawn(tokens, HIDDEN, seed=5)
    products = int8_products(weights)
    levels = products.reading("context").of(drawn(tokens, HIDDEN))
    values, projected = products.attention(levels, residual)
    assert torch.equal(values, residual)
    assert projected is not None
    expected = exact_outputs(weights.attention, levels, RANGES["0 context"])
    torch.testing.assert_close(projected.double(), expected, rtol=2**-8, atol=1e-6)


@needs_int8
@pytest.mark.parametrize("hidden_act", FUSED)
def test_feed_forward_is_two_products_with_levels_between(hidden_act: str):
    weights, residual = random_products(), drawn(TOKENS, HIDDEN, seed=5)
    products, between = int8_products(weights, hidden_act), RANGES["0 active"]
    levels = products.reading("middle").of(drawn(TOKENS, HIDDEN))
    active = ACTIVATIONS[hidden_act].plain(exact_outputs(weights.widening, levels, RANGES["0 middle"]))
    expected = exact_outputs(weights.narrowing, plain_levels(active, between), between)
    values, projected = products.feed_forward(levels, residual)
    assert torch.equal(values, residual)
    assert projected is not None
    difference, rounding = (projected.double() - expected).abs(), 2**-8 * expected.abs() + 1e-6
    # A value halfway between two levels may go either way, which moves the outputs by one level's share.
    assert (difference - rounding).max() < 3 * between.scale * weights.narrowing.weight.abs().max()
    assert (difference < rounding).double().mean() > 0.9


@needs_int8
def test_products_of_several_layers_have_their_own_ranges():
    twins = InferenceTwins()
    ranges = twins.find_ranges(ragged_batch([40, 9]))
    assert list(ranges) == [activation_name(layer, place) for layer in (0, 1) for place in PLACES]
    assert len(set(ranges.values())) == len(ranges)
    other = ranges | {"1 active": Range(ranges["1 active"].scale * 4, ranges["1 active"].zero_point)}
    batch = ragged_batch([9, 5])
    found, changed = (twins.in_int8(own).first_tokens(batch) for own in (ranges, other))
    assert not torch.equal(found, changed)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [
        (0.0, 0),
        (-1.0, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (1e-320, 0),
        (1e300, 0),
        (10**400, 0),
        (True, 0),
        ("1", 0),
        (None, 0),
        (1.0, -1),
        (1.0, 256),
        (1.0, 128.0),
        (1.0, True),
        (1.0, None),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_range_that_is_none_is_refused(scale: Any, zero_point: Any):
    with pytest.raises(ValueError, match="a range needs a positive scale and a zero point from 0 to 255"):
        Range(scale, zero_point)


def found_range(*batches: Tensor) -> Range:
    finder = RangeFinder()
    for values in batches:
        finder.see("a", values)
    return finder.ranges()["a"]


def worst_rounding(values: Tensor, own: Range) -> Tensor:
    """The largest error of each channel, in levels as wide as its own are."""
    width = own.scale * widths(own.outliers, values.shape[1]).double()
    rounded = ((values / width).round() + own.zero_point).clamp(0, 255) - own.zero_point
    return ((rounded * width - values.double()).abs() / width).amax(0)


DATA = {
    "normal": drawn(100, 100),
    "all positive": drawn(100, 100).abs() + 1,
    "all negative": -drawn(100, 100).abs() - 1,
    "after GELU": torch.nn.functional.gelu(drawn(100, 100)),
    "large": drawn(100, 100) * 1e20,
    "small": drawn(100, 100) * 1e-20,
    "one value": torch.tensor([[3.0]]),
    "bf16": drawn(100, 100).bfloat16(),
    "few channels": drawn(1000, 7),
    "channels that reach far": drawn(100, 300) * torch.tensor([40.0, 1.0, 9.0] + [1.0] * 297),
    "channels that reach far up": drawn(100, 300).abs() * torch.tensor([40.0, 1.0, 9.0] + [1.0] * 297),
    "zeros but for a channel": torch.eye(300)[:1] * 7,
}


@pytest.mark.parametrize("values", DATA.values(), ids=DATA.keys())
def test_a_range_holds_all_values_and_zero(values: Tensor):
    own = found_range(values)
    assert type(own.zero_point) is int
    low, high = -own.zero_point * own.scale, (255 - own.zero_point) * own.scale
    assert low <= 0 <= high
    # Half a level, and half a level more at the ends, where zero has moved them.
    assert worst_rounding(values.float(), own).max() <= 1.001
    assert worst_rounding(values.float(), own).median() <= 0.501


def test_channels_that_reach_far_do_not_coarsen_the_others():
    values = drawn(100, 300)
    usual = found_range(values)
    values[:, 17] *= 40
    values[:, 230] *= 5
    own = found_range(values)
    assert set(own.outliers) >= {17, 230}
    assert len(own.outliers) <= 3
    assert own.outliers[17] > 20
    assert own.scale <= 1.2 * usual.scale


def test_fewer_channels_than_a_hundred_have_no_outliers():
    values = drawn(100, 99)
    values[:, 17] *= 40
    assert found_range(values).outliers == {}


def test_batches_are_seen_as_one():
    values = drawn(1000, 120)
    assert found_range(values) == found_range(*values.split(77))
    assert found_range(values) == found_range(*values.flip(0).split(9))


@pytest.mark.parametrize("value", [0.0, 1e-45, -1e-42], ids=str)
def test_activations_that_are_next_to_zero_have_a_range_too(value: float):
    own = found_range(torch.full((5, 200), value))
    assert 0 <= own.zero_point <= 255


@pytest.mark.parametrize(
    "outliers", [{-1: 2.0}, {3: 1.0}, {3: 0.5}, {3: 2}, {3: True}, {3: float("nan")}, {3: float("inf")}], ids=str
)
def test_outliers_that_are_none_are_refused(outliers: dict[int, Any]):
    with pytest.raises(ValueError, match="outliers are channels that reach further than others"):
        Range(0.1, 7, outliers)


@needs_int8
@pytest.mark.parametrize("hidden_act", FUSED)
@by_torch_and_by_compiled_loops
def test_outliers_are_as_exact_as_the_others(hidden_act: str, compiled: bool):
    """One channel of each kind that reaches forty times as far would leave the others six levels."""
    twins = InferenceTwins(
        compiled=compiled, hidden_act=hidden_act, num_hidden_layers=1, hidden_size=224, intermediate_size=400
    )
    for encoder in (twins.encoder, twins.plain):
        layer = encoder.encoder.layer[0]
        for weight in (encoder.embeddings.LayerNorm.weight, layer.attention.output.LayerNorm.weight):
            weight.data[7] *= 40
        layer.attention.self.value.weight.data[11] *= 40
        layer.intermediate.dense.bias.data[13] += 40
        # As in real encoders, what reads such a channel has small weights for it.
        own = layer.attention.self
        for linear, channel in ((own.query, 7), (own.key, 7), (own.value, 7), (layer.intermediate.dense, 7)):
            linear.weight.data[:, channel] /= 40
        layer.attention.output.dense.weight.data[:, 11] /= 40
        layer.output.dense.weight.data[:, 13] /= 40
    twins.fast.refresh()
    ranges = twins.find_ranges(ragged_batch(CALIBRATION, seed=9))
    assert [len(own.outliers) for own in ranges.values()] == [2, 2, 2, 4]
    batch = ragged_batch(CALIBRATION)
    expected = twins.expected(batch)
    without = {name: widened(own) for name, own in ranges.items()}
    errors = [float((twins.in_int8(own).first_tokens(batch) - expected).norm()) for own in (ranges, without)]
    assert errors[0] < 0.4 * errors[1]


def widened(own: Range) -> Range:
    """The same range with levels wide enough for all channels."""
    return Range(own.scale * max(own.outliers.values()), own.zero_point)


def test_facts_are_the_same_after_a_file():
    facts = Int8Facts({"0 hidden": Range(0.1, 7), "0 context": Range(1 / 3, 255, {12: 3.5, 4: 1.25})}, safe=True)
    content = json.loads(json.dumps(facts.to_json()))
    ranges = {"0 hidden": [0.1, 7, {}], "0 context": [1 / 3, 255, {"12": 3.5, "4": 1.25}]}
    assert content == {"safe": True, "ranges": ranges}
    assert Int8Facts.from_json(content) == facts


BATCHES = [[9], [1], [1] * 20, [7] * 19, [60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1], [3, 40, 1, 17, 60, 2], [128, 127]]
CALIBRATION = [60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1, 1, 1, 1]


@needs_int8
@pytest.mark.parametrize("hidden_act", FUSED)
@pytest.mark.parametrize("layers", [1, 2, 4])
@by_torch_and_by_compiled_loops
def test_int8_is_close_to_float(hidden_act: str, layers: int, compiled: bool):
    """Where values reach to r standard deviations, a level is 2r / 255 wide and rounding's error 2r / 255 / sqrt(12).

    Activations and weights reach to about 5 of them. A layer has four products one after the other, each
    with two roundings, which do not depend on each other, so that their squares add up.
    """
    twins = InferenceTwins(compiled=compiled, hidden_act=hidden_act, num_hidden_layers=layers, hidden_size=64)
    encoder = twins.in_int8(twins.find_ranges(ragged_batch(CALIBRATION, seed=9)))
    batch = ragged_batch(CALIBRATION)
    found, expected = encoder.first_tokens(batch).double(), twins.expected(batch)
    difference = float((found - expected).norm() / expected.norm())
    assert 1e-3 < difference < np.sqrt(8 * layers) * 2 * 5 / 255 / np.sqrt(12), "it must be near, but cannot be exact"


@needs_int8
@pytest.mark.parametrize("lengths", BATCHES, ids=str)
@by_torch_and_by_compiled_loops
def test_a_row_says_the_same_whatever_stands_beside_it(lengths: list[int], compiled: bool):
    twins, batch = InferenceTwins(compiled=compiled), ragged_batch(lengths)
    encoder = twins.in_int8(twins.find_ranges(ragged_batch(CALIBRATION, seed=9)))
    assert torch.equal(encoder.first_tokens(batch), rows_alone(encoder, batch))


@needs_int8
@by_torch_and_by_compiled_loops
def test_rows_of_one_width_say_the_same_whatever_the_scores_beside_them(compiled: bool):
    twins, batch = InferenceTwins(compiled=compiled), ragged_batch([8, 7, 7, 6, 5, 3, 2, 1])
    twins.change("query", 15)  # moderate scores in some rows alone
    encoder = twins.in_int8(twins.find_ranges(ragged_batch(CALIBRATION, seed=9)))
    assert torch.equal(encoder.first_tokens(batch), rows_alone(encoder, batch))


def test_empty_tokens_have_numbers_where_nothing_keeps_variance_from_zero():
    twins = InferenceTwins(layer_norm_eps=0.0)
    twins.change("bias", 0)
    assert set(twins.find_ranges(ragged_batch([9, 5]))) == set(twins.find_ranges(ragged_batch([40])))


@needs_int8
@by_torch_and_by_compiled_loops
def test_int8_in_inference_mode_is_int8(compiled: bool):
    twins, batch = InferenceTwins(compiled=compiled), ragged_batch([9, 5])
    encoder = twins.in_int8(twins.find_ranges(batch))
    with torch.inference_mode():
        inside = encoder.first_tokens(batch)
    assert torch.equal(inside, encoder.first_tokens(batch))


def in_int8(directory: Path) -> tuple[Classifier, PackedBatch, dict[str, Range]]:
    """A classifier that predicts in int8, rows for it, and its ranges."""
    loaded = load_pretrained(str(directory), LabelSchema(SINGLE_LABEL, ("a", "b", "c")), ModelSettings(), seed=0)
    classifier = loaded.classifier
    assert isinstance(classifier, Classifier)
    batch = PackedBatch.from_encodings(loaded.tokenizer.encode(["a good film", "bad", "the worst story " * 4]), np.arange(3))
    classifier.prepare(Hardware(CPU, "fp32", 1))
    finder = RangeFinder()
    classifier.observe([batch], finder.see)
    ranges = finder.ranges()
    classifier.prepare(Hardware(CPU, "int8", 1), int8=ranges)
    return classifier, batch, ranges


def logits_of(classifier: Classifier, batch: PackedBatch) -> Tensor:
    with torch.no_grad():
        return classifier(batch)


@needs_int8
def test_a_classifier_predicts_in_int8_and_in_float_again(tiny_bert: Path):
    classifier, batch, ranges = in_int8(tiny_bert)
    assert sorted(ranges) == sorted(classifier.int8_activations)
    in_levels = logits_of(classifier, batch)
    classifier.prepare(Hardware(CPU, "fp32", 1), plain=True)
    exact = logits_of(classifier, batch)
    assert 1e-4 < (in_levels - exact).abs().max() < 0.1
    classifier.prepare(Hardware(CPU, "int8", 1), int8=ranges)
    assert torch.equal(logits_of(classifier, batch), in_levels)


@needs_int8
def test_int8_follows_the_weights(tiny_bert: Path):
    classifier, batch, _ = in_int8(tiny_bert)
    saved, before = {name: value.clone() for name, value in classifier.state_dict().items()}, logits_of(classifier, batch)
    classifier.get_submodule("bert.encoder.layer.0.intermediate.dense").weight.data.neg_()
    classifier.weights_changed()
    assert not torch.allclose(logits_of(classifier, batch), before, atol=1e-3)
    classifier.load_state_dict(saved)
    assert torch.equal(logits_of(classifier, batch), before)


@needs_int8
def test_a_copy_predicts_in_int8_too(tiny_bert: Path):
    classifier, batch, _ = in_int8(tiny_bert)
    twin = copy.deepcopy(classifier)
    before = logits_of(classifier, batch)
    assert torch.equal(logits_of(twin, batch), before)
    twin.flat.values.mul_(0.5)
    twin.weights_changed()
    assert not torch.equal(logits_of(twin, batch), before)
    assert torch.equal(logits_of(classifier, batch), before)


@pytest.mark.parametrize("hidden_act", ["silu", "swish"])
def test_activations_that_the_products_cannot_compute_leave_it_in_float(tmp_path: Path, hidden_act: str):
    loaded = load_pretrained(
        str(write_tiny_bert(tmp_path / "base", hidden_act=hidden_act)),
        LabelSchema(SINGLE_LABEL, ("a", "b")),
        ModelSettings(),
        seed=0,
    )
    assert loaded.classifier.int8_activations == {}


def test_the_speed_of_int8_is_measured_where_it_is_right():
    assert all((int8_speedup(dtype) > 0) == int8_is_exact() for dtype in (torch.float32, torch.bfloat16))
