"""Encodings to packed batches: which rows a batch holds, in which order, cut how.

The order of the training rows is a pure function of (seed, epoch), so that a resumed run needs no
generator state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surefit.types import Encoding, Int64Array, PackedBatch


def epoch_order(rows: int, seed: int, epoch: int) -> Int64Array:
    """A random order of the row positions, shape (rows,), decided by seed and epoch alone."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return generator.permutation(rows).astype(np.int64)


def step_rows(order: Int64Array, batch_size: int) -> list[Int64Array]:
    """Cuts an order into the rows of each optimizer step; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def cut_by_tokens(rows: Int64Array, lengths: Int64Array, max_tokens: int) -> list[Int64Array]:
    """Cuts rows, in their order, into runs of at most `max_tokens` tokens (one row at least).

    Args:
        rows: row positions, shape (m,).
        lengths: tokens of every row, indexed by row position, shape (n,).
        max_tokens: budget of a run, counted as most encoders compute it: rows times the longest.
    """
    runs: list[Int64Array] = []
    start, longest = 0, 0
    for end, length in enumerate(lengths[rows].tolist()):
        longest = max(longest, length)
        if end > start and longest * (end - start + 1) > max_tokens:
            runs.append(rows[start:end])
            start, longest = end, length
    if start < len(rows):
        runs.append(rows[start:])
    return runs


def length_sorted_batches(lengths: Int64Array, max_tokens: int) -> list[Int64Array]:
    """Batches of rows of similar length for inference, longest first, each within the budget.

    The longest come first so that a batch which does not fit in memory fails at once.
    """
    return cut_by_tokens(np.argsort(-lengths, kind="stable"), lengths, max_tokens)


def pack(encodings: Sequence[Encoding], rows: Int64Array) -> PackedBatch:
    """Lays the given rows of `encodings` end to end."""
    return PackedBatch.from_encodings([encodings[row] for row in rows.tolist()], rows)


def lengths_of(encodings: Sequence[Encoding]) -> Int64Array:
    """Tokens of each encoding, shape (n,)."""
    return np.fromiter((len(encoding) for encoding in encodings), dtype=np.int64, count=len(encodings))
