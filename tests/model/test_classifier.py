"""Parity with Hugging Face's BertForSequenceClassification, however it is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_twins import gradients_of, padded_inputs, ragged_batch, row_weights, rows_of

from surefit.config import ModelSettings
from surefit.model.classifier import Classifier
from surefit.model.dropout import StepDropout
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema, PackedBatch
from tiny_models import write_tiny_bert

THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))
TEXTS = ["good film", "", "the worst movie of the year , not a good story at all", "zebra"]
STEP = StepDropout(seed=3, step=7)
CPU = torch.device("cpu")


def ours_and_batch(
    directory: Path, schema: LabelSchema, head: str | None = None, *, plain: bool = False, precision: str = "fp32"
) -> tuple[Classifier, PackedBatch]:
    loaded = load_pretrained(str(directory), schema, ModelSettings(head=head), seed=0)
    assert isinstance(loaded.classifier, Classifier)
    loaded.classifier.prepare(Hardware(CPU, precision, 1), plain=plain)
    return loaded.classifier, PackedBatch.from_encodings(loaded.tokenizer.encode(TEXTS), np.arange(len(TEXTS)))


def stock_of(ours: Classifier) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    stock = BertForSequenceClassification(
        BertConfig(**ours.config, num_labels=ours.classifier.out_features, attn_implementation="eager")
    )
    stock.load_state_dict(ours.state_dict())
    return stock.eval()


def logits_of(ours: Classifier, batch: PackedBatch, dropout: StepDropout | None = None) -> torch.Tensor:
    with torch.no_grad():
        return ours(batch, dropout)


each_way = pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])


@each_way
@pytest.mark.parametrize("model", ["tiny_bert", "embedded_model"])
def test_logits_are_those_of_hugging_face(model: str, plain: bool, request: pytest.FixtureRequest):
    ours, batch = ours_and_batch(request.getfixturevalue(model), THREE, plain=plain)
    with torch.no_grad():
        expected = stock_of(ours)(**padded_inputs(batch)).logits
    logits = logits_of(ours, batch)
    assert (logits.shape, logits.dtype) == ((4, 3), torch.float32)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


@each_way
def test_loss_and_its_gradients_are_those_of_hugging_face(tiny_bert: Path, plain: bool):
    ours, batch = ours_and_batch(tiny_bert, THREE, plain=plain)
    stock = stock_of(ours)
    targets = torch.tensor([2, 0, 1, 1])
    (ours.loss(ours(batch), targets, torch.ones(4)) / 4).backward()
    stock(**padded_inputs(batch), labels=targets).loss.backward()
    expected = dict(stock.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-6, rtol=1e-4, msg=name)


def test_classifier_that_is_not_prepared_computes_too(tiny_bert: Path):
    loaded = load_pretrained(str(tiny_bert), THREE, ModelSettings(), seed=0)
    prepared, batch = ours_and_batch(tiny_bert, THREE)
    torch.testing.assert_close(logits_of(loaded.classifier, batch), logits_of(prepared, batch), atol=1e-5, rtol=0)
    with pytest.raises(RuntimeError, match="prepare"):
        _ = loaded.classifier.flat


def test_sigmoid_head_has_one_logit_shown_as_two(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, TWO, head="sigmoid")
    logits = logits_of(ours, batch)
    with torch.no_grad():
        expected = stock_of(ours)(**padded_inputs(batch)).logits
    assert ours.classifier.out_features == 1
    assert torch.equal(logits[:, 0], torch.zeros(4))
    torch.testing.assert_close(logits[:, 1:], expected, atol=1e-5, rtol=0)


def test_several_labels_a_row_have_a_logit_each(tiny_bert: Path):
    schema = LabelSchema(MULTI_LABEL, ("a", "b", "c"))
    ours, batch = ours_and_batch(tiny_bert, schema)
    logits = ours(batch)
    assert (ours.head, logits.shape) == ("sigmoid", (4, 3))
    ours.loss(logits, torch.ones(4, 3, dtype=torch.int64), torch.ones(4)).backward()


@each_way
def test_hidden_states_are_those_of_embeddings_and_layers(tiny_bert: Path, plain: bool):
    ours, batch = ours_and_batch(tiny_bert, TWO, plain=plain)
    states = ours.hidden_states(batch)
    assert [tuple(state.shape) for state in states] == [(batch.tokens, 32)] * 3
    first = states[-1][torch.from_numpy(batch.cu_seqlens[:-1])]
    torch.testing.assert_close(ours.classifier(ours.bert.pooler(first)), ours(batch), atol=1e-5, rtol=0)


@each_way
def test_logits_are_fp32_under_bf16(tiny_bert: Path, plain: bool):
    exact, batch = ours_and_batch(tiny_bert, TWO)
    ours, _ = ours_and_batch(tiny_bert, TWO, plain=plain, precision="bf16")
    logits = ours(batch)
    assert logits.dtype == torch.float32
    difference = (logits - exact(batch)).abs().max()
    assert 0 < difference < 0.05
    ours.loss(logits, torch.tensor([0, 1, 0, 1]), torch.ones(4)).backward()
    assert all(parameter.dtype == parameter.grad.dtype == torch.float32 for parameter in ours.parameters())


def test_ways_agree_with_dropout(tiny_bert: Path):
    fast, batch = ours_and_batch(tiny_bert, THREE)
    plain, _ = ours_and_batch(tiny_bert, THREE, plain=True)
    logits = [ours(batch, STEP) for ours in (fast, plain)]
    assert not torch.allclose(logits[0], logits_of(fast, batch), atol=1e-3)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-5, rtol=0)
    for ours, own in zip((fast, plain), logits, strict=True):
        ours.loss(own, torch.tensor([2, 0, 1, 1]), torch.ones(4)).backward()
    expected = gradients_of(plain)
    for name, gradient in gradients_of(fast).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4, msg=name)


def test_head_drops_with_a_share_of_its_own(tmp_path: Path):
    config = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.5}
    ours, batch = ours_and_batch(write_tiny_bert(tmp_path / "bert", **config), THREE)
    assert not torch.allclose(logits_of(ours, batch, STEP), logits_of(ours, batch), atol=1e-3)
    without, _ = ours_and_batch(write_tiny_bert(tmp_path / "none", **(config | {"classifier_dropout": 0.0})), THREE)
    torch.testing.assert_close(logits_of(without, batch, STEP), logits_of(without, batch))


@each_way
def test_step_cut_between_groups_is_the_step_uncut(tiny_bert: Path, plain: bool):
    ours, _ = ours_and_batch(tiny_bert, THREE, plain=plain)
    batch, dropout = ragged_batch([60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1]), STEP
    ours.flat.make_gradients()
    (ours(batch, STEP) * row_weights(batch, 3).float()).sum().backward()
    whole, whole_logits = gradients_of(ours), logits_of(ours, batch, STEP)
    ours.flat.clear_gradients(torch.from_numpy(batch.input_ids).unique())
    logits = []
    for first, end in ((0, 4), (4, 8), (8, 11)):
        cut = rows_of(batch, first, end)
        logits.append(ours(cut, dropout))
        (logits[-1] * row_weights(cut, 3).float()).sum().backward()
        dropout = dropout.after(cut)
    torch.testing.assert_close(torch.cat(logits), whole_logits, atol=1e-5, rtol=0)
    for name, gradient in gradients_of(ours).items():
        torch.testing.assert_close(gradient, whole[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@each_way
def test_steps_of_training_lower_the_loss(tiny_bert: Path, plain: bool, precision: str):
    ours, batch = ours_and_batch(tiny_bert, TWO, plain=plain, precision=precision)
    targets, weights = torch.tensor([1, 0, 0, 1]), torch.ones(4)
    flat, words = ours.flat, torch.from_numpy(batch.input_ids).unique()
    flat.make_gradients()
    losses = []
    for step in range(20):
        loss = ours.loss(ours(batch, StepDropout(0, step)), targets, weights)
        loss.backward()
        flat.shorten_gradients(1.0, words)
        flat.values.sub_(flat.gradients, alpha=0.1)
        flat.words.data.sub_(flat.word_gradients, alpha=0.1)
        flat.clear_gradients(words)
        ours.weights_changed()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_loaded_weights_are_computed_with(tiny_bert: Path, precision: str):
    ours, batch = ours_and_batch(tiny_bert, TWO, precision=precision)
    saved, before = {name: value.clone() for name, value in ours.state_dict().items()}, logits_of(ours, batch)
    ours.flat.values.mul_(0.5)
    ours.weights_changed()
    changed = logits_of(ours, batch)
    assert not torch.allclose(changed, before, atol=1e-3)
    ours.load_state_dict(saved)
    assert torch.equal(logits_of(ours, batch), before)
    ours.load_state_dict({name: value * 0.5 if "word" not in name else value for name, value in saved.items()})
    assert torch.equal(logits_of(ours, batch), changed)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@each_way
def test_predictions_between_forward_and_backward_pass_do_no_harm(tiny_bert: Path, plain: bool, precision: str):
    ours, batch = ours_and_batch(tiny_bert, THREE, plain=plain, precision=precision)
    other, gradients = rows_of(batch, 2, 3), []
    for predicts in (False, True):
        ours.flat.make_gradients()
        ours.flat.clear_gradients(torch.arange(ours.vocabulary_rows))
        loss = ours(batch, STEP).square().sum()
        predicted = logits_of(ours, other) if predicts else None
        loss.backward()
        gradients.append(gradients_of(ours))
    assert predicted is not None
    assert torch.equal(predicted, logits_of(ours, other))
    assert all(torch.equal(own, gradients[0][name]) for name, own in gradients[1].items())


def test_classifier_may_be_prepared_again(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, TWO)
    ours(batch).square().sum().backward()
    before, logits, first = gradients_of(ours), logits_of(ours, batch), ours.flat
    ours.prepare(Hardware(CPU, "bf16", 1))
    assert 0 < (logits_of(ours, batch) - logits).abs().max() < 0.05
    ours.prepare(Hardware(CPU, "fp32", 1))
    assert torch.equal(logits_of(ours, batch), logits)
    assert ours.flat is not first
    ours(batch).square().sum().backward()
    assert all(torch.equal(gradient, before[name]) for name, gradient in gradients_of(ours).items())


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "fast"])
def test_a_classifier_that_was_cast_after_it_was_prepared_says_so(tiny_bert: Path, plain: bool):
    ours, batch = ours_and_batch(tiny_bert, THREE, plain=plain)
    before = logits_of(ours, batch)
    ours.to("cpu")  # where it is
    torch.testing.assert_close(logits_of(ours, batch), before, atol=0, rtol=0)
    ours.half()
    for use in (lambda: logits_of(ours, batch), lambda: ours.flat):
        with pytest.raises(RuntimeError, match=r"moved or cast by themselves; call prepare\(\)"):
            use()
    ours.float()
    ours.prepare(Hardware(CPU, "fp32", 1), plain=plain)
    torch.testing.assert_close(logits_of(ours, batch), before, atol=1e-2, rtol=0)


def test_limits_of_the_model_are_known(tiny_bert: Path):
    ours, _ = ours_and_batch(tiny_bert, TWO)
    assert ours.max_tokens == 128
    assert ours.vocabulary_rows == len(ours.bert.embeddings.word_embeddings.weight)
    assert ours.input_names == ("input_ids", "token_type_ids", "attention_mask")
