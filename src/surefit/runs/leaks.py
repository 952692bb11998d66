"""Whether the model can have seen the rows that judge it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surefit.data.findings import counted

# Of each kind of leak: the verb for one row and for several, and the rest of the sentence.
_WARNINGS = (
    ("exact", "repeats", "repeat", "a text of another split"),
    ("near", "nearly repeats", "nearly repeat", "a text of another split"),
    ("group", "is", "are", "of a group that stands in another split"),
    ("earlier_run", "repeats", "repeat", "a text that the earlier run learned from"),
)
LEARNED_UNKNOWN = "whether the model has learned from these rows is not known"


def learned_warning(leaks: int | None) -> str:
    """What a reader must know before the figures of rows that a model is judged on; empty where nothing is wrong.

    Args:
        leaks: how many of the rows repeat a text that the model has learned from, None where that is not known.
    """
    if leaks is None:
        return LEARNED_UNKNOWN
    return f"WARNING: the model has learned from {leaks:,} of these rows" if leaks else ""


def leak_warnings(leaks: Mapping[str, int | None]) -> list[str]:
    """What a reader must know before the figures of a run; empty where nothing is wrong.

    Args:
        leaks: as in `metrics.json`: "exact" counts validation and test rows whose text stands in
            another split, "near" those that share most of their words with one there, "group" those
            of a group that stands there; "earlier_run" those whose text the run that is trained on
            from has learned from, None where that is not known.
    """
    warnings = []
    for kind, one, many, what in _WARNINGS:
        if found := leaks[kind]:
            rows = counted(found, f"validation or test row {one}", f"validation or test rows {many}")
            warnings.append(f"WARNING: {rows} {what}: the figures are too good")
    return warnings


def unseen(metrics: Mapping[str, Any]) -> str:
    """What is known of the test rows of a run, to be read after "test rows"."""
    leaks = metrics["leaks"]
    warnings = leak_warnings(leaks)
    if "test_without_leaks" in metrics:
        left = metrics["test_without_leaks"]
        scores = f"accuracy {left['accuracy']:.2%}, macro F1 {left['macro']['f1']:.4f}"
        warnings.append(f"on the {left['n']:,} test rows that repeat nothing: {scores}; leaks.csv has the others")
    if warnings:
        return f"({'; '.join(warnings)})"
    if leaks["earlier_run"] is None:
        return f"({LEARNED_UNKNOWN})"
    return "that the model never saw"
