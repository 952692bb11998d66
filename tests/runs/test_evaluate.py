"""A trained model judged on another file."""

from __future__ import annotations

import json
import shutil

import pytest

from learnable_rows import learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory
from surefit.errors import DataError, ModelError
from surefit.model.saved import content_hash
from surefit.progress import Progress
from surefit.runs.evaluate import evaluate_file

EXACT = {"precision": "fp32", "threads": 1}


class Notes(Progress):
    """Keeps what a user is told."""

    def __init__(self):
        self.said: list[str] = []

    def note(self, sentence):
        self.said.append(sentence)


def test_the_run_s_own_test_rows_have_the_run_s_own_figures(trained_run, learnable_csv, tmp_path):
    test_ids = [row["id"] for row in read_table(RunDirectory(trained_run.directory).splits) if row["split"] == "test"]
    rows = [tuple(row.values()) for row in read_table(learnable_csv) if row["id"] in test_ids]
    data = write_table(tmp_path / "test.csv", ("id", "text", "label"), rows)
    found = evaluate_file(trained_run.directory, data, {"id": "id"}, EXACT, Progress())
    expected = dict(trained_run.metrics["test"])
    result = found["result"]
    # With the temperature divided into its weights, a saved model's probabilities differ in their last digits.
    assert result.pop("loss") == pytest.approx(expected.pop("loss"), abs=1e-5)
    expected["intervals"] = dict(expected["intervals"])
    assert result["intervals"].pop("loss") == pytest.approx(expected["intervals"].pop("loss"), abs=1e-5)
    assert result == expected
    assert (found["file"], found["records"], found["rejected"]) == ("test.csv", len(rows), 0)


def test_columns_are_named_and_rejected_records_counted(trained_run, tmp_path):
    rows = [*((label, text) for text, label in learnable_rows(10, seed=4)), ("good", ""), ("", "a film")]
    data = write_table(tmp_path / "more.csv", ("y", "words"), rows)
    found = evaluate_file(trained_run.directory / "model", data, {"text": "words", "label": "y"}, EXACT, Progress())
    assert (found["records"], found["rejected"], found["result"]["n"]) == (12, 2, 10)
    assert found["result"]["accuracy"] >= 0.8


def test_a_file_with_one_class_only_can_be_judged(trained_run, tmp_path):
    data = write_table(tmp_path / "good.csv", ("text", "label"), [("a great happy film", "good"), ("nice", "good")])
    found = evaluate_file(trained_run.directory, data, {}, EXACT, Progress())
    bad, good = found["result"]["confusion_matrix"]
    assert (bad, sum(good)) == ([0, 0], 2)
    assert found["result"]["per_class"]["bad"]["support"] == 0


def test_a_class_that_the_model_does_not_know_is_a_sentence(trained_run, tmp_path):
    data = write_table(tmp_path / "more.csv", ("text", "label"), [("good", "good"), ("so so", "godo")])
    with pytest.raises(DataError, match=r"^more\.csv, line 3: class 'godo' .*did you mean 'good'\?"):
        evaluate_file(trained_run.directory, data, {}, EXACT, Progress())


def test_what_is_no_run_is_a_sentence(tmp_path):
    data = write_table(tmp_path / "more.csv", ("text", "label"), [("good", "good")])
    with pytest.raises(ModelError, match="holds no saved model"):
        evaluate_file(tmp_path, data, {}, EXACT, Progress())


def test_rows_like_the_test_rows_are_no_drift_and_others_are(trained_run, tmp_path):
    like = write_table(tmp_path / "like.csv", ("text", "label"), learnable_rows(60, seed=9))
    drift = evaluate_file(trained_run.directory, like, {}, EXACT, Progress())["drift"]
    assert (drift["level"], drift["rows"]) == ("none", 60)
    assert drift["reference_rows"] == trained_run.metrics["test"]["n"]
    assert [shift["statistic"] for shift in drift["shifts"]] == [
        *("lengths", "unknown_tokens", "predicted_classes", "confidences"),
        *("true_classes", "embedding_mean", "embedding_distances"),
    ]
    others = [(f"{text} {text} {text} 電影 {text}", label) for text, label in learnable_rows(60, seed=9)]
    other = write_table(tmp_path / "other.csv", ("text", "label"), others)
    found = evaluate_file(trained_run.directory, other, {}, EXACT, Progress())
    levels = {shift["statistic"]: shift["level"] for shift in found["drift"]["shifts"]}
    assert (levels["lengths"], levels["unknown_tokens"]) == ("strong", "strong")
    assert found["result"]["n"] == 60


