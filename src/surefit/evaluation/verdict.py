"""The verdict on a classifier: good, usable with care, or not reliable, with the reasons in sentences.

From which figures something counts is in one table, `surefit.config.VerdictSettings`. Each check says nothing, or how
far it lets a classifier go and why. The grade is the worst that any check allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from surefit.config import VerdictSettings
from surefit.evaluation.baselines import MAJORITY_CLASS
from surefit.evaluation.class_checks import check_classes
from surefit.evaluation.comparison import PairedComparison
from surefit.evaluation.grouped_rows import Interval
from surefit.evaluation.judgement import (
    GOOD,
    GRADES,
    NOT_RELIABLE,
    WITH_CARE,
    Circumstances,
    Grade,
    Judgement,
    Reason,
    counted,
    estimate,
    figure,
)
from surefit.evaluation.metrics import EvaluationResult


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
        *check_classes(judgement, circumstances, standards),
        *_baselines(judgement, standards),
        *_rows(judgement.result, circumstances, standards),
        *_answered(circumstances, standards),
        *_asked_for(judgement, circumstances),
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
    rows = f" on the {result.n:,} {counted(result, circumstances)}" if result.n < circumstances.test_rows else ""
    said = f"Accuracy{rows} is {figure(result.accuracy, least, 3)}, [{figure(low, least)}, {high:.2f}]"
    if low >= least:
        yield Reason(GOOD, f"{said}: at least {least:g}.")
    elif result.accuracy >= least:
        yield Reason(WITH_CARE, f"{said}: it may be under {least:g}; more test rows would tell.")
    else:
        yield Reason(WITH_CARE, f"{said}: under {least:g}.")
    useless = standards.useless_macro_f1
    if result.macro.f1 < useless:
        f1 = figure(result.macro.f1, useless)
        yield Reason(NOT_RELIABLE, f"Averaged over the classes, F1 is {f1}, under {useless:g}.")


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
    grade, near = (NOT_RELIABLE, "would") if comparison.difference / 100 <= least else (WITH_CARE, "may")
    half = ", half of what there is to gain," if least < standards.over_majority else ""
    sentence = f"Always answering the largest class {near} be right nearly as often: accuracy is not surely"
    yield Reason(grade, f"{sentence} {100 * least:.2g} points{half} over that (difference {_points(comparison)}).")


def _points(comparison: PairedComparison) -> str:
    low, high = comparison.interval
    return f"{comparison.difference:+.1f} points, between {low:+.1f} and {high:+.1f}"


def _rows(result: EvaluationResult, circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    if result.n < standards.test_rows:
        rows = counted(result, circumstances)
        yield Reason(WITH_CARE, f"{result.n:,} {rows} are too few to tell; {standards.test_rows:,} are the least.")


def _answered(circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    answered, rows = circumstances.answered, circumstances.test_rows
    if answered == rows:
        return
    sentence = f"It answers {answered:,} of {rows:,} test rows ({answered / rows:.1%}) and abstains from the others"
    if not answered:
        yield Reason(NOT_RELIABLE, f"{sentence}.")
    else:
        grade = GOOD if answered >= standards.answered * rows else WITH_CARE
        yield Reason(grade, f"{sentence}, which count neither for nor against it here.")


def _leaks(circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    rows, leaked = circumstances.test_rows, circumstances.leaked
    if leaked is None:
        yield Reason(WITH_CARE, "Whether the model has learned from some of the test rows is not known.")
    elif leaked:
        repeat, are, them = ("repeats", "is", "it") if leaked == 1 else ("repeat", "are", "them")
        grade, left = WITH_CARE if leaked > standards.leaked_rows * rows else GOOD, f"and {are} left out of this judgement"
        if leaked > standards.mostly_leaked * rows:
            grade, left = NOT_RELIABLE, "so that the rest says little"
        sentence = f"{leaked:,} of {rows:,} test rows {repeat} rows that were learned from"
        yield Reason(grade, f"{sentence}, {left}; leaks.csv lists {them}.")


def _asked_for(judgement: Judgement, circumstances: Circumstances) -> Iterator[Reason]:
    """What the decision rule was asked to reach, on the test rows."""
    request, rows = circumstances.request, counted(judgement.result, circumstances)
    if request.max_error is not None:
        low, high = judgement.intervals.accuracy
        error = 1 - judgement.result.accuracy
        yield _held("an error rate of at most", request.max_error, error, (1 - high, 1 - low), rows, most=True)
    for what, least in (("precision", request.min_precision), ("recall", request.min_recall)):
        if least is None:
            continue
        names = list(judgement.result.per_class) if request.positive is None else [request.positive]
        for name in names:
            value = getattr(judgement.result.per_class[name], what)
            interval = getattr(judgement.intervals.per_class[name], what)
            if interval is not None and (request.positive is not None or interval[1] < least):
                yield _held(f"a {what} for {name!r} of at least", least, value, interval, rows)


def _held(asked: str, limit: float, value: float, interval: Interval, rows: str, *, most: bool = False) -> Reason:
    """Whether a figure of the test rows is what was asked for, as surely as they tell."""
    missed, surely = (value > limit, interval[0] > limit) if most else (value < limit, interval[1] < limit)
    found = f"{asked[0].upper()}{asked[1:]} {limit:g} was asked for; on the {rows} it is {estimate(value, interval, limit)}"
    if not missed:
        return Reason(GOOD, f"{found}.")
    if not surely:
        return Reason(GOOD, f"{found}, which these rows cannot tell from it.")
    return Reason(WITH_CARE, f"{found}: it is not reached.")


def _overfitting(circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    gap = circumstances.training_accuracy - circumstances.validation_accuracy
    if gap > standards.overfitting:
        low, high = circumstances.gap_interval
        sentence = f"Of the rows it learned from it knows {circumstances.training_accuracy:.1%}, of the validation rows "
        between = f"{circumstances.validation_accuracy:.1%} (the gap is between {100 * low:.1f} and {100 * high:.1f} points)"
        overfits = "it overfits" if low > standards.overfitting else "it may overfit"
        yield Reason(WITH_CARE, f"{sentence}{between}: {overfits}.")


def _seeds(accuracies: Sequence[float], standards: VerdictSettings) -> Iterator[Reason]:
    low, high = min(accuracies, default=0.0), max(accuracies, default=0.0)
    moved = round(high - low, 9)  # 0.95 less 0.9 is a little more than 0.05
    if moved > standards.seed_spread:
        found = f"from {low:.3f} to {high:.3f} with {len(accuracies)} seeds"
        limit = f"more than {standards.seed_spread:g}"
        yield Reason(WITH_CARE, f"Another seed alone moves accuracy by {moved:.3f} ({found}), {limit}: it is not stable.")
