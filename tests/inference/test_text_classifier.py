"""A saved classifier in Python, with every form of rows in and out."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from foreign_tables import ArrowColumn

from learnable_rows import LEARNING, learnable_rows, read_table
from processor import needs_int8
from surefit.config import ReadSettings
from surefit.data.read import read
from surefit.data.reasons import EMPTY_TEXT, EMPTY_TEXT_PAIR
from surefit.errors import ModelError, UsageError
from surefit.inference.classifier import load
from surefit.inference.given import NOT_A_TEXT
from surefit.model.pretrained import load_classifier, save_classifier
from surefit.runs.train import train
from surefit.types import Prediction

TEXTS = [text for text, _ in learnable_rows(12, seed=5)]
NO_TEXTS = [
    (None, EMPTY_TEXT),
    (float("nan"), EMPTY_TEXT),
    (np.float32("nan"), EMPTY_TEXT),
    (pd.NA, EMPTY_TEXT),
    (pd.NaT, EMPTY_TEXT),
    ("", EMPTY_TEXT),
    (" \u200b\t", EMPTY_TEXT),
    ("\ud800", NOT_A_TEXT),
    (3, NOT_A_TEXT),
    (0.5, NOT_A_TEXT),
    (b"good", NOT_A_TEXT),
    (["good"], NOT_A_TEXT),
    (np.array([1, 2]), NOT_A_TEXT),
]


def close(first, second):
    assert [(row.labels, row.truncated, row.reason) for row in first] == [
        (row.labels, row.truncated, row.reason) for row in second
    ]
    np.testing.assert_allclose([row.scores for row in first], [row.scores for row in second], atol=1e-6)


def test_it_has_learned_what_good_and_bad_are(model):
    assert [said.label for said in model.predict(["a great happy film", "the worst awful story"])] == ["good", "bad"]


def test_one_text_is_one_prediction(model):
    said = model.predict("a great film")
    assert isinstance(said, Prediction)
    assert model.classes == model.schema.id2label == ("bad", "good")
    assert said.score == max(said.scores) == said.scores[model.classes.index(said.label)]
    assert sum(said.scores) == pytest.approx(1.0, abs=1e-12)


def test_rows_alone_are_as_in_the_batch_and_in_their_order(model):
    together = model.predict(TEXTS)
    close(together, [model.predict(text) for text in TEXTS])
    close(together, model.predict(TEXTS[::-1])[::-1])


@pytest.mark.parametrize(
    "given",
    [
        tuple,
        iter,
        np.array,
        pd.Series,
        pa.array,
        lambda texts: pd.Series(texts, index=range(50, 62)),
        lambda texts: pa.chunked_array([texts]),
        lambda texts: ArrowColumn(pa.chunked_array([texts])),
        lambda texts: pd.Series(texts, dtype=object),
    ],
    ids=["tuple", "iterator", "numpy", "pandas", "arrow", "other-index", "arrow-chunks", "other-column", "pandas-objects"],
)
def test_any_sequence_of_texts_is_taken(model, given):
    close(model.predict(given(TEXTS)), model.predict(TEXTS))
    np.testing.assert_allclose(model.predict_proba(given(TEXTS)), model.predict_proba(TEXTS), atol=1e-6)


@pytest.mark.parametrize(("row", "reason"), NO_TEXTS, ids=lambda value: repr(value)[:20])
def test_a_row_that_is_no_text_has_an_empty_label_and_the_reason(model, row, reason):
    before, unusable, after = model.predict(["good", row, "bad"])
    assert unusable == Prediction(labels=(), scores=(), score=0.0, truncated=False, reason=reason)
    assert unusable.label == ""
    close([before, after], model.predict(["good", "bad"]))


def test_rows_that_are_all_unusable_and_none_at_all(model):
    assert [said.reason for said in model.predict([row for row, _ in NO_TEXTS])] == [reason for _, reason in NO_TEXTS]
    assert model.predict([]) == []
    assert model.predict_proba([]).shape == (0, 2)


def test_probabilities_are_an_array_with_nan_where_there_is_no_text(model):
    found = model.predict_proba(["good", None, "bad", ""])
    assert (found.shape, found.dtype) == ((4, 2), np.float64)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, True]
    np.testing.assert_allclose(found[[0, 2]], [said.scores for said in model.predict(["good", "bad"])], atol=1e-6)
    assert model.predict_proba("good").shape == (1, 2)


def test_a_series_with_missing_values_of_pandas(model):
    assert [said.reason for said in model.predict(pd.Series(["good", None], dtype="string"))] == ["", EMPTY_TEXT]


def test_every_record_of_a_file_has_a_prediction_in_the_file_s_order(model, learnable_csv):
    reading = read(learnable_csv, ReadSettings(), labelled=False)
    found = model.predict_records(reading)
    rows = read_table(learnable_csv)
    assert len(found) == len(rows) == 170
    assert [said.reason for said in found[-2:]] == [EMPTY_TEXT, ""]
    close(found[:3], model.predict([row["text"] for row in rows[:3]]))


def test_a_long_text_is_cut_and_says_so(model):
    assert [said.truncated for said in model.predict(["good " * 500, "good"])] == [True, False]
    assert model.max_length == 128


def test_texts_are_normalised_as_in_training(model):
    first, second = model.predict(["a\u200b great\u00a0 film", "a great film"])
    assert first.scores == pytest.approx(second.scores, abs=1e-6)


def test_pairs_are_judged_with_the_sigmoid_head(pairs_model):
    one = pairs_model.predict("is it", "a great film")
    (same,) = pairs_model.predict(["is it"], ["a great film"])
    frame = pairs_model.predict(pd.DataFrame({"q": ["is it"], "a": ["a great film"]}), text="q", text_pair="a")
    assert one.scores == pytest.approx(same.scores, abs=1e-6)
    assert frame.probability[0] == pytest.approx(one.score, abs=1e-6)
    assert sum(one.scores) == pytest.approx(1.0)
    assert pairs_model.predict("is it", "the worst").scores != one.scores


def test_a_pair_with_one_empty_text_is_unusable(pairs_model):
    frame = pd.DataFrame({"question": ["is it", "", "is it", " "], "answer": [None, "good", "good", ""]})
    reasons = [EMPTY_TEXT_PAIR, EMPTY_TEXT, "", EMPTY_TEXT]
    found = pairs_model.predict(frame.question, frame.answer)
    assert [said.reason for said in found] == reasons
    with_columns = pairs_model.predict(frame)
    assert with_columns.reason.tolist() == reasons
    pd.testing.assert_frame_equal(with_columns[["question", "answer"]], frame)
    with pytest.raises(UsageError, match=f"there is nothing to trace: {EMPTY_TEXT_PAIR}"):
        pairs_model.trace("is it", " ")


def test_a_pair_with_what_is_no_text_is_unusable(pairs_model):
    assert [said.reason for said in pairs_model.predict(["", "is it"], [3, b"good"])] == [NOT_A_TEXT, NOT_A_TEXT]


def test_as_many_second_texts_as_texts(pairs_model):
    with pytest.raises(UsageError, match="there are 2 texts and 1 second texts"):
        pairs_model.predict(["a", "b"], ["c"])


def test_a_model_of_pairs_takes_no_single_texts_and_the_reverse(pairs_model, model):
    with pytest.raises(UsageError, match="this model judges pairs of texts"):
        pairs_model.predict(["good"])
    with pytest.raises(UsageError, match="this model judges pairs of texts"):
        pairs_model.trace("good")
    with pytest.raises(UsageError, match="this model judges single texts"):
        model.predict(["good"], ["bad"])


def test_a_tokenizer_without_a_form_for_pairs_serves_single_texts_only(tiny_bert, tmp_path):
    base = shutil.copytree(tiny_bert, tmp_path / "base")
    content = json.loads((base / "tokenizer.json").read_text())
    content["post_processor"]["pair"] = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    (base / "tokenizer.json").write_text(json.dumps(content))
    frame = pd.DataFrame(learnable_rows(60), columns=["text", "label"])
    options = LEARNING | {"epochs": 1}
    train(frame, tmp_path / "single", model=base, **options)
    assert load(tmp_path / "single").predict("a great film").label
    with pytest.raises(ModelError, match=r"tokenizer\.json has no form for pairs of texts"):
        train(frame.assign(text_pair="is it"), tmp_path / "pairs", model=base, **options)


def test_loading_what_is_no_model_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="holds no saved model"):
        load(tmp_path)
    with pytest.raises(ModelError, match="there is no directory"):
        load(tmp_path / "missing")
    with pytest.raises(UsageError, match="give the path of a run or of its model, not NoneType"):
        load(None)
    with pytest.raises(UsageError, match="--precision is auto, fp32, bf16 or int8, got 'int4'"):
        load(tmp_path, precision="int4")


@needs_int8
def test_int8_says_about_the_same(trained_run, model):
    in_int8 = load(trained_run.directory, precision="int8", threads=1)
    assert in_int8.hardware.precision == "int8"
    rows = [text for text, _ in learnable_rows(100, seed=9)]
    found, exact = in_int8.predict_proba(rows), model.predict_proba(rows)
    assert 0 < np.abs(found - exact).max() < 0.1
    assert [said.label for said in in_int8.predict(["a great happy film", "the worst awful story"])] == ["good", "bad"]
    assert [said.reason for said in in_int8.predict(["good", None])] == ["", EMPTY_TEXT]
    trace = in_int8.trace("a great happy film")
    assert (trace.label, trace.score) == ("good", in_int8.predict("a great happy film").score)


def test_int8_is_not_chosen_by_itself_where_few_rows_were_checked(trained_run):
    assert load(trained_run.directory, threads=1).hardware.precision in ("fp32", "bf16")


def test_int8_of_a_model_without_ranges_is_a_sentence(trained_run, tmp_path):
    saved = load_classifier(trained_run.directory)
    save_classifier(tmp_path / "model", saved.classifier, saved.tokenizer, saved.rule, base_model="x")
    with pytest.raises(UsageError, match="--precision int8 needs a trained model that was saved with ranges for it"):
        load(tmp_path, precision="int8")
    assert load(tmp_path, precision="fp32").predict("a great happy film").label


def test_the_run_and_its_model_directory_are_the_same_classifier(trained_run, model):
    other = load(trained_run.directory / "model", precision="fp32", threads=1)
    assert other.predict("good") == model.predict("good")
    assert repr(model) == "TextClassifier(2 classes: bad, good)"


def test_a_prediction_cannot_be_changed(model):
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.predict("good").score = 1.0


@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("int8", marks=needs_int8)])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda loaded: pickle.loads(pickle.dumps(loaded))], ids=["copy", "pickle"])
def test_a_copy_judges_alike_and_is_no_larger(trained_run, copied, precision):
    loaded = load(trained_run.directory, precision=precision)
    texts = ["a good story", "a bad story"]
    assert np.array_equal(copied(loaded).predict_proba(texts), loaded.predict_proba(texts))
    size = (trained_run.directory / "model" / "model.safetensors").stat().st_size
    assert len(pickle.dumps(loaded)) < 3 * size
