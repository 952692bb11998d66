"""Rows with the same text, grouped, so that no text stands on both sides of a split.

Texts are compared as they are: normalise them first (`surefit.data.clean`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from surefit.data.clean import BoolArray, Targets
from surefit.types import TEXT_TYPE, Examples, Int64Array

# Groups whose rows are named as examples.
_EXAMPLE_GROUPS = 5
_EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Duplicates:
    """How often texts repeat, or resemble each other.

    Attributes:
        groups: texts that two or more rows have, or sets of similar texts.
        rows: rows in those groups.
        conflicting_groups: those whose rows do not all have the same labels.
        conflicting_rows: rows in the conflicting groups.
        examples: row positions of the first few groups.
        conflicting_examples: row positions of the first few conflicting groups.
    """

    groups: int
    rows: int
    conflicting_groups: int
    conflicting_rows: int
    examples: tuple[tuple[int, ...], ...]
    conflicting_examples: tuple[tuple[int, ...], ...]


def exact_groups(texts: pa.Array, text_pairs: pa.Array | None = None) -> Int64Array:
    """Rows with the same text share a group.

    Args:
        texts: n texts, normalised.
        text_pairs: their second texts; a row is then the ordered pair of both.

    Returns:
        Group of each row, from 0 in order of first appearance, shape (n,).
    """
    groups = _codes(texts)
    if text_pairs is None:
        return groups
    second = _codes(text_pairs)
    # Below 2**63 for any data that fits in memory, so that two pairs never share a code.
    return _codes(pa.array(groups * (second.max(initial=0) + 1) + second))


def _codes(column: pa.Array) -> Int64Array:
    """Number of each value among the distinct ones, in order of first appearance."""
    return column.dictionary_encode().indices.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def merged_groups(first: Int64Array, second: Int64Array) -> Int64Array:
    """Rows that share a group of either kind, or are connected by way of others, share one.

    Args:
        first, second: groups of each row from 0, shape (n,).

    Returns:
        Group of each row, from 0 in order of first appearance, shape (n,).
    """
    count = int(first.max(initial=-1)) + 1
    size = count + int(second.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, count + second)), shape=(size, size))
    return numbered(connected_components(graph, directed=False)[1][first].astype(np.int64))


def numbered(groups: Int64Array) -> Int64Array:
    """The same groups, numbered from 0 in order of first appearance, shape (n,)."""
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Int64Array = rank[numbers]
    return renumbered


def own_groups(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """The column of groups of several sources, where each row without one becomes a group of its own.

    Args:
        columns: what each row of a source belongs to (large_string, no nulls), empty where it belongs to nothing.

    Returns:
        of each source, a number for each row as text: the same where and only where rows belong together, over all sources.
    """
    together = pa.concat_arrays(columns)
    numbers = _codes(together)
    alone = pc.equal(together, "").to_numpy(zero_copy_only=False)
    numbers[alone] = len(together) + np.arange(np.count_nonzero(alone))  # those of the others are lower
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return [pa.array(part).cast(TEXT_TYPE) for part in np.split(numbers, ends)]


def find_duplicates(groups: Int64Array, targets: Targets, texts: Int64Array | None = None) -> Duplicates:
    """Counts repeated texts and contradicting labels.

    Args:
        groups: group of each row, as `exact_groups` or `near_groups` gives it, shape (n,).
        targets: class ids of shape (n,), or 0/1 of shape (n, classes).
        texts: for groups of similar texts, the number of each row's text as `exact_groups` gives it:
            groups of one text alone are not counted then, shape (n,).
    """
    sizes = np.bincount(groups)
    members = groups if texts is None else groups[np.unique(texts, return_index=True)[1]]
    repeated = np.bincount(members, minlength=len(sizes)) > 1
    rows = np.flatnonzero(repeated[groups])
    distinct = np.unique(groups[rows] * (len(rows) + 1) + _label_sets(targets[rows])) // (len(rows) + 1)
    conflicting = repeated & (np.bincount(distinct, minlength=len(sizes)) > 1)
    return Duplicates(
        groups=int(repeated.sum()),
        rows=int(sizes[repeated].sum()),
        conflicting_groups=int(conflicting.sum()),
        conflicting_rows=int(sizes[conflicting].sum()),
        examples=_first_rows(groups, repeated),
        conflicting_examples=_first_rows(groups, conflicting),
    )


def _label_sets(targets: Targets) -> Int64Array:
    """A number for each row, the same where the labels are the same, below the number of rows."""
    axis = None if targets.ndim == 1 else 0
    return np.unique(targets, axis=axis, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _first_rows(groups: Int64Array, wanted: BoolArray) -> tuple[tuple[int, ...], ...]:
    first_groups = np.flatnonzero(wanted)[:_EXAMPLE_GROUPS]
    return tuple(tuple(np.flatnonzero(groups == group)[:_EXAMPLE_ROWS].tolist()) for group in first_groups)


def text_hashes(examples: Examples) -> NDArray[np.uint64]:
    """A number for each row, the same wherever and whenever the text is the same, shape (n,).

    64 bits of BLAKE2b: among a million texts, two have the same number with a chance of 3 in
    100 million.

    Args:
        examples: n cleaned rows; those of pairs are told apart from single texts.
    """
    pairs = repeat(None) if examples.text_pairs is None else map(str, examples.text_pairs)
    hashes = bytearray()
    for text, pair in zip(map(str, examples.texts), pairs, strict=False):
        # A normalised text holds no newline, so the two texts of a pair cannot be cut elsewhere.
        whole = text if pair is None else f"{text}\n{pair}"
        hashes += blake2b(whole.encode(), digest_size=8).digest()
    return np.frombuffer(bytes(hashes), dtype="<u8").astype(np.uint64)
