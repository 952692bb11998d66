"""Encodings to packed batches: which rows a batch holds, in which order, cut how.

The order of the training rows is a pure function of (seed, epoch), so that a resumed run needs no
generator state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surefit.types import Encoding, Int32Array, Int64Array, PackedBatch

# Rows whose attention is computed together. In training a step's rows are cut between groups only.
ROWS_PER_GROUP = 4

_MOST_ROWS_PER_GROUP = 16
_GROUP_TOKENS = 1024


def epoch_order(rows: int, seed: int, epoch: int) -> Int64Array:
    """A random order of the row positions, shape (rows,), decided by seed and epoch alone."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return generator.permutation(rows).astype(np.int64)


def step_rows(order: Int64Array, lengths: Int64Array, batch_size: int) -> list[Int64Array]:
    """Cuts an order into the rows of each optimizer step, longest first; the last step may be smaller.

    Which rows a step learns from is left to the order. Their order within the step decides no more
    than which values dropout meets: attention is computed in groups of similar length, for speed.

    Args:
        order: row positions, shape (n,).
        lengths: tokens of every row, indexed by row position, shape (n,).
        batch_size: rows of a step.
    """
    steps = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    return [step[np.argsort(-lengths[step], kind="stable")] for step in steps]


@dataclass(frozen=True)
class RowGroup:
    """Neighbouring rows whose attention is computed together.

    Attributes:
        first: the first row.
        rows: how many rows.
        width: tokens of the longest, rounded up.
    """

    first: int
    rows: int
    width: int


def row_groups(lengths: Int32Array | Int64Array) -> list[RowGroup]:
    """Groups the rows of a batch for training, four by four in their order.

    Args:
        lengths: tokens of each row, shape (rows,).
    """
    return [_group(lengths, first, ROWS_PER_GROUP) for first in range(0, len(lengths), ROWS_PER_GROUP)]


def large_row_groups(lengths: Int32Array | Int64Array) -> list[RowGroup]:
    """Groups the rows of a batch for inference: the more of them together, the shorter they are.

    Args:
        lengths: tokens of each row, longest first, shape (rows,).
    """
    groups: list[RowGroup] = []
    first = 0
    while first < len(lengths):
        most = max(1, min(_MOST_ROWS_PER_GROUP, _GROUP_TOKENS // int(lengths[first])))
        # A power of two, so that few shapes occur.
        groups.append(_group(lengths, first, 1 << (min(most, len(lengths) - first).bit_length() - 1)))
        first += groups[-1].rows
    return groups


def _group(lengths: Int32Array | Int64Array, first: int, rows: int) -> RowGroup:
    """A group; its width is a multiple of eight, since the library for matrix products generates code for each shape."""
    own = lengths[first : first + rows]
    return RowGroup(first, len(own), -(-int(own.max()) // 8) * 8)


def cut_by_tokens(rows: Int64Array, lengths: Int64Array, max_tokens: int, together: int = 1) -> list[Int64Array]:
    """Cuts rows, in their order, into runs of at most `max_tokens` tokens.

    Args:
        rows: row positions, shape (m,).
        lengths: tokens of every row, indexed by row position, shape (n,).
        max_tokens: budget of a run, counted as most encoders compute it: rows times the longest.
        together: so many neighbouring rows are never cut apart, even where they exceed the budget.
    """
    runs: list[Int64Array] = []
    start, longest = 0, 0
    for first in range(0, len(rows), together):
        end = min(first + together, len(rows))
        own = int(lengths[rows[first:end]].max())
        longest = max(longest, own)
        if first > start and longest * (end - start) > max_tokens:
            runs.append(rows[start:first])
            start, longest = first, own
    if start < len(rows):
        runs.append(rows[start:])
    return runs


def length_sorted_batches(lengths: Int64Array, max_tokens: int) -> list[Int64Array]:
    """Batches of rows of similar length for inference, longest first, each within the budget.

    The longest come first so that a batch which does not fit in memory fails at once.
    """
    if len(lengths) == 1:  # one text is to be answered at once
        return [np.zeros(1, np.int64)]
    return cut_by_tokens(np.argsort(-lengths, kind="stable"), lengths, max_tokens)


def pack(encodings: Sequence[Encoding], rows: Int64Array) -> PackedBatch:
    """Lays the given rows of `encodings` end to end."""
    return PackedBatch.from_encodings([encodings[row] for row in rows.tolist()], rows)


def lengths_of(encodings: Sequence[Encoding]) -> Int64Array:
    """Tokens of each encoding, shape (n,)."""
    return np.fromiter((len(encoding) for encoding in encodings), dtype=np.int64, count=len(encodings))
