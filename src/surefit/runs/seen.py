"""Which texts a run has seen, as hashes, so that a later run or evaluation notices them.

Figures on rows that the model was trained on measure memory. A run therefore keeps a hash of each
text and the split that it was in, those of the run it trains on from included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from surefit.artifacts import RunDirectory, atomic_writer, model_directory, read_json, run_of_model, sha256_of
from surefit.data.clean import BoolArray, Int8Array
from surefit.data.duplicates import text_hashes
from surefit.data.split import SPLIT_NAMES, SplitName
from surefit.interruption import stop_afterwards
from surefit.model.saved import FACTS
from surefit.runs.leaks import LEARNED_UNKNOWN
from surefit.types import Examples

NEVER = -1
_TEST = SPLIT_NAMES.index("test")


@dataclass(frozen=True, eq=False)
class SeenTexts:
    """The texts of a run and of the runs before it.

    Attributes:
        hashes: of distinct texts, rising, shape (n,), uint64.
        splits: position in `SPLIT_NAMES` of the first split that a text was in, shape (n,), int8.
        complete: whether nothing else was trained on; not so where an earlier run kept no account.
    """

    hashes: NDArray[np.uint64]
    splits: Int8Array
    complete: bool

    @classmethod
    def of(cls, parts: Iterable[tuple[NDArray[np.uint64], Int8Array]], *, complete: bool) -> SeenTexts:
        """Joins hashes with their splits; a text in several splits counts for the first of them."""
        pairs = list(parts)
        hashes = np.concatenate([part[0] for part in pairs])
        splits = np.concatenate([part[1] for part in pairs])
        order = np.lexsort((splits, hashes))
        distinct, first = np.unique(hashes[order], return_index=True)
        return cls(distinct, splits[order][first], complete)

    def split_of(self, examples: Examples) -> Int8Array:
        """The split that each row's text was in, `NEVER` where it was in none, shape (rows,).

        Args:
            examples: cleaned rows.
        """
        hashes = text_hashes(examples)
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[places] == hashes, self.splits[places], np.int8(NEVER))

    def learned_from(self, examples: Examples, *, validation: bool = True) -> BoolArray:
        """Which rows have a text that weights were fitted to, or an epoch chosen by, shape (rows,).

        Args:
            examples: cleaned rows.
            validation: whether a text that was only validated with counts.
        """
        splits = self.split_of(examples)
        return np.asarray((splits != NEVER) & (splits < (_TEST if validation else 1)), dtype=np.bool_)


def write_seen(run: RunDirectory, splits: dict[SplitName, Examples], earlier: SeenTexts | None) -> None:
    """Writes the hashes of a run's texts.

    Args:
        run: the run.
        splits: its cleaned rows.
        earlier: what the run it trains on from has seen, if there is such a run.
    """
    parts = [(text_hashes(rows), np.full(len(rows), SPLIT_NAMES.index(name), np.int8)) for name, rows in splits.items()]
    if earlier is not None:
        parts.append((earlier.hashes, earlier.splits))
    seen = SeenTexts.of(parts, complete=earlier is None or earlier.complete)
    with atomic_writer(run.seen_texts, binary=True) as file:
        file.write(save({"hashes": seen.hashes, "splits": seen.splits}, {"complete": str(seen.complete).lower()}))


def read_seen(model: Path) -> SeenTexts:
    """The texts that a saved model has seen.

    Args:
        model: a run directory, or the model directory in one.

    Returns:
        None of them, and not complete, where there is no account of them, as for a model that was
        copied out of its run, or where it is damaged or of another model.
    """
    nothing = SeenTexts(np.zeros(1, np.uint64), np.full(1, NEVER, np.int8), complete=False)
    path = run_of_model(model).seen_texts
    if not path.is_file() or sha256_of(path) != read_json(model_directory(model) / FACTS).get("seen_texts_sha256"):
        return nothing
    try:
        with stop_afterwards(), safe_open(path, "numpy") as file:
            hashes, splits = file.get_tensor("hashes"), file.get_tensor("splits")
            complete = (file.metadata() or {}).get("complete") == "true"
    except (OSError, SafetensorError):
        return nothing
    fits = hashes.dtype == np.uint64 and splits.dtype == np.int8 and hashes.shape == splits.shape and hashes.ndim == 1
    if not fits or not len(hashes) or not (hashes[1:] > hashes[:-1]).all():
        return nothing
    return SeenTexts(hashes, splits, complete)


def unknown_account(model: Path) -> str:
    """What to say where `read_seen` gives an account that is not complete."""
    path = run_of_model(model).seen_texts
    return f"{LEARNED_UNKNOWN}: {path} is missing, damaged or of another run"
