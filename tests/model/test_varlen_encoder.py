"""The encoder of GPUs: held to the plain one, outputs, gradients and dropout."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from encoder_twins import SIZES, assert_same_gradients, gradients_of, ragged_batch, random_encoder, row_weights, rows_of
from flash_reference import flash_attention_on_cpu
from torch import Tensor

from gpu import CUDA, needs_gpu, waiting_is_an_error
from surefit.config import ModelSettings
from surefit.model.classifier import Classifier
from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout
from surefit.model.encoder import BertEncoder
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.model.varlen_encoder import VarlenEncoder
from surefit.types import SINGLE_LABEL, LabelSchema, PackedBatch

LENGTHS = [[3], [1, 1], [60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1], [128, 5]]
each_batch = pytest.mark.parametrize("lengths", LENGTHS, ids=str)


@pytest.fixture
def _flash() -> Iterator[None]:
    with flash_attention_on_cpu():
        yield


on_reference = pytest.mark.usefixtures("_flash")


def twins(**changes: Any) -> tuple[VarlenEncoder, BertEncoder, BertEncoder]:
    """The computation, the modules that own its weights, and the plain twin with a copy of them, in float64."""
    config = BertConfig.from_dict(SIZES | changes)
    encoder = random_encoder(config).double()
    return VarlenEncoder(encoder, config), encoder, copy.deepcopy(encoder)


def backward(first: Tensor, batch: PackedBatch) -> None:
    (first * row_weights(batch, first.shape[1])).sum().backward()


@on_reference
@each_batch
@pytest.mark.parametrize(
    "changes",
    [{}, {"num_hidden_layers": 1}, {"type_vocab_size": 1}, {"hidden_act": "relu", "num_attention_heads": 2}],
    ids=str,
)
def test_outputs_and_gradients_are_those_of_the_plain_encoder(lengths: list[int], changes: dict[str, Any]):
    varlen, encoder, plain = twins(**changes)
    batch = ragged_batch(lengths)
    found, expected = varlen.first_tokens(batch), plain.first_tokens(batch)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    backward(found, batch)
    backward(expected, batch)
    assert_same_gradients(gradients_of(encoder), gradients_of(plain), within=1e-9)


@on_reference
@each_batch
@pytest.mark.parametrize("layers", [1, 2])
def test_all_tokens_are_those_of_the_plain_encoder(lengths: list[int], layers: int):
    varlen, _, plain = twins(num_hidden_layers=layers)
    batch = ragged_batch(lengths)
    torch.testing.assert_close(varlen.all_tokens(batch), plain.hidden_states(batch)[-1], atol=1e-10, rtol=0)


@on_reference
def test_predictions_are_the_outputs_of_training_without_dropout():
    varlen, _, _ = twins()
    batch = ragged_batch([9, 20, 1])
    with torch.no_grad():
        found = varlen.first_tokens(batch)
    assert not found.requires_grad
    assert torch.equal(found, varlen.first_tokens(batch))


@on_reference
def test_a_row_in_a_batch_equals_the_row_alone():
    varlen, _, _ = twins()
    batch = ragged_batch([60, 1, 12])
    alone = torch.cat([varlen.first_tokens(rows_of(batch, row, row + 1)) for row in range(3)])
    torch.testing.assert_close(varlen.first_tokens(batch), alone, atol=1e-10, rtol=0)


@on_reference
@pytest.mark.parametrize("site", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_kind_of_dropout_drops(site: str):
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    batch, dropout = ragged_batch([9, 5]), StepDropout(0, 1)
    still, dropping = twins(**none)[0], twins(**none | {site: 0.5})[0]
    with torch.random.fork_rng(devices=[]):
        assert torch.equal(still.first_tokens(batch, dropout), still.first_tokens(batch))
        assert torch.equal(dropping.first_tokens(batch), still.first_tokens(batch))
        assert not torch.allclose(dropping.first_tokens(batch, dropout), still.first_tokens(batch))


@on_reference
def test_products_run_in_bf16_where_the_encoder_is_called_so():
    config = BertConfig.from_dict(SIZES)
    encoder = random_encoder(config)
    batch = ragged_batch([60, 9, 1])
    exact = encoder.first_tokens(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = VarlenEncoder(encoder, config).first_tokens(batch)
    within = 0.05 * float(exact.detach().abs().max())
    torch.testing.assert_close(found.float(), exact, atol=within, rtol=0)
    assert not torch.allclose(found.float(), exact, atol=1e-5)
    backward(found.double(), batch)
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in _trained(encoder))


def _trained(encoder: BertEncoder) -> list[torch.nn.Parameter]:
    return [parameter for name, parameter in encoder.named_parameters() if not name.startswith("pooler")]


def on_gpu(model: Any, *, plain: bool = False, precision: str = "bf16") -> Classifier:
    """The classifier of a checkpoint, on the GPU."""
    schema = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
    classifier = load_pretrained(str(model), schema, ModelSettings(), seed=0).classifier
    assert isinstance(classifier, Classifier)
    classifier.prepare(Hardware(CUDA, precision, 1), plain=plain)
    return classifier


def step(classifier: Classifier, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
    """Logits of a batch, whose loss has been differentiated."""
    targets = torch.arange(len(batch), device=CUDA) % 3
    logits = classifier(batch, dropout)
    classifier.loss(logits, targets, torch.ones(len(batch), device=CUDA)).backward()
    return logits.detach()


@needs_gpu
@pytest.mark.parametrize("model", ["tiny_bert", "embedded_model"])
def test_logits_and_gradients_on_a_gpu_are_those_of_the_plain_modules(model: str, request: pytest.FixtureRequest):
    directory, batch = request.getfixturevalue(model), ragged_batch([60, 41, 33, 9, 3, 1], 250)
    varlen, plain = on_gpu(directory), on_gpu(directory, plain=True, precision="fp32")
    found, expected = step(varlen, batch), step(plain, batch)
    torch.testing.assert_close(found, expected, atol=0.03 * float(expected.abs().max()), rtol=0)
    assert_same_gradients(gradients_of(varlen), gradients_of(plain), within=0.1)


@needs_gpu
def test_rows_on_a_gpu_are_as_alone(tiny_bert: Any):
    classifier, batch = on_gpu(tiny_bert), ragged_batch([60, 41, 9, 1], 250)
    with torch.no_grad():
        alone = torch.cat([classifier(rows_of(batch, row, row + 1)) for row in range(len(batch))])
        torch.testing.assert_close(classifier(batch), alone, atol=0.03 * float(alone.abs().max()), rtol=0)


@needs_gpu
def test_seed_and_step_decide_dropout_on_a_gpu(tiny_bert: Any):
    classifier, batch = on_gpu(tiny_bert), ragged_batch([60, 9], 250)

    def logits(dropout: StepDropout) -> Tensor:
        dropout.begin()
        with torch.no_grad():
            found: Tensor = classifier(batch, dropout)
        return found

    with torch.random.fork_rng(devices=[CUDA]):
        assert torch.equal(logits(StepDropout(1, 1)), logits(StepDropout(1, 1)))
        assert not torch.allclose(logits(StepDropout(1, 1)), logits(StepDropout(1, 2)))
        assert not torch.allclose(logits(StepDropout(1, 1)), logits(StepDropout(2, 1)))


@needs_gpu
def test_a_forward_and_a_backward_pass_wait_for_the_gpu_nowhere(tiny_bert: Any):
    classifier, batch = on_gpu(tiny_bert), ragged_batch([60, 9], 250)
    step(classifier, batch, StepDropout(0, 1))
    with waiting_is_an_error():
        step(classifier, batch, StepDropout(0, 2))
