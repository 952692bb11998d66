"""The benchmarks of intervals, thresholds and label errors, on little data: they count what they say."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.intervals import measure as measure_intervals
from benchmarks.intervals import settings
from benchmarks.simulated_rows import Population
from benchmarks.thresholds import PRECISION, RESPLITS, resplit
from benchmarks.thresholds import measure as measure_threshold

from learnable_rows import learnable_rows
from surefit.evaluation.thresholds import ScoredRows
from surefit.types import SINGLE_LABEL, LabelSchema

ROOT = Path(__file__).parents[2]


def scored(rows, noise, seed=0):
    """Two classes with calibrated probabilities; the less noise, the better they are told apart."""
    rng = np.random.default_rng(seed)
    positive = 1 / (1 + np.exp(-rng.normal(0, 1 / noise, rows)))
    return ScoredRows(np.column_stack([1 - positive, positive]), (rng.random(rows) < positive).astype(np.int64))


BINARY = LabelSchema(SINGLE_LABEL, ("no", "yes"))


def test_settings_have_rows_enough_in_each_class():
    found = list(settings())
    assert len(found) > 150
    assert len(set(found)) == len(found)
    for population in found:
        assert sum(population.shares) == pytest.approx(1)
        assert min(population.shares) * population.rows >= 19
    assert {population.rows for population in found} == {200, 500, 1000}


def test_intervals_that_hold_the_truth_are_counted():
    found = measure_intervals(Population((0.5, 0.5), 0.9, 200), 300, seed=1)
    assert set(found["held"]) == {"accuracy", "macro_f1"}
    assert all(0.90 <= share <= 0.99 for share in found["held"].values())


def test_resplits_are_halves_of_the_same_rows():
    rows = scored(101, 0.5)
    halves = list(resplit(rows, seed=0))
    assert len(halves) == RESPLITS
    for fitting, testing in halves:
        both = np.concatenate([fitting.probabilities, testing.probabilities])
        assert np.array_equal(np.sort(both[:, 0]), np.sort(rows.probabilities[:, 0]))
    assert not np.array_equal(halves[0][0].targets, halves[1][0].targets)


def test_a_threshold_that_can_be_had_is_measured_against_hindsight():
    found = measure_threshold(scored(4000, 0.1), BINARY, 1, seed=0)
    assert found["precision"] >= PRECISION - 0.01
    assert 0.9 <= found["recall"] / found["recall_of_hindsight"] <= 1.05
    assert found["said_unreachable"] == 0


def test_one_that_cannot_be_had_is_counted():
    found = measure_threshold(scored(2000, 10.0), BINARY, 1, seed=0)
    assert found["said_unreachable"] >= 45


def test_wrong_labels_are_made_and_found(tmp_path):
    folder = tmp_path / "sms_spam"
    folder.mkdir()
    with open(folder / "all.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *learnable_rows(400)])
    results = tmp_path / "label_errors.jsonl"
    command = [sys.executable, "-m", "benchmarks.label_errors", "--data", str(tmp_path), "--results", str(results)]
    command += ["--corpora", "sms_spam", "banking77"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True).stdout
    (line,) = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    assert (line["corpus"], line["rows"]) == ("sms_spam", 400)
    assert [of["wrong"] for of in line["seeds"]] == [40] * 3
    assert all(of["found"] > 0.5 and of["precision"] > 0.5 for of in line["seeds"])
    assert "banking77" in printed.splitlines()[0]  # that it is not there
    assert "| sms_spam |" in printed
