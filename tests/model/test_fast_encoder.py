"""The fast encoder against its plain twin in float64, and against Hugging Face's BertModel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from encoder_twins import Twins, assert_same_gradients, gradients_of, padded_inputs, ragged_batch, row_weights, rows_of

from surefit.model.activations import ACTIVATIONS
from surefit.model.dropout import StepDropout, kept_scale
from surefit.model.fast_products import Linear, apply
from surefit.types import PackedBatch

BATCHES = {
    "one row": [9],
    "one token": [1],
    "one-token rows": [1, 1, 1],
    "equal lengths": [7, 7, 7, 7, 7],
    "whole widths": [16, 16, 8, 8],
    "many groups": [60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1],
    "not sorted": [3, 40, 1, 17, 60, 2],
    "32 tokens": [20, 12],
    "longest possible": [128, 127],
}
DROPOUTS = {"without dropout": None, "with dropout": StepDropout(seed=3, step=7)}
RAGGED = [40, 33, 9, 9, 7, 1]

each_dropout = pytest.mark.parametrize("dropout", DROPOUTS.values(), ids=DROPOUTS.keys())
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


@pytest.fixture(autouse=True, params=[False, True], ids=["torch", "compiled"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twins, "compiled", request.param)


@each_dropout
@pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES.keys())
def test_outputs_and_gradients_are_those_of_the_plain_twin(lengths: list[int], dropout: StepDropout | None):
    Twins().assert_same_step(ragged_batch(lengths), dropout)


@each_dropout
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_twins_agree_for_each_activation(activation: str, dropout: StepDropout | None):
    Twins(hidden_act=activation).assert_same_step(ragged_batch(RAGGED), dropout)


@each_dropout
@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 8, "num_attention_heads": 2},  # heads of width 4
        {"hidden_size": 64, "num_attention_heads": 2},
        {"hidden_size": 128, "num_attention_heads": 2},
        {"hidden_size": 27, "num_attention_heads": 3, "intermediate_size": 50},  # no multiple of 8
        {"hidden_size": 5, "num_attention_heads": 1, "intermediate_size": 7},
        {"num_hidden_layers": 1},
        {"num_hidden_layers": 4},
        {"type_vocab_size": 1},
        {"type_vocab_size": 5},
        {"layer_norm_eps": 0.1},
        {"pad_token_id": 17},
        {"hidden_dropout_prob": 0.0},
        {"attention_probs_dropout_prob": 0.0},
        {"hidden_dropout_prob": 0.6, "attention_probs_dropout_prob": 0.001},
    ],
    ids=str,
)
def test_twins_agree_for_each_shape(sizes: dict[str, Any], dropout: StepDropout | None):
    types = max(sizes.get("type_vocab_size", 2), 2)
    Twins(**sizes).assert_same_step(ragged_batch(RAGGED, types=types), dropout)


@pytest.mark.parametrize(
    "dropout", [StepDropout(0, 1, tokens=5, rows=1, scores=64), StepDropout(0, 1, tokens=32, rows=4, scores=13)]
)
def test_twins_agree_within_a_step(dropout: StepDropout):
    Twins(hidden_size=27, num_attention_heads=3).assert_same_step(ragged_batch(RAGGED), dropout)


@each_dropout
def test_steps_of_any_size_follow_each_other(dropout: StepDropout | None):
    twins = Twins()
    for lengths in ([9, 3], RAGGED, [1], [70] * 9, [9, 3], RAGGED):
        twins.assert_same_step(ragged_batch(lengths, seed=len(lengths)), dropout)


def test_outputs_outlast_the_memory_they_were_made_in():
    twins, batch = Twins(), ragged_batch(RAGGED)
    predicted, trained = twins.outputs(batch), twins.fast.first_tokens(batch, None)
    before = predicted.clone()
    for _ in range(2):
        twins.outputs(ragged_batch(RAGGED, seed=1))
        twins.run_fast(ragged_batch(RAGGED, seed=1))
    assert torch.equal(predicted, before)
    torch.testing.assert_close(trained.detach(), before)


def test_backward_pass_after_another_forward_pass_is_refused():
    twins = Twins()
    first = twins.fast.first_tokens(ragged_batch([5, 3]), None)
    twins.fast.first_tokens(ragged_batch([4]), None)
    with pytest.raises(RuntimeError, match="backward pass must come before the next batch's forward pass"):
        first.sum().backward()


@each_dtype
@each_dropout
def test_memory_may_hold_anything_before_a_step(dropout: StepDropout | None, dtype: torch.dtype):
    batch, fresh, used = ragged_batch(RAGGED), Twins(dtype), Twins(dtype)
    used.run_fast(ragged_batch([70] * 9), dropout)
    used.clear()
    for buffer in (*used.fast.workspace._buffers.values(), used.fast._gradients):
        buffer.fill_(torch.nan)
    predicted = used.outputs(batch, dropout)
    assert predicted.isfinite().all()
    assert torch.equal(predicted, fresh.outputs(batch, dropout))
    assert torch.equal(used.run_fast(batch, dropout), fresh.run_fast(batch, dropout))
    assert_equal_bytes(gradients_of(used.encoder), gradients_of(fresh.encoder))


@pytest.fixture
def _new_memory_is_nan() -> Iterator[None]:
    assert torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("_new_memory_is_nan")
@each_dropout
@pytest.mark.parametrize("lengths", [[1], [20, 12], RAGGED], ids=str)
def test_new_memory_may_hold_anything(lengths: list[int], dropout: StepDropout | None):
    assert torch.empty(3).isnan().all()
    twins = Twins()
    assert twins.outputs(ragged_batch(lengths), dropout).isfinite().all()
    twins.assert_same_step(ragged_batch(lengths), dropout)


def test_empty_tokens_are_finite_where_nothing_keeps_variance_from_zero():
    twins = Twins(layer_norm_eps=0.0)
    for encoder in (twins.encoder, twins.plain):
        for name, parameter in encoder.named_parameters():
            if name.endswith("bias"):
                parameter.data.zero_()
    twins.assert_same_step(ragged_batch(RAGGED))


@each_dropout
def test_gradients_of_a_step_add_up(dropout: StepDropout | None):
    twins, batches = Twins(), [ragged_batch([n + 3, n], seed=n) for n in (9, 20, 4)]
    for _ in range(2):
        twins.clear()
        assert not any(gradient.any() for name, gradient in gradients_of(twins.encoder).items() if is_added_to(name))
        for batch in batches:
            twins.run_fast(batch, dropout)
            twins.run_plain(batch, dropout)
        assert_same_gradients(gradients_of(twins.encoder), gradients_of(twins.plain))


def is_added_to(name: str) -> bool:
    """Whether clearing sets a gradient to zero; others are set anew by the first backward pass."""
    return "LayerNorm" in name or "layer" not in name


@pytest.mark.parametrize("dropout", [StepDropout(seed=3, step=7), StepDropout(seed=3, step=7, tokens=9, rows=4, scores=64)])
@pytest.mark.parametrize("cuts", [(4, 8), (4,), (8,)], ids=str)
def test_step_cut_between_groups_is_the_step_uncut(cuts: tuple[int, ...], dropout: StepDropout):
    batch = ragged_batch([60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1])
    twins = Twins(hidden_size=27, num_attention_heads=3)
    whole_output = twins.run_fast(batch, dropout)
    whole = gradients_of(twins.encoder)
    twins.clear()
    outputs = []
    for first, end in zip((0, *cuts), (*cuts, len(batch)), strict=True):
        cut = rows_of(batch, first, end)
        outputs.append(twins.run_fast(cut, dropout))
        dropout = dropout.after(cut)
    torch.testing.assert_close(torch.cat(outputs), whole_output, atol=1e-6, rtol=0)
    assert_same_gradients(gradients_of(twins.encoder), whole)


def test_other_steps_and_seeds_drop_other_values():
    twins, batch = Twins(), ragged_batch(RAGGED)
    outputs = [twins.outputs(batch, StepDropout(seed, step)) for seed, step in ((1, 1), (1, 2), (2, 1), (1, 1))]
    assert torch.equal(outputs[0], outputs[3])
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], twins.outputs(batch))


@each_dtype
@each_dropout
@pytest.mark.parametrize("threads", [1, 2])
def test_equal_steps_give_equal_bytes(dropout: StepDropout | None, dtype: torch.dtype, threads: int):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        gradients = []
        first, second = Twins(dtype), Twins(dtype)
        for twins in (first, second, first):
            twins.clear()
            twins.run_fast(ragged_batch([70] * 3 + RAGGED), dropout)
            gradients.append(gradients_of(twins.encoder))
    finally:
        torch.set_num_threads(before)
    assert_equal_bytes(gradients[1], gradients[0])
    assert_equal_bytes(gradients[2], gradients[0])


@each_dtype
@each_dropout
def test_output_is_the_same_whether_gradients_follow_or_not(dropout: StepDropout | None, dtype: torch.dtype):
    twins, batch = Twins(dtype), ragged_batch(RAGGED)
    output = twins.fast.first_tokens(batch, dropout)
    assert (output.dtype, output.requires_grad) == (torch.float32, True)
    assert torch.equal(output, twins.outputs(batch, dropout))


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("sizes", [{}, {"hidden_size": 128, "intermediate_size": 512}], ids=["narrow", "wide"])
@each_dropout
def test_bf16_differs_by_its_rounding(layers: int, sizes: dict[str, int], dropout: StepDropout | None):
    """A number of 8 significant bits is off by 2^-8 of itself at most.

    A value is rounded about 12 times on its way through a layer, and a gradient as often again on the
    way back. Roundings do not depend on each other, so that their squares add up. A single weight's
    gradient may meet larger ones than most do.
    """
    twins, batch = Twins(torch.bfloat16, num_hidden_layers=layers, **sizes), ragged_batch(RAGGED)
    forward, backward = np.sqrt(12 * layers) / 2**8, np.sqrt(24 * layers) / 2**8
    difference = relative_difference(twins.run_fast(batch, dropout), twins.run_plain(batch, dropout))
    assert 2**-12 < difference < forward, "it must be near, but cannot be exact"
    gradients, expected = gradients_of(twins.encoder), gradients_of(twins.plain)
    together, expected_together = (torch.cat([g.flatten() for g in of.values()]) for of in (gradients, expected))
    assert 2**-12 < relative_difference(together, expected_together) < backward
    floor = max(gradient.norm() for gradient in expected.values()) / 100
    for name, gradient in gradients.items():
        most = 2 * backward * max(expected[name].norm(), floor)
        assert (gradient - expected[name]).norm() < most, name


@each_dropout
def test_bf16_gradients_of_a_step_add_up(dropout: StepDropout | None):
    twins, batches = Twins(torch.bfloat16), [ragged_batch([n + 3, n], seed=n) for n in (9, 20, 4)]
    alone = []
    for batch in batches:
        twins.clear()
        twins.run_fast(batch, dropout)
        alone.append(gradients_of(twins.encoder))
    twins.clear()
    for batch in batches:
        twins.run_fast(batch, dropout)
    for name, gradient in gradients_of(twins.encoder).items():
        torch.testing.assert_close(gradient, sum(part[name] for part in alone), msg=name)


@pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES.keys())
def test_output_and_gradients_are_those_of_hugging_face(lengths: list[int]):
    twins, batch = Twins(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), ragged_batch(lengths)
    assert_same_as_hugging_face(twins, batch)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"])
def test_activations_are_those_of_hugging_face(activation: str):
    assert_same_as_hugging_face(Twins(hidden_act=activation), ragged_batch(RAGGED))


@pytest.mark.parametrize(
    "sizes",
    [{"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1, "layer_norm_eps": 1e-5}, {"type_vocab_size": 1}],
    ids=str,
)
def test_shapes_are_those_of_hugging_face(sizes: dict[str, Any]):
    assert_same_as_hugging_face(Twins(**sizes), ragged_batch(RAGGED), types=sizes.get("type_vocab_size") != 1)


def test_gradient_may_be_one_number_for_all_outputs():
    twins, batch = Twins(), ragged_batch(RAGGED)
    twins.fast.first_tokens(batch, None).sum().backward()
    twins.plain.first_tokens(batch).sum().backward()
    expected = gradients_of(twins.plain)
    last = "encoder.layer.1.output.LayerNorm.bias"
    torch.testing.assert_close(gradients_of(twins.encoder)[last].double(), expected[last])


def test_threads_may_predict_at_the_same_time():
    twins = Twins()
    batches = [ragged_batch([20 + number, 10, 3, 70], seed=number) for number in range(4)]
    expected = [twins.outputs(batch) for batch in batches]
    wrong = []

    def predict(number: int) -> None:
        for _ in range(60):
            if not torch.allclose(twins.outputs(batches[number]), expected[number], atol=1e-5):
                wrong.append(number)

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_training_follows_a_pass_in_inference_mode():
    twins, batch = Twins(), ragged_batch(RAGGED)
    with torch.inference_mode():
        twins.fast.first_tokens(batch, None)
    twins.assert_same_step(batch)


def assert_equal_bytes(gradients: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert set(gradients) == set(expected)
    for name, gradient in gradients.items():
        assert gradient.isfinite().all(), name
        assert torch.equal(gradient, expected[name]), name


def relative_difference(values: torch.Tensor, expected: torch.Tensor) -> float:
    return float((values.double() - expected).norm() / expected.norm())


def assert_same_as_hugging_face(twins: Twins, batch: PackedBatch, *, types: bool = True) -> None:
    from transformers import BertConfig, BertModel

    stock: Any = BertModel(BertConfig(**vars(twins.config), attn_implementation="eager")).double()
    stock.load_state_dict(twins.encoder.state_dict())
    pooled = twins.run_fast(batch)
    expected = stock.eval()(**padded_inputs(batch, types=types)).pooler_output
    (expected * row_weights(batch, twins.config.hidden_size)).sum().backward()
    torch.testing.assert_close(pooled.double(), expected.detach(), atol=1e-5, rtol=0)
    assert_same_gradients(gradients_of(twins.encoder), gradients_of(stock))


def test_dropout_in_bf16_keeps_the_mean_exactly():
    """The scale of what is kept must not be rounded to bf16 itself, a shift of a third of a percent."""
    linear = Linear(torch.eye(64, dtype=torch.bfloat16), torch.zeros(64, dtype=torch.bfloat16))
    values = torch.rand(4096, 64).add(0.5).bfloat16()
    scaled = apply(linear, values, torch.empty_like(values), kept_scale(0.1))
    assert scaled.double().sum() / values.double().sum() == pytest.approx(kept_scale(0.1), rel=2e-4)
