"""What chance alone does to a model: the same training with other seeds, judged on the same test rows.

A seed decides a new head's weights, the order of the rows and dropout. How far results lie apart that differ in
nothing else is what any other difference has to be held against (Dodge et al. 2020, "Fine-Tuning Pretrained Language
Models: Weight Initializations, Data Orders, and Early Stopping", arXiv 2002.06305).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from surefit.evaluation.metrics import EvaluationResult
from surefit.types import Int64Array


@dataclass(frozen=True)
class SeedFigures:
    """How the model of one seed did on the test rows; `loss` is the log loss, in nats a row."""

    seed: int
    accuracy: float
    macro_f1: float
    loss: float


@dataclass(frozen=True)
class Spread:
    """How one figure goes from seed to seed.

    Attributes:
        mean: over the seeds.
        standard_deviation: of the seeds, with n - 1 below.
        smallest: of any seed.
        largest: of any seed.
    """

    mean: float
    standard_deviation: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of two values at least."""
        return cls(mean(values), stdev(values), min(values), max(values))


@dataclass(frozen=True)
class SeedSpread:
    """How far the figures of a model hang on the seed.

    Attributes:
        seeds: those of each seed, the run's own first.
        accuracy: over the seeds.
        macro_f1: over the seeds.
        loss: over the seeds.
        recall: of each class; None for a class without test rows.
        disagreement: share of the test rows to which not all seeds give the same answer.
        sentence: what it means, for people.
    """

    seeds: tuple[SeedFigures, ...]
    accuracy: Spread
    macro_f1: Spread
    loss: Spread
    recall: dict[str, Spread | None]
    disagreement: float
    sentence: str

    def __post_init__(self) -> None:
        if len(self.seeds) < 2:
            raise ValueError("has fewer than two seeds")

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as they stand in `metrics.json`."""
        return asdict(self)


def spread_over_seeds(
    results: Mapping[int, EvaluationResult], predicted: Sequence[Int64Array], diverged: int = 0
) -> SeedSpread:
    """Compares models that differ in the seed alone.

    Args:
        results: the figures of each seed on the same test rows, by the seed; two at least, the run's own first.
        predicted: the answers of each seed, class ids of shape (n,), in the same order.
        diverged: with how many more seeds training diverged, so that there are no figures.
    """
    seeds = tuple(SeedFigures(seed, of.accuracy, of.macro.f1, of.loss) for seed, of in results.items())
    per_class = [of.per_class for of in results.values()]
    recall = {
        name: Spread.of([of[name].recall for of in per_class]) if figures.support else None
        for name, figures in per_class[0].items()
    }
    disagreement = float((np.stack(predicted) != predicted[0]).any(axis=0).mean())
    accuracy = Spread.of([of.accuracy for of in seeds])
    return SeedSpread(
        seeds=seeds,
        accuracy=accuracy,
        macro_f1=Spread.of([of.macro_f1 for of in seeds]),
        loss=Spread.of([of.loss for of in seeds]),
        recall=recall,
        disagreement=disagreement,
        sentence=_in_words(accuracy, disagreement, len(seeds))
        + (f"; with {diverged} more training diverged" if diverged else ""),
    )


def _in_words(accuracy: Spread, disagreement: float, count: int) -> str:
    moved = 100 * (accuracy.largest - accuracy.smallest)
    if moved:
        found = f"from {accuracy.smallest:.1%} to {accuracy.largest:.1%} with {count} seeds"
        said = f"another seed alone moves accuracy by {moved:.1f} points ({found}): differences smaller than that say nothing"
    else:
        said = f"accuracy is the same with each of {count} seeds, {accuracy.mean:.1%}"
    agreed = (
        "all seeds agree on every test row"
        if not disagreement
        else f"the seeds disagree on {disagreement:.1%} of the test rows"
    )
    return f"{said}; {agreed}"
