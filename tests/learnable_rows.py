"""Small labelled files that a tiny BERT learns in seconds."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

GOOD = ("good", "great", "nice", "fine", "best", "happy")
BAD = ("bad", "poor", "awful", "terrible", "worst", "sad")
NEUTRAL = ("the", "a", "movie", "film", "story", "was", "is", "very", "so", "actor", "scene", "music", "it", "this", "that")

# Enough for the tiny BERT to learn them, on one thread so that runs can be compared bit by bit.
LEARNING = {"epochs": 4, "learning_rate": 1e-3, "batch_size": 4, "precision": "fp32", "threads": 1}


def learnable_rows(n: int = 160, seed: int = 0) -> list[tuple[str, str]]:
    """Texts of which two to four words say the label, half of them good and half bad."""
    return list(_rows(n, random.Random(seed)))


def _rows(n: int, source: random.Random) -> Iterator[tuple[str, str]]:
    for number in range(n):
        label, telling = (("bad", BAD), ("good", GOOD))[number % 2]
        words = source.choices(NEUTRAL, k=source.randint(1, 6)) + source.choices(telling, k=source.randint(2, 4))
        source.shuffle(words)
        yield " ".join(words), label


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Writes a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    """Reads a CSV file that a run has written."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_timings(path: Path) -> Any:
    """The content of a JSON file without what a clock said: it is the same of two runs that are the same."""
    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_seconds)


def _without_seconds(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in entries if name != "seconds"}
