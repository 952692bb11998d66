"""Would more labels help? The score of a simple model on a quarter, half and all of the training rows.

The model is logistic regression on frozen embeddings, which takes seconds where fine-tuning takes minutes. What it
gains from the last doubling of the rows stands for what the next might bring; a fine-tuned model may need more rows
than it, or fewer. Smaller sets stand within larger ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from surefit.evaluation.baselines import LabelledEmbeddings, embedding_logistic_regression
from surefit.evaluation.comparison import PairedComparison, compare
from surefit.types import Int64Array, LabelSchema

_SHARES = (0.25, 0.5, 1.0)
_ALL_ROWS = 20_000
# Of accuracy, in points: less is not worth the work of labelling as many rows again.
_WORTH_LABELLING = 1.0


@dataclass(frozen=True)
class CurvePoint:
    """The score that so many rows give.

    Attributes:
        share: of the training rows.
        rows: how many that is.
        accuracy: on the test rows.
        macro_f1: likewise.
    """

    share: float
    rows: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class LearningCurve:
    """How the score grows with the rows.

    Attributes:
        points: by rising share.
        last_doubling: gain in accuracy from half of the rows to all, in points.
        interval: of that gain.
        sentence: what it means, for people.
    """

    points: tuple[CurvePoint, ...]
    last_doubling: float
    interval: tuple[float, float]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as they stand in `metrics.json`."""
        return asdict(self)


def learning_curve(
    train: LabelledEmbeddings,
    validation: LabelledEmbeddings,
    test: LabelledEmbeddings,
    groups: Int64Array,
    schema: LabelSchema,
    seed: int,
) -> LearningCurve:
    """Fits on growing parts of the training rows.

    Args:
        train: rows with at least two classes among them; of more than 20,000, so many stand for all.
        validation: rows that choose the penalty.
        test: rows to be judged on.
        groups: of the test rows: those with the same or nearly the same text share a number, shape (n,).
        schema: the classes.
        seed: decides which rows are taken first.
    """
    order = np.random.default_rng(seed).permutation(len(train))[:_ALL_ROWS]
    fitted = [
        embedding_logistic_regression(train.take(order[: _rows_of(share, order, train)]), validation, test, schema, seed)
        for share in _SHARES
    ]
    points = tuple(
        CurvePoint(share, of.fitted_rows, of.result.accuracy, of.result.macro.f1)
        for share, of in zip(_SHARES, fitted, strict=True)
    )
    gain = compare(test.targets, fitted[-1].predicted, fitted[-2].predicted, groups, schema, "half of the rows")
    return LearningCurve(points, gain.difference, gain.interval, _in_words(gain))


def _rows_of(share: float, order: Int64Array, train: LabelledEmbeddings) -> int:
    """So many of the rows in order that at least two classes are among them."""
    classes = train.targets[order]
    second = int(np.argmax(classes != classes[0]))
    return max(round(share * len(order)), second + 1)


def _in_words(gain: PairedComparison) -> str:
    low, high = gain.interval
    measured = f"from half of the training rows to all, a simple model gained {gain.difference:+.1f} points of accuracy"
    bounds = f"[{low:+.1f}, {high:+.1f}]"
    if low > 0 and gain.difference >= _WORTH_LABELLING:
        advice = "more labels would probably help"
    elif high < _WORTH_LABELLING:
        advice = "more labels of the same kind would hardly help"
    else:
        advice = "whether more labels would help cannot be told on so few test rows"
    return f"{measured} {bounds}: {advice}"
