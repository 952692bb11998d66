"""The five layers of a prediction."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from surefit.config import ModelSettings
from surefit.errors import UsageError
from surefit.inference.classifier import load
from surefit.model.pretrained import load_pretrained, save_classifier
from surefit.trace import LAYER_SENTENCES, LayerTrace
from surefit.types import MULTI_LABEL, NEVER_ANSWERED, SINGLE_LABEL, DecisionRule, LabelSchema
from tiny_models import write_tiny_stock

TEXT = "a great  film ,\u200b great zebra"
NORMAL = "a great film , great zebra"
TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))
MANY = LabelSchema(SINGLE_LABEL, tuple(f"class {number}" for number in range(77)))
MULTI = LabelSchema(MULTI_LABEL, ("a", "b", "c"))
WORDPIECE = "a piece that continues a word starts with ##."


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_run.load(precision="fp32", threads=1)


@pytest.fixture(scope="module")
def layers(model):
    return {layer.layer: layer for layer in model.trace(TEXT).layers}


def test_the_layers_stand_in_their_order_and_say_what_they_do(layers):
    assert list(layers) == list(LAYER_SENTENCES)
    assert list(layers) == ["tokenisation", "input ids and mask", "encoder", "head", "prediction"]
    assert "is gathered in the vector at [CLS]:" in layers["encoder"].does
    assert "The head (the pooler, a linear layer with tanh, and then one more linear layer)" in layers["head"].does
    assert not any("{" in layer.does for layer in layers.values())


def traced(
    base: Path, directory: Path, schema: LabelSchema = TWO, head: str | None = None, rule: DecisionRule | None = None
) -> dict[str, LayerTrace]:
    """The layers of a model with random weights, saved and loaded again."""
    loaded = load_pretrained(str(base), schema, ModelSettings(head=head, max_length=64), seed=1)
    save_classifier(directory, loaded.classifier, loaded.tokenizer, rule or DecisionRule(), base_model="tiny")
    return {layer.layer: layer for layer in load(directory, precision="fp32", threads=1).trace(NORMAL).layers}


@pytest.mark.parametrize(
    ("family", "first", "last", "word_mark", "architecture"),
    [
        ("bert", "[CLS]", "[SEP]", WORDPIECE, None),
        ("distilbert", "[CLS]", "[SEP]", WORDPIECE, "DistilBertForSequenceClassification"),
        ("mpnet", "<s>", "</s>", WORDPIECE, "MPNetForSequenceClassification"),
        ("roberta", "<s>", "</s>", "Ġ stands for a space in front of a piece.", "RobertaForSequenceClassification"),
    ],
)
def test_sentences_are_true_of_the_family(tiny_bert, tmp_path, family, first, last, word_mark, architecture):
    base = tiny_bert if family == "bert" else write_tiny_stock(tmp_path / "base", family)
    layers = traced(base, tmp_path / "model")
    said = "\n".join([layer.does + layer.note + " ".join(layer.columns) for layer in layers.values()])
    assert layers["tokenisation"].does.endswith(f"vocabulary; {word_mark} {first} is added in front, {last} marks the end.")
    tokens = dict(layers["tokenisation"].rows)["tokens"].split()
    assert (tokens[0], tokens[-1]) == (first, last)
    assert f"is gathered in the vector at {first}:" in layers["encoder"].does
    assert layers["encoder"].columns[2] == f"size of the {first} vector"
    assert layers["head"].note == f"32 numbers of {first} in, 2 logits out"
    assert f"turns the vector at {first} into" in layers["head"].does
    assert ("tanh" in said) == (architecture is None)
    assert architecture is None or f"the family's own classification head, that of {architecture})" in layers["head"].does
    assert ("[CLS]" in said) == (first == "[CLS]")
    assert ("##" in said) == ("##" in word_mark)
    assert "one logit" not in said
    assert ("SureFit's own BERT" in said) == (family == "bert")
    assert layers["input ids and mask"].note.startswith("The padding is shown as it would stand in a batch with a longer row;")


@pytest.mark.parametrize(
    ("pooling", "head_input", "numbers"),
    [("cls", "the vector at [CLS]", "[CLS]"), ("mean", "the vectors of all pieces", "each piece")],
)
def test_a_head_that_reads_all_tokens_is_not_said_to_read_the_first(tmp_path, pooling, head_input, numbers):
    base = write_tiny_stock(tmp_path / "base", "modernbert")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"classifier_pooling": pooling}))
    layers = traced(base, tmp_path / "model")
    assert f"is gathered in {head_input}:" in layers["encoder"].does
    assert f"turns {head_input} into" in layers["head"].does
    assert layers["head"].note == f"32 numbers of {numbers} in, 2 logits out"


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_sigmoid_head_says_why_its_first_logit_is_0(tiny_bert, tmp_path, family):
    base = tiny_bert if family == "bert" else write_tiny_stock(tmp_path / "base", family)
    layers = traced(base, tmp_path / "model", TWO, head="sigmoid")
    assert layers["head"].does.endswith("It was trained with one logit, which is shown as two: the first is always 0.")
    assert layers["prediction"].does.endswith("gives the same probabilities as the sigmoid of the one that was trained.")
    logits = [row[1] for row in layers["head"].rows]
    assert logits[0] == 0.0
    assert layers["prediction"].rows[1][1] == pytest.approx(1 / (1 + np.exp(-logits[1])), abs=1e-7)


def thresholds(layers: dict[str, LayerTrace]) -> list[object]:
    return [row[2] for row in layers["prediction"].rows]


def test_of_two_classes_the_one_over_a_half_is_taken(tiny_bert, tmp_path):
    layers = traced(tiny_bert, tmp_path / "model")
    assert "that sum to one (softmax)" in layers["prediction"].does
    assert thresholds(layers) == [0.5, 0.5]


def test_of_many_classes_only_the_one_decided_on_is_called_the_largest(tiny_bert, tmp_path):
    layers = traced(tiny_bert, tmp_path / "model", MANY)
    assert thresholds(layers) == ["the largest", *[""] * 76]
    assert [row[3] for row in layers["prediction"].rows] == ["<- label", *[""] * 76]
    assert layers["prediction"].rows[0][1] == max(row[1] for row in layers["prediction"].rows)


def test_saved_thresholds_are_shown(tiny_bert, tmp_path):
    assert thresholds(traced(tiny_bert, tmp_path / "two", rule=DecisionRule(thresholds=(0.7, 0.3)))) == [0.7, 0.3]
    saved = tuple((number + 1) / 100 for number in range(77))
    layers = traced(tiny_bert, tmp_path / "many", MANY, rule=DecisionRule(thresholds=saved))
    assert sorted(thresholds(layers)) == list(saved)


def test_expected_costs_are_shown_instead_of_thresholds(tiny_bert, tmp_path):
    rule = DecisionRule(costs=((0.0, 4.0), (1.0, 0.0)))
    prediction = traced(tiny_bert, tmp_path / "model", rule=rule)["prediction"]
    assert prediction.columns[2] == "expected cost"
    (_, no, cost_of_no, first), (_, yes, cost_of_yes, second) = prediction.rows
    assert (cost_of_no, cost_of_yes) == (pytest.approx(yes), pytest.approx(4 * no))
    assert (first, second) == (("<- label", "") if cost_of_no <= cost_of_yes else ("", "<- label"))


@pytest.mark.parametrize(
    ("bound", "why"),
    [(1.0, r"whose probability 0\.\d{4} is below 1\.0000"), (NEVER_ANSWERED, "which it never answers")],
)
def test_a_trace_says_why_the_model_abstains(tiny_bert, tmp_path, bound, why):
    prediction = traced(tiny_bert, tmp_path / "model", rule=DecisionRule(abstain_below=(bound, bound)))["prediction"]
    assert re.fullmatch(rf"label: none, the model abstains: it would be (no|yes), {why}", prediction.note)
    assert [row[3] for row in prediction.rows] == ["", ""]


def test_several_labels_a_row_have_probabilities_of_their_own(tiny_bert, tmp_path):
    layers = traced(tiny_bert, tmp_path / "model", MULTI)
    assert "need not sum to one" in layers["prediction"].does
    assert "softmax" not in layers["prediction"].does
    assert "one logit" not in layers["head"].does
    assert thresholds(layers) == [0.5] * 3
    assert [bool(row[3]) for row in layers["prediction"].rows] == [row[1] >= 0.5 for row in layers["prediction"].rows]


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


def test_the_token_type_is_named_and_explained(layers):
    layer = layers["input ids and mask"]
    assert layer.columns == ("position", "token", "input id", "token type", "mask")
    assert "The token type is 0 in the first text and 1 in the second of a pair" in layer.does


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
