"""Whether rows are like those that a model was judged on, with labels or without.

Each statistic is judged twice: how far it is from the reference, and whether chance alone would do
that to so few rows. Both must be so before anything is said, since a few rows always differ, and of
many rows every difference is more than chance.

- Distributions (lengths, unknown tokens, classes, probabilities, distances of the embeddings) by the
  population stability index, PSI = sum over bins of (q - p) ln(q / p), with its usual reading: under 0.1
  no shift, over 0.25 a strong one (Siddiqi 2006, "Credit Risk Scorecards", chapter 8). It grows as rows
  get few, by about (bins - 1)(1/n + 1/m) for n and m rows (Yurdakul 2018, "Statistical Properties of
  Population Stability Index"). What chance gives is found by an exact permutation test: rows are dealt
  out anew between the two sets (Fisher 1935, "The Design of Experiments"), so that it holds for five rows
  and for empty bins. Only the excess over its mean counts.
- The mean of the embeddings, of their directions to be exact (`EmbeddingStatistics`), by the difference
  of means in standard deviations, Cohen's d, with his reading: 0.2 small, 0.5 medium (Cohen 1988, chapter
  2). The test is Dempster's for more dimensions than rows (1958, "A High Dimensional Two Sample
  Significance Test"): an F distribution with as many degrees of freedom as the dimensions are worth,
  which are matched to the variance of the squared difference (Box 1954). In few rows that has a part from
  the kurtosis of the rows.

P values are multiplied by the number of statistics (Bonferroni), so that a whole report says "some"
of unchanged rows at most once in 20 times, and "strong" at most once in 100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from surefit.evaluation.distribution import Distribution, binned
from surefit.evaluation.drift_sentences import advice, describe
from surefit.evaluation.embedding_statistics import EmbeddingStatistics, distances_and_directions
from surefit.evaluation.row_statistics import ReferenceStatistics, RowStatistics, predicted_counts
from surefit.types import FloatArray, Int64Array, LabelSchema

Level = Literal["none", "some", "strong"]
LEVELS: tuple[Level, ...] = ("none", "some", "strong")
Measure = Literal["PSI", "Cohen's d"]

# From which distance on, and with which chance of being wrong over a whole report, each level is said.
LIMITS: Mapping[Measure, Mapping[Level, float]] = {
    "PSI": {"some": 0.1, "strong": 0.25},
    "Cohen's d": {"some": 0.2, "strong": 0.5},
}
FALSE_ALARMS: Mapping[Level, float] = {"some": 0.05, "strong": 0.01}

_PERMUTATIONS = 4_999


@dataclass(frozen=True)
class Shift:
    """How one statistic of new rows stands to the reference.

    Attributes:
        statistic: lengths, unknown_tokens, confidences, predicted_classes, true_classes, embedding_mean or
            embedding_distances.
        reference: what it was, by name: a mean, or shares of classes.
        now: what it is, by the same names.
        measure: how the distance is measured.
        distance: between the two.
        by_chance: what it would be on average for so many rows of the same source.
        p_value: how often chance alone comes as far, times the number of statistics, at most 1.
        level: how much that is.
        sentence: the same in words.
    """

    statistic: str
    reference: Mapping[str, float]
    now: Mapping[str, float]
    measure: Measure
    distance: float
    by_chance: float
    p_value: float
    level: Level
    sentence: str


@dataclass(frozen=True)
class DriftReport:
    """How new rows stand to those that the model was judged on.

    Attributes:
        rows: new rows that were looked at.
        reference_rows: rows that they are compared with.
        level: the highest of the shifts'.
        sentence: what that means and what to do.
        shifts: each statistic.
    """

    rows: int
    reference_rows: int
    level: Level
    sentence: str
    shifts: tuple[Shift, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as `surefit evaluate --json` prints them."""
        return asdict(self)


class _Found(NamedTuple):
    """What a test found; excess is the distance that chance does not account for."""

    measure: Measure
    distance: float
    by_chance: float
    excess: float
    p_value: float


class _Compared(NamedTuple):
    """A statistic before and now, not judged yet."""

    statistic: str
    reference: dict[str, float]
    now: dict[str, float]
    found: _Found


def compare(reference: ReferenceStatistics, rows: RowStatistics, schema: LabelSchema) -> DriftReport:
    """Compares rows with those that a model was judged on.

    Args:
        reference: of the model.
        rows: what it makes of the new rows, at least one.
        schema: its classes.
    """
    compared = [
        _distribution("lengths", reference.lengths, rows.lengths),
        _distribution("unknown_tokens", reference.unknown_tokens, rows.unknown_shares),
        _classes(
            "predicted_classes",
            (*schema.id2label, "(abstained)"),
            reference.predicted_classes,
            predicted_counts(rows.predicted, len(schema)),
        ),
        _distribution("confidences", reference.confidences, rows.confidences),
    ]
    if rows.targets is not None:
        counts = np.bincount(rows.targets, minlength=len(schema)).astype(np.int64)
        compared.append(_classes("true_classes", schema.id2label, reference.true_classes, counts))
    if reference.embeddings is not None:
        own = reference.embeddings
        distances, directions = distances_and_directions(rows.embeddings, own.centre, own.spread)
        compared += [_embedding_mean(own, directions), _embedding_distances(own, distances)]
    shifts = tuple(_judged(item, len(compared)) for item in compared)
    level = max((shift.level for shift in shifts), key=LEVELS.index)
    moved = [shift.statistic for shift in shifts if shift.level == level]
    fewest = min(len(rows), reference.rows)
    sentence = advice(level, moved, fewest, labelled=rows.targets is not None)
    return DriftReport(len(rows), reference.rows, level, sentence, shifts)