def test_a_file_without_labels_has_drift_and_no_figures(trained_run, tmp_path):
    rows = [(text,) for text, label in learnable_rows(80, seed=9) if label == "good"]
    data = write_table(tmp_path / "new.csv", ("text",), [*rows, ("",)])
    notes = Notes()
    found = evaluate_file(trained_run.directory, data, {}, EXACT, notes)
    assert found["result"] is None
    assert notes.said[0].startswith("taken as unlabelled, so that there are no figures: ")
    assert "no column is certain to be the label" in notes.said[0]
    assert (found["records"], found["rejected_by_reason"]) == (41, {"empty text": 1})
    assert found["leaks"]["exact"] is not None
    assert found["predicted"]["good"] >= 35
    assert sum(found["predicted"].values()) + found["abstained"] == 40
    shifts = {shift["statistic"]: shift for shift in found["drift"]["shifts"]}
    assert "true_classes" not in shifts
    assert shifts["predicted_classes"]["level"] == "strong"


def test_labels_do_not_change_what_is_said_of_the_texts(trained_run, tmp_path):
    rows = learnable_rows(40, seed=9)
    labelled = write_table(tmp_path / "labelled.csv", ("text", "label"), rows)
    unlabelled = write_table(tmp_path / "unlabelled.csv", ("text",), [row[:1] for row in rows])
    first, second = (
        evaluate_file(trained_run.directory, data, {}, EXACT, Progress())["drift"] for data in (labelled, unlabelled)
    )
    figures = [
        {shift["statistic"]: (shift["distance"], shift["now"]) for shift in drift["shifts"]} for drift in (first, second)
    ]
    del figures[0]["true_classes"]
    assert figures[0] == figures[1]


def test_a_label_that_is_named_must_be_there(trained_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("text",), [("a great story",)])
    with pytest.raises(DataError, match=r'--label "y" names no column'):
        evaluate_file(trained_run.directory, data, {"label": "y"}, EXACT, Progress())


def test_of_several_columns_that_could_be_the_label_none_is_taken(trained_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("text", "topic", "category"), [("a great story", "good", "bad")] * 3)
    notes = Notes()
    assert evaluate_file(trained_run.directory, data, {}, EXACT, notes)["result"] is None
    assert "more than one column could be the label" in notes.said[0]
    assert evaluate_file(trained_run.directory, data, {"label": "topic"}, EXACT, notes)["result"]["n"] == 3


def test_a_file_of_unlabelled_rows_of_which_none_can_be_used_is_refused_and_listed(trained_run, tmp_path):
    data, listed = write_table(tmp_path / "new.csv", ("text", "more"), [("", "a"), (" ", "b")]), tmp_path / "rejected.csv"
    with pytest.raises(DataError, match=r"new\.csv: none of the 2 rows can be used; each rejected record is in "):
        evaluate_file(trained_run.directory, data, {}, EXACT, Progress(), listed)
    assert len(read_table(listed)) == 2


def test_a_model_without_a_reference_has_no_drift_and_says_so(trained_run, tmp_path):
    model = shutil.copytree(trained_run.directory / "model", tmp_path / "model")
    facts = json.loads((model / "surefit.json").read_text())
    del facts["reference"]
    (model / "surefit.json").write_text(json.dumps(facts | {"content_sha256": content_hash(facts)}))
    data = write_table(tmp_path / "more.csv", ("text", "label"), learnable_rows(10, seed=4))
    notes = Notes()
    found = evaluate_file(model, data, {}, EXACT, notes)
    assert (found["drift"], found["result"]["n"]) == (None, 10)
    assert "saved without reference statistics" in notes.said[-1]


def test_of_many_rows_a_sample_is_looked_at(trained_run, tmp_path):
    data = write_table(tmp_path / "many.csv", ("text", "label"), learnable_rows(2_400, seed=9))
    found = evaluate_file(trained_run.directory, data, {}, EXACT, Progress())
    assert (found["result"]["n"], found["drift"]["rows"]) == (2_400, 2_000)
    assert sum(found["predicted"].values()) == 2_400
    now = found["drift"]["shifts"][4]["now"]
    assert now["good"] == pytest.approx(0.5, abs=0.05), "classes that alternate in the file are both in the sample"
