"""The charts of a report. Each differs in form as well as in colour, and says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from surefit.report.svg import FIRST, MUTED, SECOND, THIRD, inline_svg
from surefit.report.wording import Wording
from surefit.trace import TrainingTrace, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Points drawn of a long curve.
_MOST_POINTS = 400
# Curves of fewer points than this show each of them.
_FEW_POINTS = 12
_PERCENT_TICKS = 6
_TWENTIETHS = 20


def precision_recall(identity: str, name: str, curve: Mapping[str, Any], *, answered: bool, wording: Wording) -> Markup:
    """Precision against recall of one class, with the point that the rule has chosen.

    Args:
        identity: of the drawing.
        name: of the class.
        curve: an entry of `thresholds.curves` in `metrics.json`.
        answered: whether the rule answers the class to any test row; where not, it has no point.
        wording: of the figures.
    """
    chosen = curve["chosen"]
    said = f"has precision {wording.share(chosen['precision'])} at recall {wording.share(chosen['recall'])}"

    def draw(axes: Axes) -> None:
        axes.plot(curve["recall"], curve["precision"], color=FIRST, **_marked(curve["recall"]))
        if answered:
            axes.plot(chosen["recall"], chosen["precision"], color=SECOND, label="the rule in force", **_CHOSEN)
            _legend(axes)
        axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.03), ylim=(-0.02, 1.03))
        _percent(axes, "xy")

    description = f"The rule in force {said if answered else 'never answers this class'}."
    return inline_svg(identity, f"Precision against recall of {name}", description, draw)


def coverage_error(curve: Mapping[str, Any], wording: Wording) -> Markup:
    """Error among the answers against the share of rows that is answered.

    Args:
        curve: `thresholds.coverage` in `metrics.json`.
        wording: of the figures.
    """
    chosen = curve["chosen"]
    ends = f"With every row answered, {wording.share(curve['error'][-1])} of the answers are wrong"
    said = f"answers {wording.share(chosen['coverage'])} with {wording.share(chosen['error'])} wrong"

    def draw(axes: Axes) -> None:
        axes.plot(curve["coverage"], curve["error"], color=FIRST, **_marked(curve["coverage"]))
        if chosen["answered"]:
            axes.plot(chosen["coverage"], chosen["error"], color=SECOND, label="the rule in force", **_CHOSEN)
            _legend(axes)
        highest = max(*curve["error"], chosen["error"], 0.01)
        axes.set(xlabel="rows answered", ylabel="wrong among the answers", xlim=(-0.02, 1.03))
        axes.set_ylim(-0.04 * highest, 1.15 * highest)
        _percent(axes, "xy")

    description = f"{ends}; the rule in force {said if chosen['answered'] else 'answers none'}."
    return inline_svg("coverage", "Wrong answers against the share of rows answered", description, draw)


def reliability(
    identity: str, title: str, calibration: Mapping[str, Any], limits: tuple[float, float], wording: Wording
) -> Markup:
    """Share right against confidence, bin by bin.

    Args:
        identity: of the drawing.
        title: what it shows.
        calibration: `before` or `after` of `calibration` in `metrics.json`.
        limits: where the axis of the probabilities and that of the shares begin.
        wording: of the figures.
    """
    bins = calibration["bins"]
    confidence, right = [answers["confidence"] for answers in bins], [answers["share_right"] for answers in bins]
    errors = [
        [max(0.0, answers["share_right"] - answers["low"]) for answers in bins],
        [max(0.0, answers["high"] - answers["share_right"]) for answers in bins],
    ]
    error = calibration["expected_calibration_error"]

    def draw(axes: Axes) -> None:
        diagonal = [max(limits), 1]
        axes.plot(diagonal, diagonal, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2, label="as they should be")
        axes.errorbar(confidence, right, yerr=errors, color=FIRST, fmt="o", markersize=4, linewidth=1.4, label="test rows")
        axes.set(xlabel="probability given", ylabel="share right")
        axes.set(xlim=_with_margin(limits[0]), ylim=_with_margin(limits[1]))
        _percent(axes, "xy")
        _legend(axes)

    description = f"{len(bins)} groups of answers; on average they lie {wording.figure(error)} off the diagonal."
    return inline_svg(identity, title, description, draw)


def reliability_limits(calibrations: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Where the axes of reliability diagrams begin, alike for all of them: a twentieth at most below what is drawn.

    Args:
        calibrations: `before` and `after` of `calibration` in `metrics.json`.
    """
    bins = [answers for calibration in calibrations for answers in calibration["bins"]]
    lowest = (min((answers[name] for answers in bins), default=0.0) for name in ("confidence", "low"))
    of_confidence, of_shares = (min(math.floor(_TWENTIETHS * end) / _TWENTIETHS, 0.95) for end in lowest)
    return of_confidence, min(of_confidence, of_shares)


def _with_margin(lowest: float) -> tuple[float, float]:
    """The ends of an axis that goes from there to 1."""
    margin = 0.03 * (1 - lowest)
    return lowest - margin, 1 + margin


