"""Whether the model can have seen the rows that judge it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def leak_warnings(leaks: Mapping[str, int | None]) -> list[str]:
    """What a reader must know before the figures of a run; empty where nothing is wrong.

    Args:
        leaks: as in `metrics.json`: "exact" counts validation and test rows whose text stands in
            another split, "earlier_run" those whose text the run that is trained on from has
            learned from, None where that is not known.
    """
    warnings = []
    if leaks["exact"]:
        warnings.append(f"WARNING: {leaks['exact']:,} validation or test rows repeat a text of another split")
    if leaks["earlier_run"]:
        rows = f"{leaks['earlier_run']:,} validation or test rows"
        warnings.append(f"WARNING: {rows} repeat a text that the earlier run learned from")
    return [f"{warning}: the figures are too good" for warning in warnings]


def unseen(metrics: Mapping[str, Any]) -> str:
    """What is known of the test rows of a run, to be read after "test rows"."""
    leaks = metrics["leaks"]
    warnings = leak_warnings(leaks)
    if warnings:
        return f"({'; '.join(warnings)})"
    if leaks["earlier_run"] is None:
        return "that this run did not train on (the run it trains on from may have)"
    return "that the model never saw"
