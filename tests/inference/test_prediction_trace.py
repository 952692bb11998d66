"""The five layers of a prediction."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from surefit.errors import UsageError
from surefit.trace import LAYER_SENTENCES

TEXT = "a great  film ,\u200b great zebra"
NORMAL = "a great film , great zebra"


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_run.load(precision="fp32", threads=1)


@pytest.fixture(scope="module")
def layers(model):
    return {layer.layer: layer for layer in model.trace(TEXT).layers}


def test_the_layers_stand_in_their_order_and_say_what_they_do(layers):
    assert list(layers) == list(LAYER_SENTENCES)
    assert list(layers) == ["tokenisation", "input ids and mask", "encoder", "head", "prediction"]
    assert [layer.does for layer in layers.values()] == list(LAYER_SENTENCES.values())


def test_the_text_is_shown_as_the_model_reads_it(model, layers):
    assert model.trace(TEXT).text == (NORMAL,)
    shown = dict(layers["tokenisation"].rows)
    assert shown["text"] == NORMAL
    assert shown["tokens"].split() == ["[CLS]", "a", "great", "film", ",", "great", "z", "##e", "##b", "##r", "##a", "[SEP]"]


def test_ids_and_mask_are_those_of_the_stock_tokenizer(trained_run, layers):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trained_run.directory / "model")
    layer = layers["input ids and mask"]
    columns = dict(zip(layer.columns, zip(*layer.rows, strict=True), strict=True))
    expected = tokenizer(TEXT, padding="max_length", max_length=len(layer.rows))
    assert list(columns["input id"]) == expected["input_ids"]
    assert list(columns["mask"]) == expected["attention_mask"]
    assert 0 in columns["mask"]
    assert list(columns["token"]) == tokenizer.convert_ids_to_tokens(expected["input_ids"])
    assert columns["position"] == tuple(range(len(layer.rows)))


def test_the_encoder_shows_the_size_of_each_layer_s_cls_vector(trained_run, layers):
    from transformers import AutoModel, AutoTokenizer

    directory = trained_run.directory / "model"
    stock = AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    with torch.inference_mode():
        states = stock(
            **AutoTokenizer.from_pretrained(directory)(TEXT, return_tensors="pt"), output_hidden_states=True
        ).hidden_states
    first = np.array([state[0, 0].numpy() for state in states])
    rows = layers["encoder"].rows
    assert [row[0] for row in rows] == ["embeddings", "layer 1", "layer 2"]
    assert {row[1] for row in rows} == {"12 × 32"}
    np.testing.assert_allclose([row[2] for row in rows], np.linalg.norm(first, axis=1), rtol=1e-4)
    np.testing.assert_allclose([row[3] for row in rows][1:], np.linalg.norm(np.diff(first, axis=0), axis=1), rtol=1e-4)


def test_logits_probabilities_and_label_are_those_of_predict(model, layers):
    said = model.predict(TEXT)
    logits = np.array([logit for _, logit in layers["head"].rows])
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), said.scores, atol=1e-6)
    rows = layers["prediction"].rows
    assert [row[0] for row in rows] == [row[0] for row in layers["head"].rows] == list(model.classes)
    np.testing.assert_allclose([row[1] for row in rows], said.scores, atol=1e-7)
    assert [row[0] for row in rows if row[3]] == [said.label]
    trace = model.trace(TEXT)
    assert (trace.label, trace.score) == (said.label, pytest.approx(said.score, abs=1e-7))


def test_a_cut_text_says_how_much_was_cut(model):
    layer = model.trace("good " * 300).layers[0]
    assert layer.note == "128 tokens; 174 more were cut off, the model reads 128"


def test_the_trace_is_plain_json(model):
    content = model.trace(TEXT).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False))["label"] == content["label"]


def test_texts_are_escaped_where_the_trace_shows_itself(model):
    shown = model.trace("<script>alert('x')</script> good")._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("text", "reason"), [("", "empty text"), (" \u200b", "empty text"), ("\ud800", "not a text"), (None, "empty text")]
)
def test_there_must_be_a_text_to_trace(model, text, reason):
    with pytest.raises(UsageError, match=f"nothing to trace: {reason}"):
        model.trace(text)