def loss(training: TrainingTrace) -> Markup:
    """The loss of the steps, smoothed, and the validation loss after each epoch."""
    losses = smooth(training.step_losses)
    shown = _spread(len(losses))
    per_epoch = len(losses) / len(training.epochs)
    ends = [per_epoch * number for number in range(1, len(training.epochs) + 1)]
    validation = [epoch.validation_loss for epoch in training.epochs]

    def draw(axes: Axes) -> None:
        axes.plot([place + 1 for place in shown], [losses[place] for place in shown], color=FIRST, label="training rows")
        axes.plot(ends, validation, color=SECOND, linestyle=(0, (4, 2)), marker="D", markersize=5, label="validation rows")
        axes.set(xlabel="step", ylabel="loss", xlim=(0, 1.03 * len(losses)))
        axes.set_ylim(0, 1.1 * max(*losses, *validation))
        axes.locator_params(axis="x", nbins=6, integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        _legend(axes)

    said = ", ".join(f"{value:.3f} after epoch {epoch.epoch}" for value, epoch in zip(validation, training.epochs, strict=True))
    description = (
        f"Training loss goes from {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses):,} steps; validation loss: {said}."
    )
    return inline_svg("loss", "Loss by step and epoch", description, draw)


def learning_curve(curve: Mapping[str, Any], wording: Wording) -> Markup:
    """The score by the number of training rows: of the fine-tuned model beside a simple one, or of the simple one alone.

    Args:
        curve: `learning_curve` in `metrics.json`.
        wording: of the figures.
    """
    own = curve.get("fine_tuned")
    if own is None:
        lines = [_CurveLine("accuracy", curve, "accuracy"), _CurveLine("macro F1", curve, "macro_f1")]
    else:
        lines = [_CurveLine("fine-tuned model", own, "accuracy"), _CurveLine("simple model", curve, "accuracy")]
    counts = sorted({count for line in lines for count in line.counts})
    ends = [value for line in lines for value in line.scores]
    if own is not None:
        ends += [limit for point in own["points"] for limit in point["accuracy_interval"]]

    def draw(axes: Axes) -> None:
        first, second = lines
        axes.plot(first.counts, first.scores, color=FIRST, marker="o", markersize=5, label=first.label)
        if own is not None:
            low, high = zip(*(point["accuracy_interval"] for point in own["points"]), strict=True)
            axes.vlines(first.counts, low, high, color=FIRST, linewidth=1.4)
        dashed = (0, (4, 2))
        axes.plot(second.counts, second.scores, color=THIRD, marker="s", markersize=5, linestyle=dashed, label=second.label)
        margin = max(0.02, 0.25 * (max(ends) - min(ends))) if own is None else 0.02
        score = "score" if own is None else "accuracy"
        axes.set(xlabel="training rows", ylabel=f"{score} on the test rows", xlim=(0, 1.06 * max(counts)))
        axes.set_ylim(max(0, min(ends) - margin), min(1.005, max(ends) + margin))
        axes.set_xticks(counts)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        _percent(axes, "y")
        _legend(axes)

    said = (
        f"{'Accuracy' if own is None else f'Accuracy of the {line.label}'}: {line.in_words(wording)} rows."
        for line in (lines[:1] if own is None else lines)
    )
    return inline_svg("learning", "Score by the number of training rows", " ".join(said), draw)


@dataclass(frozen=True)
class _CurveLine:
    """One line of a learning curve: a figure of one model's points."""

    label: str
    curve: Mapping[str, Any]
    figure: str

    @property
    def counts(self) -> list[int]:
        return [point["rows"] for point in self.curve["points"]]

    @property
    def scores(self) -> list[float]:
        return [point[self.figure] for point in self.curve["points"]]

    def in_words(self, wording: Wording) -> str:
        return ", ".join(
            f"{wording.share(score)} with {count:,}" for score, count in zip(self.scores, self.counts, strict=True)
        )


def data_map(found: Mapping[str, Any]) -> Markup:
    """Confidence against variability of the training rows, in cells whose marks grow with their rows.

    Args:
        found: `data_map` in `metrics.json`, of two epochs and more.
    """
    most = max(cell["rows"] for cell in found["cells"])

    def draw(axes: Axes) -> None:
        for region, colour, marker in (("easy", FIRST, "o"), ("ambiguous", THIRD, "s"), ("hard", SECOND, "D")):
            cells = [cell for cell in found["cells"] if cell["region"] == region]
            # The area shows the number, with marks of single rows still to be seen.
            sizes = [8 + 140 * cell["rows"] / most for cell in cells]
            variability, confidence = ([cell[name] for cell in cells] for name in ("variability", "confidence"))
            axes.scatter(variability, confidence, s=sizes, color=colour, marker=marker, alpha=0.75, linewidths=0, label=region)
        axes.set(xlabel="variability", ylabel="confidence", xlim=(-0.01, 0.51), ylim=(-0.03, 1.03))
        _percent(axes, "y")
        handles = axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderaxespad=0, handletextpad=0.2, columnspacing=1.4
        ).legend_handles
        for handle in handles:
            handle.set_sizes([30])  # type: ignore[union-attr]

    counts = ", ".join(f"{count:,} {region}" for region, count in found["counts"].items())
    return inline_svg("map", "Confidence against variability of the training rows", f"Rows by region: {counts}.", draw)


# How the point that a rule has chosen is drawn.
_CHOSEN: dict[str, Any] = {"marker": "D", "markersize": 8, "linestyle": "none"}


def _marked(points: Sequence[float]) -> dict[str, Any]:
    """Each point of a short curve is drawn, since one of a single point has no line."""
    return {"marker": "o", "markersize": 3} if len(points) < _FEW_POINTS else {}


def _percent(axes: Axes, which: str) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(_PERCENT_TICKS, steps=(1, 2, 5, 10)))
        axis.set_major_formatter(PercentFormatter(1))


def _legend(axes: Axes) -> None:
    """Above the drawing, where it covers nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0, handlelength=1.6, columnspacing=1.4)


def _spread(count: int) -> list[int]:
    """Places of a long curve that are drawn, evenly spread, the first and the last among them."""
    shown = min(count, _MOST_POINTS)
    return [round(place * (count - 1) / max(shown - 1, 1)) for place in range(shown)]
