"""Encodings to logits: order kept, and a row says the same whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_rows import learnable_rows
from surefit.config import ModelSettings
from surefit.inference.engine import predict_logits
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.types import SINGLE_LABEL, LabelSchema

FP32 = Hardware(torch.device("cpu"), "fp32", 1)
BF16 = Hardware(torch.device("cpu"), "bf16", 1)


class Counter(Progress):
    def __init__(self):
        self.counts = []

    def advance(self, done):
        self.counts.append(done)


@pytest.fixture(scope="module")
def model(tiny_bert):
    """A classifier, and rows of very different length in no order of length."""
    pretrained = load_pretrained(str(tiny_bert), LabelSchema(SINGLE_LABEL, ("a", "b", "c")), ModelSettings(), seed=0)
    texts = [" ".join([text] * (1 + number * 7 % 5)) for number, (text, _) in enumerate(learnable_rows(30))]
    return pretrained.classifier, pretrained.tokenizer.encode(texts)


def test_each_row_alone_is_as_in_the_batch(model):
    classifier, encodings = model
    together = predict_logits(classifier, encodings, FP32)
    alone = np.concatenate([predict_logits(classifier, [encoding], FP32) for encoding in encodings])
    assert (together.shape, together.dtype) == ((30, 3), np.float32)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) == 30


def test_the_order_is_that_of_the_encodings(model):
    classifier, encodings = model
    backwards = predict_logits(classifier, encodings[::-1], FP32)[::-1]
    np.testing.assert_allclose(predict_logits(classifier, encodings, FP32), backwards, atol=1e-5)


def test_the_token_budget_changes_nothing_but_the_batches(model):
    classifier, encodings = model
    counters = Counter(), Counter()
    wide = predict_logits(classifier, encodings, FP32, counters[0])
    narrow = predict_logits(classifier, encodings, FP32, counters[1], max_batch_tokens=64)
    np.testing.assert_allclose(wide, narrow, atol=1e-5)
    assert counters[0].counts == [30]
    assert len(counters[1].counts) > 5
    assert sum(counters[1].counts) == 30


def test_no_rows_have_no_logits(model):
    assert predict_logits(model[0], [], FP32).shape == (0, 3)


def test_dropout_is_off_even_in_a_model_in_training(model):
    classifier, encodings = model
    classifier.train()
    first = predict_logits(classifier, encodings, FP32)
    classifier.train()
    assert (predict_logits(classifier, encodings, FP32) == first).all()


def test_bf16_says_about_the_same(model):
    classifier, encodings = model
    exact, rough = predict_logits(classifier, encodings, FP32), predict_logits(classifier, encodings, BF16)
    np.testing.assert_allclose(exact, rough, atol=0.02)
    assert (exact != rough).any()
