"""Runs that benchmarks look at: on the film reviews, for those of classifying, and on any corpus."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import surefit
from benchmarks.corpora import ROTTEN_TOMATOES, Corpus, load, read_splits
from surefit.artifacts import RunDirectory

EPOCHS = 2
# Of the longest profile, so that no text is cut.
MAX_LENGTH = 512


@contextmanager
def fine_tuned_run(path: Path | None) -> Iterator[RunDirectory]:
    """A run that has learned the film reviews.

    Args:
        path: where it is, or where it is trained and kept if it is not there yet; a temporary place
            when not given.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(path or Path(folder) / "run")
        if not directory.metrics.is_file():
            print(f"fine-tuning on film reviews, {EPOCHS} epochs ...", file=sys.stderr, flush=True)
            data = Path(folder) / f"{ROTTEN_TOMATOES}.csv"
            load(ROTTEN_TOMATOES, None).write_csv(data)
            surefit.train(data, run=directory.path, id="id", epochs=EPOCHS, max_length=MAX_LENGTH, test_size=0.1)
        yield directory


def reviews_of(run: RunDirectory, split: str) -> Corpus:
    """The film reviews of one of the run's splits: "train", "validation" or "test"."""
    return load(ROTTEN_TOMATOES, None).take(read_splits(run.splits)[split])


@contextmanager
def trained_on(corpus: Corpus, **options: Any) -> Iterator[surefit.TrainedRun]:
    """A run on a whole corpus, in a temporary place.

    Args:
        corpus: what it learns from and is tested on.
        options: settings of the run.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / f"{corpus.name}.csv"
        corpus.write_csv(data)
        yield surefit.train(data, Path(folder) / "run", text="text", label="label", **options)
