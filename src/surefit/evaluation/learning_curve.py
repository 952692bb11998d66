"""Would more labels help? The score on the test rows by the number of training rows: a quarter, half and all of them.

What a model gains from the last doubling of the rows stands for what the next might bring. Every run draws the curve of
logistic regression on frozen embeddings, which takes seconds; that of the fine-tuned model takes as many trainings, on
request. Both learn from the same subsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from surefit.evaluation.baselines import LabelledEmbeddings, embedding_logistic_regression
from surefit.evaluation.comparison import PairedComparison, compare
from surefit.evaluation.grouped_rows import Interval
from surefit.evaluation.intervals import EvaluationIntervals, confidence_intervals
from surefit.evaluation.metrics import EvaluationResult
from surefit.types import Int64Array, LabelSchema

SHARES = (0.25, 0.5, 1.0)
_SIMPLE_MODEL_ROWS = 20_000
# Of accuracy, in points: less is not worth the work of labelling as many rows again.
_WORTH_LABELLING = 1.0


@dataclass(frozen=True, eq=False)
class FittedOnShare:
    """A model that has learned from a share of the training rows, on the test rows.

    Attributes:
        rows: how many training rows that is.
        predicted: its answers, class ids of shape (n,).
        result: the figures.
        intervals: of the figures.
    """

    rows: int
    predicted: Int64Array
    result: EvaluationResult
    intervals: EvaluationIntervals


@dataclass(frozen=True)
class CurvePoint:
    """The score that so many rows give.

    Attributes:
        share: of the training rows.
        rows: how many that is.
        accuracy: on the test rows.
        accuracy_interval: its 95% interval.
        macro_f1: on the test rows.
        macro_f1_interval: its 95% interval.
    """

    share: float
    rows: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval | None


@dataclass(frozen=True)
class LearningCurve:
    """How the score grows with the rows.

    Attributes:
        points: by rising share, at least one.
        last_doubling: gain in accuracy from half of the rows to all, in points.
        interval: of that gain, with the test rows as what was drawn.
        sentence: what it means, for people.
    """

    points: tuple[CurvePoint, ...]
    last_doubling: float
    interval: Interval
    sentence: str

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("has no points")

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as they stand in `metrics.json`."""
        return asdict(self)


def nested_subsets(targets: Int64Array, groups: Int64Array, shares: Sequence[float], seed: int) -> tuple[Int64Array, ...]:
    """Draws subsets of rows, each of which holds the smaller ones.

    Whole groups are drawn, so that no text stands in a subset without its duplicates; every class has a row in each
    subset, and beyond that its share of it, as nearly as groups allow. Within each class the groups stand in random order
    and are spread evenly over [0, 1), from a random start (systematic sampling: Cochran 1977, Sampling Techniques, chapter
    8); a subset is the beginning of all groups in the order of these places.

    Args:
        targets: class ids, shape (n,), n at least 1.
        groups: rows with the same or nearly the same text share a number, shape (n,).
        shares: of the rows, each over 0 and at most 1.
        seed: decides the order.

    Returns:
        for each share the positions of its rows, rising; more rows than asked for where classes or groups need them.
    """
    generator = np.random.default_rng(seed)
    _, group_of = np.unique(groups, return_inverse=True)
    sizes, class_rows = np.bincount(group_of), np.bincount(targets)
    # As in the splits, a group of several classes stands for the rarest of them.
    rows = np.lexsort((class_rows[targets], group_of))
    strata = targets[rows[np.unique(group_of[rows], return_index=True)[1]]]
    shuffled = generator.permutation(len(sizes))
    by_class = shuffled[np.argsort(strata[shuffled], kind="stable")]
    stratum_rows = np.bincount(strata, weights=sizes, minlength=len(class_rows))
    ends = np.empty(len(sizes))
    ends[by_class] = np.cumsum(sizes[by_class])
    ends -= (np.cumsum(stratum_rows) - stratum_rows)[strata]
    places = (ends - generator.random(len(class_rows))[strata] * sizes) / stratum_rows[strata]

    by_place = np.argsort(places[group_of], kind="stable")
    of_classes = group_of[by_place[np.unique(targets[by_place], return_index=True)[1]]]
    places[of_classes] = -1.0  # before all others
    order = np.argsort(places, kind="stable")
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    counts = [max(int(np.searchsorted(middles, share * len(targets))), len(np.unique(of_classes))) for share in shares]
    rank = np.argsort(order)[group_of]
    return tuple(np.flatnonzero(rank < count) for count in counts)


def learning_curve(
    train: LabelledEmbeddings,
    validation: LabelledEmbeddings,
    test: LabelledEmbeddings,
    train_groups: Int64Array,
    test_groups: Int64Array,
    schema: LabelSchema,
    seed: int,
) -> LearningCurve:
    """Fits logistic regression on growing parts of the training rows.

    Args:
        train: rows with at least two classes among them; of more than 20,000, so many stand for all.
        validation: rows that choose the penalty.
        test: rows to be judged on.
        train_groups: of the training rows: those with the same or nearly the same text share a number, shape (n,).
        test_groups: the same of the test rows.
        schema: the classes.
        seed: decides which rows are taken first.
    """
    of_all = min(1.0, _SIMPLE_MODEL_ROWS / len(train))
    subsets = nested_subsets(train.targets, train_groups, [share * of_all for share in SHARES], seed)
    fitted = []
    for rows in subsets:
        model = embedding_logistic_regression(train.take(rows), validation, test, schema, seed)
        intervals = confidence_intervals(test.targets, model.probabilities, model.predicted, test_groups, schema)
        fitted.append(FittedOnShare(model.fitted_rows, model.predicted, model.result, intervals))
    return draw_curve(fitted, test.targets, test_groups, schema, "a simple model")


def draw_curve(
    fitted: Sequence[FittedOnShare], targets: Int64Array, groups: Int64Array, schema: LabelSchema, model: str
) -> LearningCurve:
    """The curve through a model that was fitted on each of `SHARES`.

    Args:
        fitted: one for each share, in that order.
        targets: of the test rows, class ids of shape (n,).
        groups: of the test rows, shape (n,).
        schema: the classes.
        model: what it is called in the sentence.
    """
    points = tuple(
        CurvePoint(share, of.rows, of.result.accuracy, of.intervals.accuracy, of.result.macro.f1, of.intervals.macro.f1)
        for share, of in zip(SHARES, fitted, strict=True)
    )
    gain = compare(targets, fitted[-1].predicted, fitted[-2].predicted, groups, schema, "half of the rows")
    return LearningCurve(points, gain.difference, gain.interval, _in_words(gain, model))


def _in_words(gain: PairedComparison, model: str) -> str:
    low, high = gain.interval
    measured = f"from half of the training rows to all, {model} gained {gain.difference:+.1f} points of accuracy"
    bounds = f"[{low:+.1f}, {high:+.1f}]"
    if low > 0 and gain.difference >= _WORTH_LABELLING:
        advice = "more labels would probably help"
    elif high < _WORTH_LABELLING:
        advice = "more labels of the same kind would hardly help"
    else:
        advice = "whether more labels would help cannot be told on so few test rows"
    return f"{measured} {bounds}: {advice}"


def curve_sentences(found: Mapping[str, Any]) -> tuple[str, ...]:
    """What the curves of a run say, that of the fine-tuned model first where there is one.

    Args:
        found: `learning_curve` in `metrics.json`.
    """
    own = found.get("fine_tuned")
    return (found["sentence"],) if own is None else (own["sentence"], found["sentence"])
