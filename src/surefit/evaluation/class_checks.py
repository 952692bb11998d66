"""The checks of a verdict that look at each class."""

from __future__ import annotations

from collections.abc import Iterator

from surefit.config import VerdictSettings
from surefit.evaluation.judgement import (
    GOOD,
    NOT_RELIABLE,
    WITH_CARE,
    Circumstances,
    Judgement,
    Reason,
    classes_in_words,
    counted,
    estimate,
    listed,
)


def check_classes(judgement: Judgement, circumstances: Circumstances, standards: VerdictSettings) -> Iterator[Reason]:
    """Every class that has test rows enough, and those that have too few."""
    of_class = judgement.result.per_class
    may_miss = len(of_class) // standards.one_in if len(of_class) > standards.many_classes else 0
    judged = [name for name, of in of_class.items() if of.support >= standards.rows_per_class]
    missing = [name for name in judged if _short(judgement, name, standards)]
    yield from _hidden_classes(judgement, standards, may_miss)
    yield from _rarely_answered(judgement, standards, may_miss)
    least = f"a precision of {standards.good_precision:g} {{}} a recall of {standards.good_recall:g}"
    rows = counted(judgement.result, circumstances)
    if missing:
        missing.sort(key=lambda name: min(of_class[name].precision, of_class[name].recall))
        shown = listed([_short(judgement, name, standards) for name in missing])
        borne = len(missing) <= may_miss
        allowed = f", as one class in {standards.one_in} may ({may_miss} of {len(of_class)})" if borne else ""
        sentence = f"{len(missing)} of {classes_in_words(len(judged))} with test rows enough"
        verb = "misses" if len(missing) == 1 else "miss"
        yield Reason(GOOD if borne else WITH_CARE, f"{sentence} {verb} {least.format('or')}{allowed}: {shown}.")
    elif judged:
        sentence = f"Every class with {standards.rows_per_class} or more {rows} has {least.format('and')} at least"
        unsure = [shown for name in judged if (shown := _short(judgement, name, standards, may=True))]
        more = f"; it may be less of {classes_in_words(len(unsure))}: {listed(unsure)}" if unsure else ""
        yield Reason(GOOD, f"{sentence} ({classes_in_words(len(judged))}){more}.")
    few = [name for name, of in of_class.items() if of.support < standards.rows_per_class]
    if few:
        shown = listed([f"{name!r} {of_class[name].support}" for name in few])
        sentence = f"There are under {standards.rows_per_class} {rows}, too few to tell, of {classes_in_words(len(few))}"
        yield Reason(GOOD if len(missing) + len(few) <= may_miss else WITH_CARE, f"{sentence}: {shown}.")


def _hidden_classes(judgement: Judgement, standards: VerdictSettings, may_miss: int) -> Iterator[Reason]:
    """Classes of which so little is found that a high accuracy hides it."""
    result, intervals = judgement.result, judgement.intervals
    hidden = [name for name in result.per_class if _hidden(judgement, name, standards)]
    if hidden:
        hidden.sort(key=lambda name: result.per_class[name].recall)
        recalls = [
            f"{name!r} {estimate(result.per_class[name].recall, intervals.per_class[name].recall, standards.hidden_recall)}"
            for name in hidden
        ]
        behind = f", behind an accuracy of {result.accuracy:.3f}" if result.accuracy >= standards.good_accuracy else ""
        sentence = f"Of {classes_in_words(len(hidden))} less than {standards.hidden_recall:.0%} is found{behind}"
        yield Reason(NOT_RELIABLE if len(hidden) > may_miss else WITH_CARE, f"{sentence}: {listed(recalls)}.")


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
        f"{what} {estimate(value, interval, least)}"
        for what, value, interval, least in figures
        if value < least or (may and interval is not None and interval[0] < least)
    ]
    return f"{name!r} {' and '.join(lacking)}" if lacking else ""


def _rarely_answered(judgement: Judgement, standards: VerdictSettings, may_miss: int) -> Iterator[Reason]:
    """Classes whose rows are left without an answer, so that they hide from the figures of what is answered."""
    of_class = judgement.result.per_class
    rare = [
        name
        for name, rows in judgement.supports.items()
        if rows >= standards.rows_per_class and of_class[name].support < standards.answered * rows
    ]
    if rare:
        rare.sort(key=lambda name: of_class[name].support / judgement.supports[name])
        shown = listed([f"{name!r} {of_class[name].support:,} of {judgement.supports[name]:,}" for name in rare])
        sentence = f"Of {classes_in_words(len(rare))} less than {standards.answered:.0%} of the rows are answered: {shown}."
        yield Reason(GOOD if len(rare) <= may_miss else WITH_CARE, sentence)
