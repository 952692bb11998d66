"""What a drift report says, and what was predicted, as tables to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surefit.evaluation.drift_sentences import NAMES
from surefit.trace import Table

_CLASSES_SHOWN = 3
_PREDICTED_SHOWN = 30


def drift_table(drift: Mapping[str, Any], rows: int) -> Table:
    """How rows stand to those that the model was judged on.

    Args:
        drift: as `surefit evaluate --json` has it.
        rows: how many rows of the file were used.
    """
    cells = tuple(
        (NAMES[shift["statistic"]], *_before_and_now(shift), _how_far(shift), shift["sentence"]) for shift in drift["shifts"]
    )
    sampled = f", drawn at random from {rows:,}," if drift["rows"] < rows else ""
    note = (
        f"{drift['rows']:,} rows{sampled} against {drift['reference_rows']:,} test rows of the run; PSI: population stability "
        "index, from 0.1 on some shift, from 0.25 on a strong one; Cohen's d: in standard deviations, from 0.2 and 0.5 on; "
        "said only where it is more than chance"
    )
    columns = ("statistic", "reference", "now", "how far", "what it means")
    return Table("Drift: are these rows like those that the model was judged on?", columns, cells, note, drift["sentence"])


def predicted_table(figures: Mapping[str, Any], title: str, lead: str) -> Table:
    """Shares of the predicted classes, where there are no labels to compare with.

    Args:
        figures: what `evaluate_file` found.
        title: of what.
        lead: what is to be read first.
    """
    rows = sum(figures["predicted"].values()) + figures["abstained"]
    counts = sorted(figures["predicted"].items(), key=lambda item: -item[1])
    shown = counts[:_PREDICTED_SHOWN] + ([("(abstained)", figures["abstained"])] if figures["abstained"] else [])
    note = f"the {_PREDICTED_SHOWN} most frequent of {len(counts)} classes are shown" if len(counts) > _PREDICTED_SHOWN else ""
    cells = tuple((name, f"{count:,}", f"{count / rows:.1%}") for name, count in shown)
    return Table(title, ("predicted class", "rows", "share"), cells, note, lead)


def _before_and_now(shift: Mapping[str, Any]) -> tuple[str, str]:
    statistic, reference, now = shift["statistic"], shift["reference"], shift["now"]
    if statistic in ("predicted_classes", "true_classes"):
        most = sorted(reference, key=lambda name: -abs(now[name] - reference[name]))[:_CLASSES_SHOWN]
        shown = [name for name in reference if name in most and (reference[name] or now[name])]
        return "\n".join(f"{name} {reference[name]:.1%}" for name in shown), "\n".join(
            f"{name} {now[name]:.1%}" for name in shown
        )
    if statistic == "embedding_mean":
        return "", f"{now['distance']:.2f} apart"
    if statistic == "embedding_distances":
        before, after = (f"{own['mean']:.1f} on average, {own['beyond']:.1%} far" for own in (reference, now))
        return before, after
    if statistic == "unknown_tokens":
        return f"{reference['mean']:.2%}", f"{now['mean']:.2%}"
    digits = 1 if statistic == "lengths" else 2
    return f"{reference['mean']:.{digits}f} on average", f"{now['mean']:.{digits}f} on average"


def _how_far(shift: Mapping[str, Any]) -> str:
    return f"{shift['level']}: {shift['measure']} {shift['distance']:.2f}, by chance {shift['by_chance']:.2f} on average"
