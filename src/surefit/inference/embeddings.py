"""Rows to vectors: what the encoder makes of a text, for simple models on top of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from surefit.inference.engine import compute_in_batches
from surefit.model.classifier import SequenceClassifier
from surefit.model.transfer import on_device
from surefit.progress import Progress
from surefit.types import Encoding, PackedBatch


def embed(
    classifier: SequenceClassifier, encodings: Sequence[Encoding], progress: Progress | None = None
) -> NDArray[np.float32]:
    """The mean of the encoder's last hidden states over each row's tokens, special tokens included.

    This is the pooling of Sentence-BERT (Reimers and Gurevych 2019, EMNLP, section 3). Before fine-tuning the
    vectors are frozen embeddings: no label has had a part in them. They are computed in the precision that the
    classifier is prepared for, by the same paths as its predictions, of the tokens that these read.

    Args:
        classifier: the model, prepared; its head is not used.
        encodings: one a row.
        progress: told how many rows are done.

    Returns:
        embeddings in the order of the encodings, shape (rows, hidden).
    """

    def means(batch: PackedBatch) -> Tensor:
        states = classifier.all_tokens(batch)
        first_tokens = on_device(batch.cu_seqlens[:-1].astype(np.int64), states.device)
        # Each row is a bag of its tokens; this is the one operation of torch that takes means by offsets on every device.
        tokens = torch.arange(batch.tokens, device=states.device)
        return functional.embedding_bag(tokens, states, first_tokens, mode="mean")

    embeddings = np.zeros((len(encodings), classifier.hidden_size), dtype=np.float32)
    for rows, values in compute_in_batches(classifier, means, encodings, progress):
        embeddings[rows] = values
    return embeddings
