"""What is kept of the rows that a model was judged on, so that later rows can be compared with them.

They are of the test rows. The figures of a run hold for rows like these, so that drift away from
them is drift away from what the figures are about. Of training rows, shares of predicted classes,
probabilities and embeddings would not do: the model has learned these rows, is surer of them and
sets their classes further apart than those of any new rows, which would look like drift.

Values are counted in bins, and embeddings measured from a centre, that themselves come from rows. Rows
lie evenly in their own bins and near their own centre, as new rows never do. So half of the rows, drawn
at random, sets the scale and the other half is measured on it, as in split conformal prediction
(Papadopoulos et al. 2002): to the scale that half is as new as later rows, and the comparison is exact.

No text and no vector of a row is kept, only counts, means and spreads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.decision import ABSTAINED_ID
from surefit.evaluation.distribution import Distribution, count_in, counts_in, object_in, quantile_edges
from surefit.evaluation.embedding_statistics import EmbeddingStatistics
from surefit.types import FloatArray, Int64Array

# So many rows show each shift that matters; embedding more would take time and show no more.
MOST_ROWS = 2_000
# Most texts have no unknown token, so that quantiles would tell nothing of the others.
_UNKNOWN_EDGES = (0.0, 0.05, 0.2)


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """What a model makes of n rows of single texts or pairs, each of one class.

    Attributes:
        lengths: tokens of each row, those included that the model does not read, shape (n,).
        unknown_shares: share of the row's tokens that stand for what the vocabulary cannot spell, shape (n,).
        confidences: the largest probability of each row, shape (n,).
        predicted: class ids, shape (n,), `ABSTAINED_ID` where the model abstains.
        targets: the true class ids, shape (n,); None where they are not known.
        embeddings: shape (n, hidden).
    """

    lengths: Int64Array
    unknown_shares: FloatArray
    confidences: FloatArray
    predicted: Int64Array
    targets: Int64Array | None
    embeddings: NDArray[np.float32]

    def __post_init__(self) -> None:
        columns = (self.unknown_shares, self.confidences, self.predicted, self.targets, self.embeddings)
        if any(column is not None and len(column) != len(self) for column in columns) or self.embeddings.ndim != 2:
            raise ValueError("row statistics need one entry a row, and a vector for each")
        if not len(self):
            raise ValueError("row statistics need at least one row")

    def __len__(self) -> int:
        return len(self.lengths)


def sampled_rows(rows: int) -> Int64Array:
    """Positions of the rows that stand for all of a file, at most `MOST_ROWS`, rising; the same at every call.

    They are drawn at random, since evenly spaced rows of a file whose classes alternate would be of one class.

    Args:
        rows: how many there are.
    """
    if rows <= MOST_ROWS:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False)).astype(np.int64)


@dataclass(frozen=True)
class ReferenceStatistics:
    """The rows that a model was judged on, in some hundred numbers.

    Attributes:
        rows: how many there were.
        lengths: of their tokens.
        unknown_tokens: of the shares of unknown tokens.
        confidences: of the largest probabilities.
        predicted_classes: rows of each predicted class in the order of their ids, then those abstained from.
        true_classes: rows of each true class.
        embeddings: None where there were too few rows.
    """

    rows: int
    lengths: Distribution
    unknown_tokens: Distribution
    confidences: Distribution
    predicted_classes: tuple[int, ...]
    true_classes: tuple[int, ...]
    embeddings: EmbeddingStatistics | None

    def __post_init__(self) -> None:
        if len(self.predicted_classes) != len(self.true_classes) + 1:
            raise ValueError("reference statistics need a count for each class, and one for rows abstained from")

    @classmethod
    def of(cls, rows: RowStatistics, classes: int) -> ReferenceStatistics:
        """The statistics of labelled rows.

        Args:
            rows: their targets are known.
            classes: how many there are.
        """
        if rows.targets is None:
            raise ValueError("reference statistics are of labelled rows")
        order = np.random.default_rng(0).permutation(len(rows))
        scale, measured = np.split(order, [len(rows) // 2])
        if not len(scale):
            scale = measured
        # A probability moves a little from machine to machine; edges that are nearer than that would show it as drift.
        sureness = [float(edge) for edge in np.unique(np.round(quantile_edges(rows.confidences[scale]), 2))]
        return cls(
            len(rows),
            Distribution.of(rows.lengths[measured], quantile_edges(rows.lengths[scale])),
            Distribution.of(rows.unknown_shares, _UNKNOWN_EDGES),
            Distribution.of(rows.confidences[measured], sureness),
            tuple(predicted_counts(rows.predicted, classes).tolist()),
            tuple(np.bincount(rows.targets, minlength=classes).tolist()),
            EmbeddingStatistics.of(rows.embeddings[scale], rows.embeddings[measured]),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry `reference` of `surefit.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Any) -> ReferenceStatistics:
        """Reads the entry again, strictly.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it is damaged; OverflowError by a number of
                hundreds of digits.
        """
        read = object_in(entry)
        return cls(
            count_in(read["rows"]),
            Distribution.from_json(read["lengths"]),
            Distribution.from_json(read["unknown_tokens"]),
            Distribution.from_json(read["confidences"]),
            counts_in(read["predicted_classes"]),
            counts_in(read["true_classes"]),
            None if read["embeddings"] is None else EmbeddingStatistics.from_json(read["embeddings"]),
        )


def predicted_counts(predicted: Int64Array, classes: int) -> Int64Array:
    """Rows of each predicted class, then those that the model abstained from, shape (classes + 1,).

    Args:
        predicted: class ids or `ABSTAINED_ID`, shape (n,).
        classes: how many there are.
    """
    return np.bincount(np.where(predicted == ABSTAINED_ID, classes, predicted), minlength=classes + 1).astype(np.int64)
