"""Rows as a model sees them, drawn at random, for tests of drift."""

from __future__ import annotations

import numpy as np

from surefit.evaluation.row_statistics import RowStatistics
from surefit.types import SINGLE_LABEL, LabelSchema

TWO = LabelSchema(SINGLE_LABEL, ("ham", "spam"))
HIDDEN = 32


def rows_of(n, seed, *, share=0.3, longer=1.0, unknown=0.01, moved=0.0, spread=1.0, labelled=True):
    """Rows of two classes whose embeddings stand apart, in dimensions of unlike size that hang together."""
    rng = np.random.default_rng(seed)
    targets = (rng.random(n) < share).astype(np.int64)
    sizes = np.geomspace(0.05, 20, HIDDEN)
    mixing = np.random.default_rng(0).standard_normal((HIDDEN, HIDDEN)) / np.sqrt(HIDDEN) + np.eye(HIDDEN)
    points = (rng.standard_normal((n, HIDDEN)) * spread) @ mixing + 3 * targets[:, None] + moved
    return RowStatistics(
        lengths=np.maximum(3, rng.lognormal(3, 0.5, n) * longer).astype(np.int64),
        unknown_shares=np.where(rng.random(n) < unknown, rng.random(n), 0.0),
        confidences=np.maximum(rng.beta(8, 1, n), 0.5),
        predicted=np.where(rng.random(n) < 0.05, 1 - targets, targets),
        targets=targets if labelled else None,
        embeddings=(points * sizes).astype(np.float32),
    )
