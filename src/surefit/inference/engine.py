"""Encodings to logits, with whichever classifier and hardware."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from surefit.model.classifier import SequenceClassifier
from surefit.model.hardware import Hardware
from surefit.progress import Progress
from surefit.text.packing import length_sorted_batches, lengths_of, pack
from surefit.types import Encoding

MAX_BATCH_TOKENS = 8192


def predict_logits(
    classifier: SequenceClassifier,
    encodings: Sequence[Encoding],
    hardware: Hardware,
    progress: Progress | None = None,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> NDArray[np.float32]:
    """Runs the classifier over all rows, in batches of similar length.

    Args:
        classifier: the model; it is put into evaluation mode.
        encodings: one a row.
        hardware: where and in which precision.
        progress: told how many rows are done.
        max_batch_tokens: most tokens of a batch; it changes speed and memory only.

    Returns:
        logits in the order of the encodings, shape (rows, classes).
    """
    classifier.eval()
    logits = np.zeros((len(encodings), len(classifier.schema)), dtype=np.float32)
    with torch.inference_mode(), hardware.autocast():
        for rows in length_sorted_batches(lengths_of(encodings), max_batch_tokens):
            logits[rows] = classifier(pack(encodings, rows)).float().cpu().numpy()
            if progress is not None:
                progress.advance(len(rows))
    return logits
