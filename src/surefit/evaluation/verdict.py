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
# Of many classes, one in so many may miss.
_ONE_IN = 20
# Digits at most, where a figure is next to a limit.
_MOST_DIGITS = 6


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
        *_accuracy(judgement, circumstances, standards),
        *_classes(judgement, circumstances, standards),
        *_baselines(judgement, standards),
        *_rows(judgement.result, circumstances, standards),
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


def _accuracy(judgement: Judgement, circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    result, (low, high), least = judgement.result, judgement.intervals.accuracy, standards.good_accuracy
    rows = f" on the {result.n:,} {_counted(result, circumstances)}" if result.n < circumstances.test_rows else ""
    said = f"Accuracy{rows} is {_figure(result.accuracy, least, 3)}, [{_figure(low, least)}, {high:.2f}]"
    if low >= least:
        yield Reason(GOOD, f"{said}: at least {least:g}.")
    elif result.accuracy >= least:
        yield Reason(WITH_CARE, f"{said}: it may be under {least:g}; more test rows would tell.")
    else:
        yield Reason(WITH_CARE, f"{said}: under {least:g}.")
    if result.macro.f1 < _USELESS:
        f1 = _figure(result.macro.f1, _USELESS)
        yield Reason(NOT_RELIABLE, f"Averaged over the classes, F1 is {f1}, under {_USELESS:g}.")


def _classes(judgement: Judgement, circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    """Every class that has test rows enough, and those that have too few."""
    of_class = judgement.result.per_class
    may_miss = len(of_class) // _ONE_IN if len(of_class) > standards.many_classes else 0
    judged = [name for name, of in of_class.items() if of.support >= standards.rows_per_class]
    missing = [name for name in judged if _short(judgement, name, standards)]
    yield from _hidden_classes(judgement, standards, may_miss)
    least = f"a precision of {standards.good_precision:g} {{}} a recall of {standards.good_recall:g}"
    rows = _counted(judgement.result, circumstances)
    if missing:
        missing.sort(key=lambda name: min(of_class[name].precision, of_class[name].recall))
        shown = _listed([_short(judgement, name, standards) for name in missing])
        borne = len(missing) <= may_miss
        allowed = f", as one class in twenty may ({may_miss} of {len(of_class)})" if borne else ""
        sentence = f"{len(missing)} of {_classes_in_words(len(judged))} with test rows enough"
        verb = "misses" if len(missing) == 1 else "miss"
        yield Reason(GOOD if borne else WITH_CARE, f"{sentence} {verb} {least.format('or')}{allowed}: {shown}.")
    elif judged:
        sentence = f"Every class with {standards.rows_per_class} or more {rows} has {least.format('and')} at least"
        unsure = [shown for name in judged if (shown := _short(judgement, name, standards, may=True))]
        more = f"; it may be less of {_classes_in_words(len(unsure))}: {_listed(unsure)}" if unsure else ""
        yield Reason(GOOD, f"{sentence} ({_classes_in_words(len(judged))}){more}.")
    few = [name for name, of in of_class.items() if of.support < standards.rows_per_class]
    if few:
        shown = _listed([f"{name!r} {of_class[name].support}" for name in few])
        sentence = f"There are under {standards.rows_per_class} {rows}, too few to tell, of {_classes_in_words(len(few))}"
        yield Reason(GOOD if len(missing) + len(few) <= may_miss else WITH_CARE, f"{sentence}: {shown}.")


def _hidden_classes(judgement: Judgement, standards: VerdictSettings, may_miss: int) -> Iterator[Reason]:
    """Classes of which so little is found that a high accuracy hides it."""
    result, intervals = judgement.result, judgement.intervals
    hidden = [name for name in result.per_class if _hidden(judgement, name, standards)]
    if hidden:
        hidden.sort(key=lambda name: result.per_class[name].recall)
        recalls = [
            f"{name!r} {_estimate(result.per_class[name].recall, intervals.per_class[name].recall, standards.hidden_recall)}"
            for name in hidden
        ]
        behind = f", behind an accuracy of {result.accuracy:.3f}" if result.accuracy >= standards.good_accuracy else ""
        sentence = f"Of {_classes_in_words(len(hidden))} less than {standards.hidden_recall:.0%} is found{behind}"
        yield Reason(NOT_RELIABLE if len(hidden) > may_miss else WITH_CARE, f"{sentence}: {_listed(recalls)}.")


def _hidden(judgement: Judgement, name: str, standards: VerdictSettings) -> bool:
    """Whether less of a class is found than is bearable: surely so, or on rows enough."""
    of, interval = judgement.result.per_class[name], judgement.intervals.per_class[name].recall
    if interval is None or of.recall >= standards.hidden_recall:
        return False
    return of.support >= standards.rows_per_class or interval[1] < standards.hidden_recall


def _short(judgement: Judgement, name: str, standards: VerdictSettings, *, may: bool = False) -> str:
    """What a class lacks to be good, in words; empty where nothing.

    Args:
        judgement: of all classes.
        name: of the class.
        standards: what a good one has.
        may: what it may lack, by its intervals, counts too.
    """
    of, intervals = judgement.result.per_class[name], judgement.intervals.per_class[name]
    figures = (
        ("precision", of.precision, intervals.precision, standards.good_precision),
        ("recall", of.recall, intervals.recall, standards.good_recall),
    )
    lacking = [
        f"{what} {_estimate(value, interval, least)}"
        for what, value, interval, least in figures
        if value < least or (may and interval is not None and interval[0] < least)
    ]
    return f"{name!r} {' and '.join(lacking)}" if lacking else ""


def _baselines(judgement: Judgement, standards: VerdictSettings) -> Iterator[Reason]:
    for name, comparison in judgement.comparisons.items():
        if name == MAJORITY_CLASS:
            yield from _over_majority(judgement.result, comparison, standards)
        elif comparison.interval[0] <= 0:
            worse = comparison.interval[1] < 0
            sentence = f"It is {'worse' if worse else 'not surely better'} than {name} (accuracy {_points(comparison)})"
            yield Reason(WITH_CARE, f"{sentence}: {'take the simpler model' if worse else 'a simpler model may do'}.")


def _over_majority(result: EvaluationResult, comparison: PairedComparison, standards: VerdictSettings) -> Iterator[Reason]:
    """Whether accuracy is over the share of the largest class: by so much, or by half of what there is to gain."""
    others = 1 - max(of.support for of in result.per_class.values()) / result.n
    least = min(standards.over_majority, others / 2)
    if comparison.interval[0] / 100 > least:
        return
    near = "would" if comparison.difference / 100 <= least else "may"
    half = ", half of what there is to gain," if least < standards.over_majority else ""
    sentence = f"Always answering the largest class {near} be right nearly as often: accuracy is not surely"
    yield Reason(NOT_RELIABLE, f"{sentence} {100 * least:.2g} points{half} over that (difference {_points(comparison)}).")


def _points(comparison: PairedComparison) -> str:
    low, high = comparison.interval
    return f"{comparison.difference:+.1f} points, between {low:+.1f} and {high:+.1f}"


def _rows(result: EvaluationResult, circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    if result.n < standards.test_rows:
        rows = _counted(result, circumstances)
        yield Reason(WITH_CARE, f"{result.n:,} {rows} are too few to tell; {standards.test_rows:,} are the least.")


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
    elif leaked:
        sentence = f"{leaked:,} of {rows:,} test rows repeat rows that were learned from"
        grade, left = WITH_CARE if leaked > standards.leaked_rows * rows else GOOD, "and are left out of this judgement"
        if leaked > _MOSTLY_LEAKED * rows:
            grade, left = NOT_RELIABLE, "so that the rest says little"
        yield Reason(grade, f"{sentence}, {left}; leaks.csv lists them.")


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


def _counted(result: EvaluationResult, circumstances: Circumstances) -> str:
    """What the rows of a judgement are called: some of the test rows may not count."""
    return "test rows" if result.n == circumstances.test_rows else "test rows that count here"


def _estimate(value: float, interval: Interval | None, limit: float) -> str:
    """A figure with its interval, where it has one."""
    between = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return f"{_figure(value, limit)}{between}"


def _figure(value: float, limit: float, digits: int = 2) -> str:
    """A figure with so many digits, or as many more as show on which side of a limit it is."""
    while digits < _MOST_DIGITS and (round(value, digits) < limit) != (value < limit):
        digits += 1
    return f"{value:.{digits}f}"


def _classes_in_words(count: int) -> str:
    return "one class" if count == 1 else f"{count} classes"


def _listed(shown: Sequence[str]) -> str:
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more
