"""The README of a run says what is in its files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from surefit.artifacts import RunDirectory, read_json, sha256_of
from surefit.runs.model_card import write_model_card


def card_of(trained_run):
    return RunDirectory(trained_run.directory).model_card.read_text(encoding="utf-8")


def between(interval):
    return f" [{interval[0]:.2f}, {interval[1]:.2f}]"


def test_figures_are_those_of_the_metrics_with_their_intervals(trained_run):
    test = trained_run.metrics["test"]
    intervals, card = test["intervals"], card_of(trained_run)
    accuracy = f"accuracy {test['accuracy']:.4f}{between(intervals['accuracy'])}"
    macro = f"macro F1 {test['macro']['f1']:.4f}{between(intervals['macro']['f1'])}"
    assert f"On {test['n']} test rows that the model never saw: {accuracy}, {macro}." in card
    for name, figures in test["per_class"].items():
        of = intervals["per_class"][name]
        cells = [f"{figures[key]:.4f}{between(of[key])}" for key in ("precision", "recall", "f1")] + [str(figures["support"])]
        assert f"| {name} | {' | '.join(cells)} |" in card


def test_it_begins_with_the_verdict_and_names_rule_calibration_and_limits(trained_run):
    metrics = trained_run.metrics
    card = card_of(trained_run).replace("\\", "")
    assert f"## Verdict: {metrics['verdict']['grade']}\n" in card
    sentences = [
        *metrics["verdict"]["reasons"],
        metrics["thresholds"]["fitted"]["sentence"],
        metrics["calibration"]["sentence"],
    ]
    sentences += [metrics["learning_curve"]["sentence"], "No test or validation row repeats a row"]
    places = [card.find(sentence) for sentence in sentences]
    assert -1 not in places
    assert metrics["label_issues"]["sentence"].partition(";")[0] in card


def test_leaks_are_among_the_limits(trained_run, tmp_path):
    run = RunDirectory(trained_run.directory)
    metrics = read_json(run.metrics)
    metrics["leaks"]["exact"] = 7
    write_model_card(RunDirectory(tmp_path), read_json(run.settings), metrics)
    limits = RunDirectory(tmp_path).model_card.read_text(encoding="utf-8").split("## Known limits")[1]
    assert "WARNING: 7 validation or test rows repeat a text of another split" in limits
    metrics["leaks"] |= {"exact": 0, "earlier_run": None}
    write_model_card(RunDirectory(tmp_path), read_json(run.settings), metrics)
    assert "of the test rows is not known" in RunDirectory(tmp_path).model_card.read_text(encoding="utf-8")


def test_rows_without_an_answer_and_classes_that_are_never_answered_are_said_to_be(trained_run, tmp_path):
    run = RunDirectory(trained_run.directory)
    metrics = read_json(run.metrics)
    test = metrics["test"]
    assert "without an answer" not in card_of(trained_run)
    name = next(iter(test["per_class"]))
    test["per_class"][name] |= {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    test["intervals"]["per_class"][name]["precision"] = None
    test["answered"] = test["n"] - 4
    chosen = {"coverage": 0.75, "error": 0.125, "answered": test["answered"], "error_interval": [0.05, 0.2]}
    metrics["thresholds"]["coverage"]["chosen"] = chosen
    write_model_card(RunDirectory(tmp_path), read_json(run.settings), metrics)
    card = RunDirectory(tmp_path).model_card.read_text(encoding="utf-8")
    assert f"| {name} | never answered | 0.0000 [" in card
    assert f"The rule answers {test['answered']} of them (75.0%), 12.5% of these wrong [5.0%, 20.0%]. " in card
    assert "Accuracy, recall and F1 count rows without an answer as not right, while the verdict judges those with one." in card


def test_nothing_in_it_shows_a_line_in_another_order(trained_run, tmp_path):
    run = RunDirectory(trained_run.directory)
    settings, metrics = read_json(run.settings), read_json(run.metrics)
    settings["data"]["train"]["name"] = "rows\u202evsc.exe"
    test = metrics["test"]
    for figures in (test, test["intervals"]):
        figures["per_class"] = {f"{name}\u2066\x1b[31m": of for name, of in figures["per_class"].items()}
    write_model_card(RunDirectory(tmp_path / "of\u202etickets"), settings, metrics)
    card = RunDirectory(tmp_path / "of\u202etickets").model_card.read_text(encoding="utf-8")
    assert not {"\u202e", "\u2066", "\x1b"} & set(card)
    assert "rows\ufffdvsc.exe" in card


def test_it_says_how_the_model_compares_with_the_baselines(trained_run):
    for baseline in trained_run.metrics["baselines"].values():
        assert f"- {baseline['comparison']['sentence']}\n" in card_of(trained_run)


def test_it_says_what_the_model_was_made_of(trained_run, learnable_csv):
    card = card_of(trained_run)
    assert f"SHA-256 {sha256_of(learnable_csv)}" in card
    assert "seed 0, " in card
    assert "threads: 1, cpu, fp32" in card
    assert "torch 2." in card


def written_card(trained_run, directory, columns):
    run = RunDirectory(trained_run.directory)
    settings = read_json(run.settings) | {"columns": columns}
    write_model_card(RunDirectory(directory), settings, read_json(run.metrics))
    return RunDirectory(directory).model_card.read_text(encoding="utf-8")


def test_the_command_names_the_run_as_it_was_given(trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {"text": "text", "label": "label"}
    assert '\nsurefit predict runs/tickets "a text"\n' in written_card(trained_run, Path("runs/tickets"), columns)
    assert "\nsurefit predict 'my runs/tickets' " in written_card(trained_run, Path("my runs/tickets"), columns)


def test_the_name_of_a_run_may_be_no_utf8(trained_run, tmp_path):
    card = written_card(trained_run, tmp_path / os.fsdecode(b"run\xff"), {"text": "text", "label": "label"})
    assert 'run?\' "a text"' in card


def test_the_command_for_pairs_has_a_second_text(trained_run, tmp_path):
    card = written_card(trained_run, tmp_path, {"text": "question", "text_pair": "answer", "label": "y"})
    assert ' "a text" --text-pair "its second text"\n' in card
    assert "Sorts a pair of texts into one of 2 classes." in card
    assert "--text-pair" not in card_of(trained_run)


def test_names_are_no_markup_and_stay_in_their_cells(trained_run, tmp_path):
    run = RunDirectory(trained_run.directory)
    settings, metrics = read_json(run.settings), read_json(run.metrics)
    names = iter(["a|b", "# <img src=x> [l](u) *i* `c`"])
    test = metrics["test"]
    renamed = dict(zip(test["per_class"], names, strict=True))
    for figures in (test, test["intervals"]):
        figures["per_class"] = {renamed[name]: of for name, of in figures["per_class"].items()}
    metrics["verdict"]["reasons"] = ["of the class '<b>x</b>' nothing"]
    settings["base_model"] = "dir_with_*stars*"
    settings["data"]["train"]["name"] = "<b>.csv"
    write_model_card(RunDirectory(tmp_path), settings, metrics)
    card = RunDirectory(tmp_path).model_card.read_text(encoding="utf-8")
    rows = [line for line in card.splitlines() if line.startswith("| a") or "img" in line]
    assert [len(re.split(r"(?<!\\)\|", row)) for row in rows] == [7, 7]
    assert not re.search(r"(?<!\\)(<img|<b>|\[l|\*stars|`c)", card)
