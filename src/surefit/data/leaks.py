"""Rows that judge a model and repeat what it learned from: word for word, nearly so, or of the same group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from surefit.data.clean import Int8Array
from surefit.data.duplicates import exact_groups
from surefit.data.near_duplicates import WordSets, near_matches
from surefit.types import Examples, FloatArray, Int64Array

LEAK_KINDS = ("exact", "near", "group")


@dataclass(frozen=True, eq=False)
class Leaks:
    """The rows of some examples that repeat a row learned from.

    Attributes:
        rows: their positions, rising, shape (m,).
        sources: position of the row that each repeats, the most similar that was found, shape (m,).
        similarities: 1 where the texts are the same, else Jaccard's index of their words, shape (m,).
        kinds: positions in `LEAK_KINDS`, the first that fits, shape (m,).
    """

    rows: Int64Array
    sources: Int64Array
    similarities: FloatArray
    kinds: Int8Array

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each of `LEAK_KINDS`."""
        return dict(zip(LEAK_KINDS, np.bincount(self.kinds, minlength=len(LEAK_KINDS)).tolist(), strict=True))


def find_leaks(examined: Examples, learned: Examples) -> Leaks:
    """Finds the rows that repeat one which was learned from.

    A row leaks where its text is the same ("exact"), shares most words ("near"), or where both have the same
    value in the column of groups ("group").

    Args:
        examined: n cleaned rows.
        learned: cleaned rows, pairs of texts if and only if `examined` are.
    """
    together = joined(learned, examined)
    first, count = len(learned), len(together)
    groups = exact_groups(together.texts, together.text_pairs)
    # Groups are numbered by first appearance, so that those of learned rows have the lowest numbers.
    exact = groups[first:] <= groups[:first].max(initial=-1)
    source = np.full(count - first, -1, dtype=np.int64)
    source[exact] = np.unique(groups[:first], return_index=True)[1][groups[first:][exact]]
    kind = np.zeros(count - first, dtype=np.int8)

    words = WordSets.of(together)
    is_learned = np.arange(count) < first
    wanted = ~is_learned
    wanted[first:] &= ~exact
    near, match = near_matches(words, wanted, is_learned)
    source[near - first], kind[near - first] = match, LEAK_KINDS.index("near")
    if examined.groups is not None and learned.groups is not None:
        same = pc.index_in(examined.groups, learned.groups).fill_null(-1).to_numpy()
        others = (source < 0) & (same >= 0)
        source[others], kind[others] = same[others], LEAK_KINDS.index("group")
    rows = np.flatnonzero(source >= 0)
    similarities = np.where(exact[rows], 1.0, words.similarities(np.stack([first + rows, source[rows]], axis=1)))
    return Leaks(rows, source[rows], similarities, kind[rows])


def joined(first: Examples, second: Examples) -> Examples:
    """The rows of both, one after the other, without labels; pairs of texts must be given to both or to none."""
    texts = pa.concat_arrays([first.texts, second.texts])
    pairs = None
    if first.text_pairs is not None and second.text_pairs is not None:
        pairs = pa.concat_arrays([first.text_pairs, second.text_pairs])
    ids = pa.concat_arrays([first.ids, second.ids])
    groups = None
    if first.groups is not None and second.groups is not None:
        groups = pa.concat_arrays([first.groups, second.groups])
    records, lines = (np.concatenate([getattr(part, name) for part in (first, second)]) for name in ("records", "lines"))
    return Examples(ids, texts, pairs, None, records, lines, groups)
