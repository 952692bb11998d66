"""The verdict on a classifier: good, usable with care, or not reliable, with the reasons in sentences.

From which figures something counts is in one table, `surefit.config.VerdictSettings`. Each check below says
nothing, or how far it lets a classifier go and why. The grade is the worst that any check allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from surefit.config import VerdictSettings
from surefit.evaluation.baselines import MAJORITY_CLASS
from surefit.evaluation.comparison import PairedComparison
from surefit.evaluation.grouped_rows import Interval
from surefit.evaluation.intervals import EvaluationIntervals
from surefit.evaluation.metrics import EvaluationResult

Grade = Literal["good", "usable with care", "not reliable"]
GOOD: Grade = "good"
WITH_CARE: Grade = "usable with care"
NOT_RELIABLE: Grade = "not reliable"
GRADES = (GOOD, WITH_CARE, NOT_RELIABLE)

_LISTED = 5
# Where more of the test rows than this leak, what is left of them says little of the rest.
_MOSTLY_LEAKED = 0.5
_USELESS = 0.5


@dataclass(frozen=True)
class Judgement:
    """What is known of a classifier on rows that it has not learned from.

    Attributes:
        result: its figures on the test rows that it answers and that do not leak.
        intervals: of these figures.
        comparisons: with each baseline, by its name, on all test rows.
    """

    result: EvaluationResult
    intervals: EvaluationIntervals
    comparisons: Mapping[str, PairedComparison]


@dataclass(frozen=True)
class Circumstances:
    """What else decides how far the figures can be believed.

    Attributes:
        test_rows: all of them.
        answered: those that the model does not abstain from.
        leaked: those that repeat what was learned from, None where that is not known.
        training_accuracy: share of (some of) the training rows decided right.
        validation_accuracy: share of the validation rows decided right.
        unreached: why the decision rule does not reach what was asked for, else empty.
        seed_accuracies: accuracy on the test rows with each seed; empty where no other one was tried.
    """

    test_rows: int
    answered: int
    leaked: int | None
    training_accuracy: float
    validation_accuracy: float
    unreached: str = ""
    seed_accuracies: Sequence[float] = ()


@dataclass(frozen=True)
class Reason:
    """How far one check lets a classifier go, and why."""

    grade: Grade
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What can be signed.

    Attributes:
        grade: the worst that any reason allows.
        reasons: sentences, those that weigh most first; for a good classifier what makes it so.
    """

    grade: Grade
    reasons: tuple[str, ...]


def give_verdict(judgement: Judgement, circumstances: Circumstances, standards: VerdictSettings) -> Verdict:
    """Judges a classifier by its test rows.

    Args:
        judgement: its figures.
        circumstances: what they are worth.
        standards: from which figures something counts.
    """
    reasons = [
        *_accuracy(judgement, standards),
        *_classes(judgement, standards),
        *_baselines(judgement, standards),
        *_rows(judgement.result, standards),
        *_answered(circumstances),
        *_leaks(circumstances, standards),
        *_overfitting(circumstances, standards),
        *_seeds(circumstances.seed_accuracies, standards),
    ]
    if circumstances.unreached:
        reasons.append(Reason(WITH_CARE, circumstances.unreached))
    reasons.sort(key=lambda reason: -GRADES.index(reason.grade))
    grade = reasons[0].grade
    return Verdict(grade, tuple(reason.sentence for reason in reasons))


def _accuracy(judgement: Judgement, standards: VerdictSettings) -> Iterator[Reason]:
    accuracy, interval = judgement.result.accuracy, judgement.intervals.accuracy
    said = f"Accuracy is {accuracy:.3f}, {_between(interval)}"
    if interval[0] >= standards.good_accuracy:
        yield Reason(GOOD, f"{said}: at least {standards.good_accuracy:g}.")
    elif accuracy >= standards.good_accuracy:
        yield Reason(WITH_CARE, f"{said}: it may be under {standards.good_accuracy:g}; more test rows would tell.")
    else:
        yield Reason(WITH_CARE, f"{said}: under {standards.good_accuracy:g}.")
    if judgement.result.macro.f1 < _USELESS:
        yield Reason(NOT_RELIABLE, f"Averaged over the classes, F1 is {judgement.result.macro.f1:.2f}, under {_USELESS:g}.")


def _classes(judgement: Judgement, standards: VerdictSettings) -> Iterator[Reason]:
    """Every class that has test rows enough, and those that have too few."""
    result, intervals = judgement.result, judgement.intervals
    judged = [name for name, of in result.per_class.items() if of.support >= standards.rows_per_class]
    few = [name for name, of in result.per_class.items() if of.support < standards.rows_per_class]
    many = len(result.per_class) > standards.many_classes
    may_miss = len(judged) // 20 if many else 0
    hidden = [name for name in result.per_class if _hidden(judgement, name, standards)]
    if hidden:
        recalls = [
            f"{name!r} {result.per_class[name].recall:.2f} {_between(intervals.per_class[name].recall)}" for name in hidden
        ]
        weight = NOT_RELIABLE if len(hidden) > may_miss else WITH_CARE
        behind = f", behind an accuracy of {result.accuracy:.3f}" if result.accuracy >= standards.good_accuracy else ""
        sentence = f"Of {_classes_in_words(len(hidden))} less than {standards.hidden_recall:.0%} is found{behind}"
        yield Reason(weight, f"{sentence}: {_listed(recalls)}.")
    missing = [name for name in judged if _short(judgement, name, standards)]
    if missing:
        shown = _listed([_short(judgement, name, standards) for name in missing])
        allowed = f", as one class in twenty may ({may_miss} of {len(judged)})" if may_miss else ""
        sentence = f"{len(missing)} of {len(judged)} classes miss a precision of {standards.good_precision:g} or a recall of "
        sentence += f"{standards.good_recall:g}{allowed if len(missing) <= may_miss else ''}: {shown}."
        yield Reason(GOOD if len(missing) <= may_miss else WITH_CARE, sentence)
    elif judged:
        sentence = (
            f"Every class with {standards.rows_per_class} test rows or more has a precision of {standards.good_precision:g} "
        )
        yield Reason(GOOD, f"{sentence}and a recall of {standards.good_recall:g} at least ({len(judged)} classes).")
    if few:
        shown = _listed([f"{name!r} {result.per_class[name].support}" for name in few])
        sentence = f"There are under {standards.rows_per_class} test rows, too few to tell, of {_classes_in_words(len(few))}"
        yield Reason(WITH_CARE if len(few) > may_miss or not judged else GOOD, f"{sentence}: {shown}.")


