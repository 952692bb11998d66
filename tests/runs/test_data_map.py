"""Which training rows were hard to learn: the files of a run agree with its checkpoint and with each other."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from learnable_rows import LEARNING, learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory
from surefit.runs.tables import evaluation_tables
from surefit.runs.train import train

LABELS = {"good": "+good", "bad": "bad"}  # a spreadsheet would run the first
FLIPPED = range(3, 400, 10)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rows of which a tenth have the other label, with ids that a spreadsheet would run."""
    rows = [(f"={number}", text, LABELS[label]) for number, (text, label) in enumerate(learnable_rows(400))]
    for number in FLIPPED:
        row_id, text, label = rows[number]
        rows[number] = (row_id, text, "bad" if label == "+good" else "+good")
    return write_table(tmp_path_factory.mktemp("data") / "rows.csv", ("id", "text", "label"), rows)


@pytest.fixture(scope="module")
def trained(data, tiny_bert, tmp_path_factory):
    return train(data, tmp_path_factory.mktemp("runs") / "run", model=tiny_bert, id="id", **LEARNING | {"patience": 1})


@pytest.fixture(scope="module")
def run(trained):
    return RunDirectory(trained.directory)


@pytest.fixture(scope="module")
def dynamics(run):
    """Those of the last checkpoint, of the epochs that were made."""
    (checkpoint,) = run.checkpoints.iterdir()
    epochs = len(trained_epochs(run))
    return {name: array[:epochs] for name, array in load_file(checkpoint / "dynamics.safetensors").items()}


def trained_epochs(run):
    return [line for line in run.training_log.read_text().splitlines() if '"evaluation"' in line]


def test_every_training_row_stands_in_the_order_of_the_file_with_its_label(run, data):
    found = read_table(run.training_rows)
    labels = {row["id"]: row["label"] for row in read_table(data)}
    assert [row["id"] for row in found] == [row["id"] for row in read_table(run.splits) if row["split"] == "train"]
    assert [int(row["id"].removeprefix("'=")) for row in found] == sorted(int(row["id"][2:]) for row in found)
    assert all(row["label"].removeprefix("'") == labels[row["id"].removeprefix("'")] for row in found)
    assert {row["label"] for row in found} == {"'+good", "bad"}
    assert {row["file"] for row in found} == {"rows.csv"}


def test_figures_are_those_of_the_epochs_that_were_made(run, dynamics):
    found, given = read_table(run.training_rows), dynamics["given_probabilities"]
    assert given.shape == (len(trained_epochs(run)), len(found))
    assert ((given > 0) & (given < 1)).all()
    columns = {name: [float(row[name]) for row in found] for name in ("confidence", "variability", "correctness")}
    np.testing.assert_allclose(columns["confidence"], given.mean(axis=0), atol=2e-6)
    np.testing.assert_allclose(columns["variability"], given.std(axis=0), atol=2e-6)
    np.testing.assert_allclose(columns["correctness"], dynamics["right"].mean(axis=0), atol=2e-6)
    # Of two classes, one is decided on where its probability is over a half.
    assert (dynamics["right"] == (given > 0.5)).all()
    regions = {0.0: "hard", 1.0: "easy"}
    assert [row["region"] for row in found] == [regions.get(share, "ambiguous") for share in columns["correctness"]]


def test_metrics_count_the_regions_and_name_the_most_extreme_rows(trained, run):
    summary, found = trained.metrics["data_map"], read_table(run.training_rows)
    regions = [row["region"] for row in found]
    assert summary["epochs"] == trained.metrics["training"]["epochs"] == len(trained_epochs(run))
    assert summary["counts"] == {region: regions.count(region) for region in ("easy", "ambiguous", "hard")}
    hard = sorted((float(row["confidence"]), row["id"]) for row in found if row["region"] == "hard")
    assert summary["examples"]["hard"] == [row_id.removeprefix("'") for _, row_id in hard[:3]]
    assert f"of {len(found)} training rows" in summary["sentence"]


def test_what_is_hard_is_flipped(run):
    flipped = {f"'={number}" for number in FLIPPED}
    regions = {row["id"]: row["region"] for row in read_table(run.training_rows)}
    hard = {row_id for row_id, region in regions.items() if region == "hard"}
    assert len(hard & flipped) > 0.7 * len(hard) > 3
    assert not [row_id for row_id in flipped if regions.get(row_id) == "easy"]


def test_label_issues_say_which_were_never_right_in_training(run):
    issues = read_table(run.label_issues)
    regions = {row["id"]: row["region"] for row in read_table(run.training_rows)}
    assert {issue["split"] for issue in issues} > {"train"}
    assert {issue["never_right_in_training"] for issue in issues} == {"yes", "no", ""}
    for issue in issues:
        hard = regions[issue["id"]] == "hard" if issue["split"] == "train" else None
        assert issue["never_right_in_training"] == {True: "yes", False: "no", None: ""}[hard]


def test_the_terminal_shows_them_hard_ones_first(trained):
    summary = trained.metrics["data_map"]
    (table,) = [table for table in evaluation_tables(trained.metrics) if "hard to learn" in table.title]
    assert [(row[0], row[2]) for row in table.rows] == [
        (region, f"{summary['counts'][region]:,}") for region in ("hard", "ambiguous", "easy")
    ]
    assert table.rows[0][3] == ", ".join(summary["examples"]["hard"])
    assert table.note.startswith(f"{summary['sentence']}; training_rows.csv has each row")


def test_the_most_extreme_rows_stand_with_their_texts(trained, run, data):
    examples, found = read_table(run.training_examples), {row["id"]: row for row in read_table(run.training_rows)}
    texts = {row["id"]: row["text"] for row in read_table(data)}
    counts = trained.metrics["data_map"]["counts"]
    for region in ("hard", "ambiguous", "easy"):
        own = [row for row in examples if row["region"] == region]
        assert len(own) == min(10, counts[region])
        assert [row["id"].removeprefix("'") for row in own][:3] == trained.metrics["data_map"]["examples"][region]
        for row in own:
            assert {name: row[name] for name in ("label", "confidence", "variability", "correctness", "region")} == {
                name: found[row["id"]][name] for name in ("label", "confidence", "variability", "correctness", "region")
            }
            assert row["text"] == texts[row["id"].removeprefix("'")]


def test_the_report_shows_them(run):
    page = run.report.read_text(encoding="utf-8")
    assert "Confidence against variability of the training rows" in page
    assert "The hardest rows" in page
