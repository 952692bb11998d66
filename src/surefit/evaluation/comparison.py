"""How much better the model is than a baseline, whether chance explains it, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from surefit.evaluation.averages import MACRO_F1, ClassCounts, exactly_right, influences
from surefit.evaluation.baselines import MAJORITY_CLASS
from surefit.evaluation.grouped_rows import Interval, difference_interval, effective_rows
from surefit.types import FloatArray, Int64Array, LabelSchema

_LEVEL = 0.95
_SIGNIFICANCE = 1 - _LEVEL
_POWER = 0.80
# A gain of less, however certain, seldom pays for a model a thousand times as large.
_SMALL_GAIN_POINTS = 1.0


@dataclass(frozen=True)
class PairedComparison:
    """The model against one baseline on the same test rows. All differences are in percentage points.

    Attributes:
        difference: accuracy of the model less accuracy of the baseline.
        interval: the 95% interval of that difference.
        macro_f1_difference: macro F1 of the model less macro F1 of the baseline.
        macro_f1_interval: the 95% interval of that difference.
        p_value: how likely a difference in accuracy at least as large would be, were both equally
            accurate.
        detectable: the true difference in accuracy that these rows would show in four of five
            test sets; 100 where they could show none.
        n: test rows.
        sentence: what it means, for people.
    """

    difference: float
    interval: Interval
    macro_f1_difference: float
    macro_f1_interval: Interval
    p_value: float
    detectable: float
    n: int
    sentence: str


def compare(
    targets: Int64Array,
    predicted: Int64Array,
    baseline_predicted: Int64Array,
    groups: Int64Array,
    schema: LabelSchema,
    baseline_name: str,
) -> PairedComparison:
    """Compares two classifiers on the same rows.

    What each group of rows does to the figure of one is taken against what it does to that of the
    other, so rows that are hard for both widen no interval.

    Args:
        targets: the truth, class ids of shape (n,), or 0/1 of shape (n, classes), n at least 1.
        predicted: the model's answers, in the form of the targets.
        baseline_predicted: those of the baseline, likewise.
        groups: rows with the same or nearly the same text share a number, shape (n,).
        schema: the classes.
        baseline_name: what the baseline is called.
    """
    counts, of_baseline = (ClassCounts.of(targets, answers, groups, schema) for answers in (predicted, baseline_predicted))
    n = len(targets)
    favour = exactly_right(targets, predicted) - exactly_right(targets, baseline_predicted)
    net = counts.of_groups(favour)
    difference, discordant_share = float(favour.mean()), float(np.abs(favour).mean())
    interval = _points(difference_interval(difference, (net - difference * counts.rows) / n, 1 / n**2, _LEVEL))
    macro_f1, moved = _macro_f1_difference(counts, of_baseline)
    p_value = sign_flip_test(np.rint(net).astype(np.int64))
    return PairedComparison(
        difference=100 * difference,
        interval=interval,
        macro_f1_difference=100 * macro_f1,
        macro_f1_interval=_points(difference_interval(macro_f1, moved, _row_square(counts.totals()[0], n), _LEVEL)),
        p_value=p_value,
        detectable=detectable_difference(effective_rows(net, counts.rows, discordant_share), discordant_share),
        n=n,
        sentence=describe_difference(100 * difference, interval, p_value, n, baseline_name),
    )


def sign_flip_test(net: Int64Array) -> float:
    """Two-sided p-value of the difference in accuracy, exact, with groups of rows as what was drawn.

    Were both equally accurate, the net gain of each group could as well have gone to the other side,
    each way with probability one half (Fisher's randomisation test for pairs: Pitman 1937,
    Supplement to the Journal of the Royal Statistical Society 4). The distribution of their sum is
    computed, not drawn. Where each row is a group of its own, this is the exact McNemar test
    (McNemar 1947, Psychometrika 12; for classifiers Dietterich 1998, Neural Computation 10, section
    3.1).

    Args:
        net: in each group, rows on which the first classifier alone is right, less those on which
            the second alone is, shape (groups,).
    """
    from scipy.signal import convolve
    from scipy.stats import binom

    # Rows gained by the first, if each group's gain falls to one side or the other.
    probabilities = np.ones(1)
    for size, groups in zip(*np.unique(np.abs(net[net != 0]), return_counts=True), strict=True):
        of_size = np.zeros(size * groups + 1)
        of_size[::size] = binom.pmf(np.arange(groups + 1), groups, 0.5)
        probabilities = convolve(probabilities, of_size)
    total = len(probabilities) - 1
    as_far = np.abs(2 * np.arange(total + 1) - total) >= abs(int(net.sum()))
    return float(np.clip(probabilities[as_far].sum(), 0, 1))


def detectable_difference(n: float, discordant_share: float) -> float:
    """The true difference in accuracy that n rows show at 5%, two-sided, with a power of 80%, in points.

    It is Connor's sample size for the McNemar test (Connor 1987, Biometrics 43), solved for the
    difference. There must be at least as many discordant rows as the difference needs, so
    where fewer were seen than that, their share is taken to be the difference itself.

    Args:
        n: number of independent rows, at least 1; the effective number where rows come in groups.
        discordant_share: share of the rows on which exactly one of the two classifiers is right.

    Returns:
        Percentage points; 100 where n rows can show no difference at all.
    """
    from scipy.stats import norm

    of_test, of_power = float(norm.ppf(1 - _SIGNIFICANCE / 2)), float(norm.ppf(_POWER))
    beyond = n + of_power**2 - of_test**2
    if beyond < 0:
        return 100.0
    root = (math.sqrt(n) * of_test + of_power * math.sqrt(beyond)) / (n + of_power**2)
    return min(100 * root * max(root, math.sqrt(discordant_share)), 100.0)


def describe_difference(difference: float, interval: Interval, p_value: float, n: int, baseline_name: str) -> str:
    """Says in one sentence how the fine-tuned model stands against a baseline and what to do.

    Args:
        difference: its accuracy less accuracy of the baseline, in percentage points.
        interval: the 95% interval of that difference.
        p_value: of the paired test of that difference.
        n: test rows.
        baseline_name: what the baseline is called.
    """
    probability = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    uncertain = p_value >= _SIGNIFICANCE
    # "3 points under" goes with an interval of what is lost.
    low, high = interval if uncertain or difference >= 0 else (-interval[1], -interval[0])
    evidence = f"95% interval {low:+.1f} to {high:+.1f}, {probability}, {n:,} test rows"
    against_majority = baseline_name == MAJORITY_CLASS
    baseline = f"the {baseline_name}" if against_majority else baseline_name
    if uncertain:
        advice = _advice(against_majority, "use the simpler model, or test on more rows to tell them apart")
        doubt = f"as far as the test rows can tell ({difference:+.1f} points, {evidence})"
        return f"the fine-tuned model is no better than {baseline} {doubt}: {advice}"
    if difference < 0:
        advice = _advice(against_majority, "use the simpler model")
        return f"the fine-tuned model is {-difference:.1f} points of accuracy under {baseline} ({evidence}): {advice}"
    if against_majority:
        advice = "it has learned from the texts"
    else:
        advice = "worth its cost" if difference >= _SMALL_GAIN_POINTS else "a small gain, weigh it against the cost"
    return f"the fine-tuned model is {difference:.1f} points of accuracy over {baseline} ({evidence}): {advice}"


def _advice(against_majority: bool, simpler_model: str) -> str:
    # Nobody is served by a model that always gives the same answer.
    return "it has learned nothing that accuracy shows" if against_majority else simpler_model


def _macro_f1_difference(model: ClassCounts, baseline: ClassCounts) -> tuple[float, FloatArray]:
    """The difference in macro F1, and by how much each group moves it, shape (groups,)."""
    (of_model, moved), (of_baseline, baseline_moved) = influences(model), influences(baseline)
    return float((of_model - of_baseline)[MACRO_F1]), (moved - baseline_moved)[:, MACRO_F1]


def _row_square(support: FloatArray, n: int) -> float:
    """Mean square of the weights of the rows in a mean over the classes: a row weighs as much as its class is small."""
    present = support[support > 0]
    return float(np.sum(1 / present) / len(present) ** 2 / n) if len(present) else 1 / n**2


def _points(interval: Interval) -> Interval:
    return 100 * interval[0], 100 * interval[1]