def stability_index(reference: NDArray[Any], now: NDArray[Any]) -> FloatArray:
    """The population stability index of counts; 0 where they are distributed alike.

    To each set one row is added, spread as both sets together are, so that a bin that is empty in one of
    them gives a finite figure; a bin that is empty in both says nothing.

    Args:
        reference: counts, shape (..., bins).
        now: counts in the same bins, of the same shape.

    Returns:
        Shape (...,).
    """
    together = reference + now
    pooled = together / together.sum(axis=-1, keepdims=True)
    before = (reference + pooled) / (reference.sum(axis=-1, keepdims=True) + 1)
    after = (now + pooled) / (now.sum(axis=-1, keepdims=True) + 1)
    # Where both are 0 they count as equal.
    ratio = np.divide(after, before, out=np.ones_like(before), where=pooled > 0)
    return np.asarray(((after - before) * np.log(ratio)).sum(axis=-1), dtype=np.float64)


def _stability(reference: Sequence[int], now: Int64Array) -> _Found:
    """PSI of counts, and what it is when rows are dealt out anew."""
    before = np.asarray(reference, dtype=np.int64)
    met = (before + now) > 0
    before, now = before[met], now[met]
    index = float(stability_index(before, now))
    dealt = np.random.default_rng(0).multivariate_hypergeometric(before + now, now.sum(), _PERMUTATIONS, method="marginals")
    by_chance = stability_index(before + now - dealt, dealt)
    as_far = int(np.count_nonzero(by_chance >= index * (1 - 1e-9)))
    mean = float(by_chance.mean())
    return _Found("PSI", index, mean, max(0.0, index - mean), (as_far + 1) / (_PERMUTATIONS + 1))


def _distribution(statistic: str, reference: Distribution, values: NDArray[Any]) -> _Compared:
    found = _stability(reference.counts, binned(values, reference.edges))
    return _Compared(statistic, {"mean": reference.mean}, {"mean": float(values.mean())}, found)


def _classes(statistic: str, names: Sequence[str], reference: Sequence[int], now: Int64Array) -> _Compared:
    before = dict(zip(names, (np.asarray(reference) / max(1, sum(reference))).tolist(), strict=True))
    after = dict(zip(names, (now / now.sum()).tolist(), strict=True))
    return _Compared(statistic, before, after, _stability(reference, now))


def _embedding_distances(reference: EmbeddingStatistics, distances: FloatArray) -> _Compared:
    edges, counts = reference.distances.edges, np.asarray(reference.distances.counts)
    beyond = float(counts[np.searchsorted(edges, reference.far) + 1 :].sum() / counts.sum())
    return _Compared(
        "embedding_distances",
        {"mean": reference.distances.mean, "beyond": beyond},
        {"mean": float(distances.mean()), "beyond": float((distances > reference.far).mean())},
        _stability(reference.distances.counts, binned(distances, edges)),
    )


def _embedding_mean(reference: EmbeddingStatistics, directions: FloatArray) -> _Compared:
    """Whether the mean direction, of directions of shape (n, hidden), has moved."""
    from scipy.stats import f

    n, m = len(directions), sum(reference.distances.counts)
    squared = float(np.square(directions.mean(axis=0) - reference.direction).sum())
    # Mean and variance of a squared difference of means; fourth moments vanish as rows get many.
    expected = reference.variance * (1 / n + 1 / m)
    kurtosis = max(0.0, reference.deviation_variance - 2 * reference.squared_covariance)
    variance = 2 * reference.squared_covariance * (1 / n + 1 / m) ** 2 + kurtosis * (1 / n**3 + 1 / m**3)
    p_value = float(f.sf(squared / expected, 2 * expected**2 / variance, m - 1))
    distance, by_chance, excess = (
        math.sqrt(value / reference.variance) for value in (squared, expected, max(0.0, squared - expected))
    )
    found = _Found("Cohen's d", distance, by_chance, excess, p_value)
    return _Compared("embedding_mean", {"distance": 0.0}, {"distance": distance}, found)


def _judged(item: _Compared, statistics: int) -> Shift:
    found = item.found
    p_value = min(1.0, found.p_value * statistics)
    limits = LIMITS[found.measure]
    level: Level = "none"
    for higher in LEVELS[1:]:
        if found.excess >= limits[higher] and p_value < FALSE_ALARMS[higher]:
            level = higher
    sentence = describe(item.statistic, item.reference, item.now, level)
    return Shift(
        item.statistic, item.reference, item.now, found.measure, found.distance, found.by_chance, p_value, level, sentence
    )