def _hidden(judgement: Judgement, name: str, standards: VerdictSettings) -> bool:
    """Whether less of a class is found than is bearable: surely so, or on rows enough."""
    of, interval = judgement.result.per_class[name], judgement.intervals.per_class[name].recall
    if interval is None or of.recall >= standards.hidden_recall:
        return False
    return of.support >= standards.rows_per_class or interval[1] < standards.hidden_recall


def _short(judgement: Judgement, name: str, standards: VerdictSettings) -> str:
    """What a class lacks to be good, in words; empty where nothing."""
    of, interval = judgement.result.per_class[name], judgement.intervals.per_class[name]
    lacking = []
    if of.precision < standards.good_precision:
        lacking.append(f"precision {of.precision:.2f} {_between(interval.precision)}")
    if of.recall < standards.good_recall:
        lacking.append(f"recall {of.recall:.2f} {_between(interval.recall)}")
    return f"{name!r} {' and '.join(lacking)}" if lacking else ""


def _baselines(judgement: Judgement, standards: VerdictSettings) -> Iterator[Reason]:
    for name, comparison in judgement.comparisons.items():
        against_majority = name == MAJORITY_CLASS
        if against_majority and comparison.interval[0] / 100 < standards.over_majority:
            near = f"not surely {100 * standards.over_majority:g} points over that"
            sentence = f"Always answering the largest class would be right nearly as often: accuracy is {near}"
            yield Reason(NOT_RELIABLE, f"{sentence} (difference {_points(comparison)}).")
        elif not against_majority and comparison.interval[0] <= 0:
            worse = comparison.interval[1] < 0
            sentence = f"It is {'worse' if worse else 'not surely better'} than {name} (accuracy {_points(comparison)})"
            yield Reason(WITH_CARE, f"{sentence}: {'take the simpler model' if worse else 'a simpler model may do'}.")


def _points(comparison: PairedComparison) -> str:
    low, high = comparison.interval
    return f"{comparison.difference:+.1f} points, between {low:+.1f} and {high:+.1f}"


def _rows(result: EvaluationResult, standards: VerdictSettings) -> Iterator[Reason]:
    if result.n < standards.test_rows:
        yield Reason(WITH_CARE, f"{result.n:,} test rows are too few to tell; {standards.test_rows:,} are the least.")


def _answered(circumstances: Circumstances) -> Iterator[Reason]:
    answered, rows = circumstances.answered, circumstances.test_rows
    if answered == rows:
        return
    sentence = f"It answers {answered:,} of {rows:,} test rows ({answered / rows:.1%}) and abstains from the others"
    if not answered:
        yield Reason(NOT_RELIABLE, f"{sentence}.")
    else:
        yield Reason(GOOD if answered > rows / 2 else WITH_CARE, f"{sentence}, which count neither for nor against it here.")


def _leaks(circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    rows, leaked = circumstances.test_rows, circumstances.leaked
    if leaked is None:
        yield Reason(WITH_CARE, "Whether the model has learned from some of the test rows is not known.")
    elif leaked > standards.leaked_rows * rows:
        most = leaked > _MOSTLY_LEAKED * rows
        sentence = f"{leaked:,} of {rows:,} test rows repeat rows that were learned from"
        left = "so that the rest says little" if most else "and are left out of this judgement"
        yield Reason(NOT_RELIABLE if most else WITH_CARE, f"{sentence}, {left}; leaks.csv lists them.")


def _overfitting(circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    gap = circumstances.training_accuracy - circumstances.validation_accuracy
    if gap > standards.overfitting:
        sentence = f"Of the rows it learned from it knows {circumstances.training_accuracy:.1%}, of the validation rows "
        yield Reason(WITH_CARE, f"{sentence}{circumstances.validation_accuracy:.1%}: it overfits.")


def _seeds(accuracies: Sequence[float], standards: VerdictSettings) -> Iterator[Reason]:
    low, high = min(accuracies, default=0.0), max(accuracies, default=0.0)
    moved = round(high - low, 9)  # 0.95 less 0.9 is a little more than 0.05
    if moved > standards.seed_spread:
        found = f"from {low:.3f} to {high:.3f} with {len(accuracies)} seeds"
        limit = f"more than {standards.seed_spread:g}"
        yield Reason(WITH_CARE, f"Another seed alone moves accuracy by {moved:.3f} ({found}), {limit}: it is not stable.")


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _classes_in_words(count: int) -> str:
    return "one class" if count == 1 else f"{count} classes"


def _listed(shown: Sequence[str]) -> str:
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more
