"""A trained model judged on another file."""

from __future__ import annotations

import pytest

from learnable_rows import learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory
from surefit.errors import DataError, ModelError
from surefit.progress import Progress
from surefit.runs.evaluate import evaluate_file

EXACT = {"precision": "fp32", "threads": 1}


def test_the_run_s_own_test_rows_have_the_run_s_own_figures(trained_run, learnable_csv, tmp_path):
    test_ids = [row["id"] for row in read_table(RunDirectory(trained_run.directory).splits) if row["split"] == "test"]
    rows = [tuple(row.values()) for row in read_table(learnable_csv) if row["id"] in test_ids]
    data = write_table(tmp_path / "test.csv", ("id", "text", "label"), rows)
    found = evaluate_file(trained_run.directory, data, {"id": "id"}, EXACT, Progress())
    expected = dict(trained_run.metrics["test"])
    result = found["result"]
    assert result.pop("loss") == pytest.approx(expected.pop("loss"), abs=1e-5)
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
