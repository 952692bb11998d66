"""Parity with Hugging Face's BertForSequenceClassification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from surefit.config import ModelSettings
from surefit.model.classifier import Classifier
from surefit.model.pretrained import load_pretrained
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema, PackedBatch

THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))
TEXTS = ["good film", "", "the worst movie of the year , not a good story at all", "zebra"]


def ours_and_batch(directory: Path, schema: LabelSchema, head: str | None = None) -> tuple[Classifier, PackedBatch]:
    loaded = load_pretrained(str(directory), schema, ModelSettings(head=head), seed=0)
    assert isinstance(loaded.classifier, Classifier)
    return loaded.classifier, PackedBatch.from_encodings(loaded.tokenizer.encode(TEXTS), np.arange(len(TEXTS)))


def stock_of(ours: Classifier) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    stock = BertForSequenceClassification(
        BertConfig(**ours.config, num_labels=ours.classifier.out_features, attn_implementation="eager")
    )
    stock.load_state_dict(ours.state_dict())
    return stock


def stock_inputs(batch: PackedBatch) -> dict[str, torch.Tensor]:
    padded = batch.to_padded(0)
    return {name: torch.from_numpy(getattr(padded, name)) for name in ("input_ids", "token_type_ids", "attention_mask")}


@pytest.mark.parametrize("model", ["tiny_bert", "embedded_model"])
def test_logits_are_those_of_hugging_face(model: str, request: pytest.FixtureRequest):
    ours, batch = ours_and_batch(request.getfixturevalue(model), THREE)
    stock = stock_of(ours)
    with torch.inference_mode():
        logits = ours.eval()(batch)
        expected = stock.eval()(**stock_inputs(batch)).logits
    assert (logits.shape, logits.dtype) == ((4, 3), torch.float32)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_loss_and_its_gradients_are_those_of_hugging_face(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, THREE)
    stock = stock_of(ours)
    targets = torch.tensor([2, 0, 1, 1])
    (ours.eval().loss(ours(batch), targets, torch.ones(4)) / 4).backward()
    stock.eval()(**stock_inputs(batch), labels=targets).loss.backward()
    expected = dict(stock.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-6, rtol=1e-4, msg=name)


def test_sigmoid_head_has_one_logit_shown_as_two(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, TWO, head="sigmoid")
    with torch.inference_mode():
        logits = ours.eval()(batch)
        expected = stock_of(ours).eval()(**stock_inputs(batch)).logits
    assert ours.classifier.out_features == 1
    assert torch.equal(logits[:, 0], torch.zeros(4))
    torch.testing.assert_close(logits[:, 1:], expected, atol=1e-5, rtol=0)


def test_several_labels_a_row_have_a_logit_each(tiny_bert: Path):
    schema = LabelSchema(MULTI_LABEL, ("a", "b", "c"))
    ours, batch = ours_and_batch(tiny_bert, schema)
    logits = ours(batch)
    assert (ours.head, logits.shape) == ("sigmoid", (4, 3))
    ours.loss(logits, torch.ones(4, 3, dtype=torch.int64), torch.ones(4)).backward()


def test_hidden_states_are_those_of_embeddings_and_layers(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, TWO)
    states = ours.eval().hidden_states(batch)
    assert [tuple(state.shape) for state in states] == [(batch.tokens, 32)] * 3


def test_logits_are_fp32_under_bf16(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, TWO)
    with torch.autocast("cpu", torch.bfloat16):
        logits = ours.eval()(batch)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, ours(batch), atol=0.05, rtol=0)
    ours.loss(logits, torch.tensor([0, 1, 0, 1]), torch.ones(4)).backward()


def test_a_step_of_training_lowers_the_loss(tiny_bert: Path):
    ours, batch = ours_and_batch(tiny_bert, TWO)
    targets, weights = torch.tensor([1, 0, 0, 1]), torch.ones(4)
    optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        torch.manual_seed(0)
        loss = ours.train().loss(ours(batch), targets, weights)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_limits_of_the_model_are_known(tiny_bert: Path):
    ours, _ = ours_and_batch(tiny_bert, TWO)
    assert ours.max_tokens == 128
    assert ours.vocabulary_rows == len(ours.bert.embeddings.word_embeddings.weight)
    assert ours.input_names == ("input_ids", "token_type_ids", "attention_mask")
