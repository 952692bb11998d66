"""Encodings to logits, with whichever classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from surefit.model.classifier import SequenceClassifier
from surefit.progress import Progress
from surefit.text.packing import length_sorted_batches, lengths_of, pack
from surefit.types import Encoding

MAX_BATCH_TOKENS = 8192


def predict_logits(
    classifier: SequenceClassifier,
    encodings: Sequence[Encoding],
    progress: Progress | None = None,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> NDArray[np.float32]:
    """Runs the classifier over all rows, in batches of similar length.

    Args:
        classifier: the model, prepared.
        encodings: one a row.
        progress: told how many rows are done.
        max_batch_tokens: most tokens of a batch; it changes speed and memory only.

    Returns:
        logits in the order of the encodings, shape (rows, classes).
    """
    logits = np.zeros((len(encodings), len(classifier.schema)), dtype=np.float32)
    with torch.no_grad():
        for rows in length_sorted_batches(lengths_of(encodings), max_batch_tokens):
            logits[rows] = classifier(pack(encodings, rows)).float().cpu().numpy()
            if progress is not None:
                progress.advance(len(rows))
    return logits
