"""`surefit evaluate`: a run against another labelled file."""

import shutil

import pytest
from surefit_command import assert_refused, run_here

from learnable_rows import read_table, write_table


@pytest.fixture
def unseen(tmp_path):
    path = tmp_path / "unseen.csv"
    path.write_text("text,label\na great story,good\nan awful story,bad\n,bad\n", encoding="utf-8")
    return path


def test_json_has_figures_with_rows_of_truth(trained_run, unseen):
    outcome = run_here("evaluate", trained_run.directory, unseen, "--json", "--quiet")
    answer = outcome.json()
    assert outcome.err == ""
    assert (answer["file"], answer["records"], answer["rejected"]) == ("unseen.csv", 3, 1)
    assert answer["rejected_by_reason"] == {"empty text": 1}
    matrix = answer["result"]["confusion_matrix"]
    supports = [entry["support"] for entry in answer["result"]["per_class"].values()]
    assert [sum(row) for row in matrix] == supports == [1, 1]
    assert answer["result"]["n"] == 2


@pytest.mark.usefixtures("own_cache")
def test_tables_on_standard_output(trained_run, unseen):
    outcome = run_here("evaluate", trained_run.directory, unseen, "--precision", "fp32", "--threads", "1")
    assert outcome.status == 0
    assert outcome.err == "computed in fp32 on cpu with 1 thread by torch, up to 8,192 tokens at once (the usual number)\n"
    for said in ("Evaluation on unseen.csv", "macro average", "weighted average", "rows are the truth", "on 2 rows"):
        assert said in outcome.out


def test_rejected_rows_are_accounted_for_and_listed(trained_run, unseen, tmp_path):
    said = " ".join(run_here("evaluate", trained_run.directory, unseen).out.split())
    assert "records: 3; used: 2; rejected: 1 (empty text: 1); each rejected record is written by --rejected FILE" in said
    listed = tmp_path / "rejected.csv"
    assert run_here("evaluate", trained_run.directory, unseen, "--rejected", listed).status == 0
    assert listed.read_text() == "record,line,id,reason\n3,4,3,empty text\n"
    outcome = run_here("evaluate", trained_run.directory, unseen, "--rejected", trained_run.directory / "rejected.csv")
    assert_refused(outcome, "is a file of the run")


def test_rows_that_are_all_rejected_are_listed_too(trained_run, tmp_path):
    data = write_table(tmp_path / "rows.csv", ("text", "label"), [("", "good"), ("a story", "")])
    listed = tmp_path / "rejected.csv"
    outcome = run_here("evaluate", trained_run.directory, data, "--rejected", listed)
    assert_refused(outcome, "rows.csv", "none of the 2 rows can be used", f"each rejected record is in {listed}")
    assert listed.read_text() == "record,line,id,reason\n1,2,1,empty text\n2,3,2,missing label\n"


def test_a_model_without_its_account_of_texts_is_said(trained_run, unseen, tmp_path):
    model = shutil.copytree(trained_run.directory / "model", tmp_path / "copy" / "model")
    outcome = run_here("evaluate", model, unseen)
    said = outcome.err
    assert said.startswith("whether the model has learned from these rows is not known: ")
    assert str(tmp_path / "copy" / "seen_texts.safetensors") in said
    assert said.count("\n") == 2, "and how it was computed"
    assert "(whether the model has learned from these rows is not known)" in " ".join(outcome.out.split())


def test_columns_of_other_names_than_in_training_are_said(trained_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("review", "label"), [("a great story", "good")])
    outcome = run_here("evaluate", trained_run.directory, data)
    assert outcome.err.startswith("the text is read from the column 'review'\ncomputed in ")


def test_rows_that_the_model_has_learned_from_are_said_in_the_title(trained_run, learnable_csv):
    outcome = run_here("evaluate", trained_run.directory, learnable_csv)
    leaks = run_here("evaluate", trained_run.directory, learnable_csv, "--json").json()["leaks"]["exact"]
    assert leaks > 100
    assert f"WARNING: the model has learned from {leaks} of these rows" in " ".join(outcome.out.split())


def test_the_test_rows_again_come_to_the_figures_of_the_run(trained_run, learnable_csv, tmp_path):
    run = trained_run.directory
    tested = {row["id"] for row in read_table(run / "splits.csv") if row["split"] == "test"}
    rows = [tuple(row.values()) for row in read_table(learnable_csv) if row["id"] in tested]
    data = write_table(tmp_path / "tested.csv", ("id", "text", "label"), rows)
    again = run_here("evaluate", run, data, "--json", "--precision", "fp32", "--threads", "1").json()["result"]
    before = trained_run.metrics["test"]
    assert again["confusion_matrix"] == before["confusion_matrix"]
    assert again["loss"] == pytest.approx(before["loss"], abs=1e-5)


def test_a_class_the_model_does_not_know_is_refused_with_its_line(trained_run, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("text,label\na great story,good\nan odd story,Bad\n", encoding="utf-8")
    assert_refused(run_here("evaluate", trained_run.directory, path, "--quiet"), "other.csv", "line 3", "'Bad'", "'bad'")


def test_no_run_is_refused(tmp_path, unseen):
    assert_refused(run_here("evaluate", tmp_path / "none", unseen, "--quiet"), "none")


def test_drift_is_a_table_below_the_figures(trained_run, tmp_path):
    data = write_table(
        tmp_path / "new.csv", ("text", "label"), [("story " * 60 + "good", "good"), ("the bad film", "bad")] * 20
    )
    outcome = run_here("evaluate", trained_run.directory, data)
    said = " ".join(outcome.out.split())
    assert said.index("Confusion matrix") < said.index("Drift: are these rows like those that the model was judged on?")
    assert "Strong drift (length in tokens" in said
    assert "40 rows against" in said


def test_a_file_without_labels_shows_predicted_classes_and_drift(trained_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("text",), [("a great happy film",), ("an awful bad story",), ("bad sad",)])
    outcome = run_here("evaluate", trained_run.directory, data)
    assert outcome.status == 0
    assert outcome.err.startswith("taken as unlabelled, so that there are no figures: ")
    said = " ".join(outcome.out.split())
    assert "predicted class" in said
    assert "records: 3; used: 3; rejected: 0" in said
    assert "With so few rows only a large shift would show." in said
    assert "Confusion matrix" not in said
    assert "awful" not in said + outcome.err, "texts are private"
    answer = run_here("evaluate", trained_run.directory, data, "--json", "--quiet").json()
    assert (answer["result"], answer["predicted"], answer["abstained"]) == (None, {"bad": 2, "good": 1}, 0)
    assert answer["drift"]["level"] == "none"
    assert_refused(run_here("evaluate", trained_run.directory, data, "--label", "y", "--quiet"), "--label", "names no column")
