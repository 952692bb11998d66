"""How many leaks are found that were planted in test rows, and how alike what is found is.

    python -m benchmarks.leaks --data FOLDER

For each corpus, half of the rows are taken for training. The other half is tested on, and some training rows of
ten words and more are put among it: unchanged, with up to a tenth of their words replaced, with a tenth of them
elsewhere, wholly shuffled, or in capitals. Prints, and appends to `benchmarks/results/leaks.jsonl`, which share of
each kind is found, and of the pairs reported as near duplicates the share that have less than half of their words
in common.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.corpora import NAMES, data_folder, load
from benchmarks.machine import record
from benchmarks.records import markdown
from surefit.data.clean import clean
from surefit.data.leaks import LEAK_KINDS, find_leaks
from surefit.types import LABELS_TYPE, TEXT_TYPE, Examples

RESULTS = Path(__file__).parent / "results" / "leaks.jsonl"
PLANTED = 500
_LEAST_WORDS = 10


def replaced(words: list[str], source: np.random.Generator) -> list[str]:
    for place in source.choice(len(words), len(words) // 10, replace=False):
        words[place] = f"word{source.integers(10**6)}"
    return words


def moved(words: list[str], source: np.random.Generator) -> list[str]:
    for place in source.choice(len(words), len(words) // 10, replace=False):
        words.insert(int(source.integers(len(words))), words.pop(place))
    return words


KINDS: dict[str, Callable[[list[str], np.random.Generator], list[str]]] = {
    "unchanged": lambda words, source: words,
    "a tenth replaced": replaced,
    "a tenth moved": moved,
    "shuffled": lambda words, source: list(source.permutation(words)),
    "in capitals": lambda words, source: [word.upper() for word in words],
}


def measure(name: str, data: Path | None, seed: int) -> dict[str, Any]:
    """Plants leaks in one corpus and looks for them."""
    corpus = load(name, data)
    source = np.random.default_rng(seed)
    order = source.permutation(len(corpus))
    training, testing = np.split(order, [len(order) // 2])
    long_enough = [row for row in training.tolist() if len(corpus.texts[row].split()) >= _LEAST_WORDS]
    found: dict[str, float] = {}
    planted = source.permutation(long_enough)[: PLANTED * len(KINDS)]
    texts, kinds = [], []
    for kind, rows in zip(KINDS, np.array_split(planted, len(KINDS)), strict=True):
        texts += [" ".join(KINDS[kind](corpus.texts[row].split(), source)) for row in rows.tolist()]
        kinds += [kind] * len(rows)
    learned = _examples([corpus.texts[row] for row in training.tolist()])
    examined = _examples(texts + [corpus.texts[row] for row in testing.tolist()])
    leaks = find_leaks(examined, learned)
    for kind in KINDS:
        of_kind = np.flatnonzero(np.array(kinds) == kind)
        found[kind] = float(np.isin(of_kind, leaks.rows).mean())
    near = leaks.similarities[leaks.kinds == LEAK_KINDS.index("near")]
    genuine = leaks.rows >= len(texts)
    return {
        "corpus": name,
        "planted": len(texts),
        "found": found,
        "near_pairs": len(near),
        "share_under_half": float((near < 0.5).mean()) if len(near) else 0.0,
        "genuine": {kind: int((genuine & (leaks.kinds == place)).sum()) for place, kind in enumerate(LEAK_KINDS)},
        "testing": len(testing),
    }


def _examples(texts: list[str]) -> Examples:
    count = len(texts)
    numbers = np.arange(1, count + 1)
    ids = pa.array(map(str, numbers), TEXT_TYPE)
    labels = pa.array([["a"]] * count, LABELS_TYPE)
    return clean(Examples(ids, pa.array(texts, TEXT_TYPE), None, labels, numbers, numbers)).examples


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="folder with the corpora (SUREFIT_DATA when not given)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    measured = [measure(name, data_folder(options.data), options.seed) for name in NAMES]
    record(options.results, {"seed": options.seed, "corpora": measured})
    rows = [
        (
            of["corpus"],
            f"{of['planted']:,}",
            *(f"{of['found'][kind]:.1%}" for kind in KINDS),
            f"{of['near_pairs']:,}",
            f"{of['share_under_half']:.1%}",
        )
        for of in measured
    ]
    print(markdown(("corpus", "planted", *KINDS, "near pairs", "under half"), rows))


if __name__ == "__main__":
    main()
