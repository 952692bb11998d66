"""Embeddings against transformers' own hidden states, averaged plainly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_rows import learnable_rows
from surefit.config import ModelSettings
from surefit.inference.embeddings import embed
from surefit.model.hardware import Hardware
from surefit.model.kernels.library import library
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.types import SINGLE_LABEL, LabelSchema
from tiny_models import STOCK_FAMILIES, write_tiny_bert, write_tiny_stock

LOOPS = library() is not None
FP32 = Hardware(torch.device("cpu"), "fp32", 1, compiled_loops=LOOPS)
BF16 = Hardware(torch.device("cpu"), "bf16", 1, compiled_loops=LOOPS)
TEXTS = [" ".join([text] * (1 + number * 7 % 5)) for number, (text, _) in enumerate(learnable_rows(30))]


class Counter(Progress):
    def __init__(self):
        self.done = 0

    def advance(self, done):
        self.done += done


def load(directory, hardware=FP32, max_length=64, **how):
    """A classifier with a new head, prepared, and its tokenizer."""
    settings = ModelSettings(max_length=max_length)
    pretrained = load_pretrained(str(directory), LabelSchema(SINGLE_LABEL, ("a", "b", "c")), settings, seed=0)
    pretrained.classifier.prepare(hardware, **how)
    return pretrained.classifier, pretrained.tokenizer


def means_by_transformers(directory, encodings):
    """The mean of the last hidden state of each row by itself, without padding."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(directory).eval()
    with torch.no_grad():
        inputs = [{"input_ids": torch.from_numpy(row.input_ids)[None].long()} for row in encodings]
        return np.stack([model(**own).last_hidden_state[0].mean(0).numpy() for own in inputs])


@pytest.fixture(scope="module")
def wide_bert(tmp_path_factory):
    """A BERT that the compiled loops fit."""
    return write_tiny_bert(tmp_path_factory.mktemp("wide"), num_attention_heads=2)


@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("model", ["tiny_bert", "wide_bert"])
def test_they_are_the_means_of_transformers_own_hidden_states(model, plain, request):
    directory = request.getfixturevalue(model)
    classifier, tokenizer = load(directory, plain=plain)
    assert classifier.compiled == (LOOPS and model == "wide_bert" and not plain)
    encodings = tokenizer.encode(TEXTS)
    found = embed(classifier, encodings)
    assert (found.shape, found.dtype) == ((30, 32), np.float32)
    np.testing.assert_allclose(found, means_by_transformers(directory, encodings), atol=1e-5)


@pytest.mark.parametrize("family", STOCK_FAMILIES)
def test_those_of_other_families_too(family, tmp_path):
    directory = write_tiny_stock(tmp_path, family)
    classifier, tokenizer = load(directory)
    encodings = tokenizer.encode(TEXTS)
    np.testing.assert_allclose(embed(classifier, encodings), means_by_transformers(directory, encodings), atol=1e-5)


@pytest.mark.parametrize("model", ["wide_bert", "stock"])
def test_each_row_alone_is_as_among_others(model, request, tmp_path):
    directory = write_tiny_stock(tmp_path, "mpnet") if model == "stock" else request.getfixturevalue(model)
    classifier, tokenizer = load(directory)
    encodings = tokenizer.encode(TEXTS)
    together = embed(classifier, encodings)
    alone = np.concatenate([embed(classifier, [encoding]) for encoding in encodings])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(embed(classifier, encodings[::-1])[::-1], together, atol=1e-5)


def test_bf16_is_within_its_rounding(wide_bert):
    classifier, tokenizer = load(wide_bert)
    encodings = tokenizer.encode(TEXTS)
    exact, rough = embed(classifier, encodings), embed(load(wide_bert, BF16)[0], encodings)
    difference = np.linalg.norm(rough - exact) / np.linalg.norm(exact)
    assert 2**-12 < difference < np.sqrt(12 * 2) / 2**8, "it must be near, but cannot be exact"


def test_the_rest_of_a_text_that_is_cut_is_not_read(wide_bert):
    classifier, tokenizer = load(wide_bert, max_length=12)
    one, other = "good film " * 20, "good film " * 10 + "dreadful story " * 10
    encodings = tokenizer.encode([one, other])
    assert all(encoding.truncated_tokens > 0 for encoding in encodings)
    first, second = embed(classifier, encodings)
    assert np.array_equal(first, second)


def test_the_head_has_no_part_in_them(wide_bert):
    classifier, tokenizer = load(wide_bert)
    encodings = tokenizer.encode(TEXTS)
    before = embed(classifier, encodings)
    with torch.no_grad():
        classifier.classifier.weight.fill_(7)
        classifier.bert.pooler.dense.weight.fill_(7)
    classifier.weights_changed()
    assert np.array_equal(embed(classifier, encodings), before)


def test_no_rows_have_no_embeddings_and_done_rows_are_counted(wide_bert):
    classifier, tokenizer = load(wide_bert)
    counter = Counter()
    assert embed(classifier, [], counter).shape == (0, 32)
    embed(classifier, tokenizer.encode(TEXTS), counter)
    assert counter.done == 30
