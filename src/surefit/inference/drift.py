"""What a model makes of rows, in the figures that drift is judged by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surefit.evaluation.row_statistics import RowStatistics
from surefit.inference.embeddings import embed
from surefit.model.classifier import SequenceClassifier
from surefit.progress import Progress
from surefit.text.packing import lengths_of
from surefit.text.tokenizer import TextTokenizer
from surefit.types import Encoding, FloatArray, Int64Array


def row_statistics(
    classifier: SequenceClassifier,
    tokenizer: TextTokenizer,
    encodings: Sequence[Encoding],
    probabilities: FloatArray,
    predicted: Int64Array,
    targets: Int64Array | None,
    progress: Progress | None = None,
) -> RowStatistics:
    """Describes rows of exactly one class each; the embeddings are those of the fine-tuned encoder.

    Args:
        classifier: the model, prepared.
        tokenizer: its own.
        encodings: one a row.
        probabilities: shape (rows, classes).
        predicted: class ids, shape (rows,), `surefit.decision.ABSTAINED_ID` where the model abstains.
        targets: the true class ids, shape (rows,), where they are known.
        progress: told how many rows are embedded.
    """
    cut = np.array([encoding.truncated_tokens for encoding in encodings], dtype=np.int64)
    unknown = tokenizer.unk_token_id
    shares = [0.0 if unknown is None else float((encoding.input_ids == unknown).mean()) for encoding in encodings]
    return RowStatistics(
        lengths=lengths_of(encodings) + cut,
        unknown_shares=np.array(shares, dtype=np.float64),
        confidences=probabilities.max(axis=1),
        predicted=predicted,
        targets=targets,
        embeddings=embed(classifier, encodings, progress),
    )
