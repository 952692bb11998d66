"""The README of a run says what is in its files."""

from __future__ import annotations

import re
from pathlib import Path

from surefit.artifacts import RunDirectory, read_json, sha256_of
from surefit.runs.model_card import write_model_card


def card_of(trained_run):
    return RunDirectory(trained_run.directory).model_card.read_text(encoding="utf-8")


def test_figures_are_those_of_the_metrics(trained_run):
    test = trained_run.metrics["test"]
    card = card_of(trained_run)
    figures = f"accuracy {test['accuracy']:.4f}, macro F1 {test['macro']['f1']:.4f}."
    assert f"On {test['n']} test rows that the model never saw: {figures}" in card
    for name, figures in test["per_class"].items():
        cells = [f"{figures[key]:.4f}" for key in ("precision", "recall", "f1")] + [str(figures["support"])]
        assert f"| {name} | {' | '.join(cells)} |" in card


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


def test_the_command_for_pairs_has_a_second_text(trained_run, tmp_path):
    card = written_card(trained_run, tmp_path, {"text": "question", "text_pair": "answer", "label": "y"})
    assert ' "a text" --text-pair "its second text"\n' in card
    assert "Sorts a pair of texts into one of 2 classes." in card
    assert "--text-pair" not in card_of(trained_run)


def test_names_are_no_markup_and_stay_in_their_cells(trained_run, tmp_path):
    run = RunDirectory(trained_run.directory)
    settings, metrics = read_json(run.settings), read_json(run.metrics)
    names = iter(["a|b", "# <img src=x> [l](u) *i* `c`"])
    metrics["test"]["per_class"] = {next(names): figures for figures in metrics["test"]["per_class"].values()}
    settings["base_model"] = "dir_with_*stars*"
    settings["data"]["train"]["name"] = "<b>.csv"
    write_model_card(RunDirectory(tmp_path), settings, metrics)
    card = RunDirectory(tmp_path).model_card.read_text(encoding="utf-8")
    rows = [line for line in card.splitlines() if line.startswith("| a") or "img" in line]
    assert [len(re.split(r"(?<!\\)\|", row)) for row in rows] == [7, 7]
    assert not re.search(r"(?<!\\)(<img|<b>|\[l|\*stars|`c)", card)
