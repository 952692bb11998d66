"""What a verdict is given on: figures, circumstances, and reasons with how far each lets a classifier go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from surefit.evaluation.comparison import PairedComparison
from surefit.evaluation.grouped_rows import Interval
from surefit.evaluation.intervals import EvaluationIntervals
from surefit.evaluation.metrics import EvaluationResult
from surefit.evaluation.requests import DecisionRequest

Grade = Literal["good", "usable with care", "not reliable"]
GOOD: Grade = "good"
WITH_CARE: Grade = "usable with care"
NOT_RELIABLE: Grade = "not reliable"
GRADES = (GOOD, WITH_CARE, NOT_RELIABLE)

_LISTED = 5
# Digits at most, where a figure is next to a limit.
_MOST_DIGITS = 6


@dataclass(frozen=True)
class Judgement:
    """What is known of a classifier on rows that it has not learned from.

    Attributes:
        result: its figures on the test rows that it answers and that do not leak.
        intervals: of these figures.
        comparisons: with each baseline, by its name, on the test rows that do not leak.
        supports: test rows of each class that do not leak, those included that are not answered.
    """

    result: EvaluationResult
    intervals: EvaluationIntervals
    comparisons: Mapping[str, PairedComparison]
    supports: Mapping[str, int]


@dataclass(frozen=True)
class Circumstances:
    """What else decides how far the figures can be believed.

    Attributes:
        test_rows: all of them.
        answered: those that the model does not abstain from.
        leaked: those that repeat what was learned from, None where that is not known.
        training_accuracy: share of (some of) the training rows decided right.
        validation_accuracy: share of the validation rows decided right.
        gap_interval: the 95% interval of the difference of these two.
        request: what was asked of the decision rule.
        unreached: why the decision rule does not reach what was asked for on the validation rows, else empty.
        seed_accuracies: accuracy on the test rows with each seed; empty where no other one was tried.
    """

    test_rows: int
    answered: int
    leaked: int | None
    training_accuracy: float
    validation_accuracy: float
    gap_interval: Interval
    request: DecisionRequest
    unreached: str = ""
    seed_accuracies: Sequence[float] = ()


@dataclass(frozen=True)
class Reason:
    """How far one check lets a classifier go, and why."""

    grade: Grade
    sentence: str


def counted(result: EvaluationResult, circumstances: Circumstances) -> str:
    """What the rows of a judgement are called: some of the test rows may not count."""
    return "test rows" if result.n == circumstances.test_rows else "test rows that count here"


def estimate(value: float, interval: Interval | None, limit: float) -> str:
    """A figure with its interval, where it has one."""
    between = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return f"{figure(value, limit)}{between}"


def figure(value: float, limit: float, digits: int = 2) -> str:
    """A figure with so many digits, or as many more as show on which side of a limit it is."""
    while digits < _MOST_DIGITS and (round(value, digits) < limit) != (value < limit):
        digits += 1
    return f"{value:.{digits}f}"


def classes_in_words(count: int) -> str:
    """One class, 3 classes."""
    return "one class" if count == 1 else f"{count} classes"


def listed(shown: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more
