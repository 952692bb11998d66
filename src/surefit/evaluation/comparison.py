"""Whether the model beats a baseline by more than chance explains, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surefit.evaluation.baselines import MAJORITY_CLASS

_SIGNIFICANCE = 0.05
# A gain of less, however certain, seldom pays for a model a thousand times as large.
_SMALL_GAIN_POINTS = 1.0


@dataclass(frozen=True)
class PairedComparison:
    """The model against one baseline on the same test rows.

    Attributes:
        difference: accuracy of the model less accuracy of the baseline, in percentage points.
        p_value: how likely a difference at least as large would be, were both equally accurate.
        n: test rows.
        sentence: what it means, for people.
    """

    difference: float
    p_value: float
    n: int
    sentence: str


def compare(model_correct: NDArray[np.bool_], baseline_correct: NDArray[np.bool_], baseline_name: str) -> PairedComparison:
    """Compares two classifiers row by row by the exact McNemar test.

    Only rows on which exactly one of the two is right say which is better. Were both equally
    accurate, each such row would favour either with probability one half, so that their number is
    binomial (McNemar 1947, Psychometrika 12; for classifiers Dietterich 1998, Neural Computation
    10, section 3.1, here with the binomial distribution itself instead of its approximation).

    Args:
        model_correct: whether the model is right on each test row, shape (n,), n at least 1.
        baseline_correct: the same of the baseline, same rows in the same order, shape (n,).
        baseline_name: what the baseline is called.
    """
    only_model = int(np.count_nonzero(model_correct & ~baseline_correct))
    only_baseline = int(np.count_nonzero(baseline_correct & ~model_correct))
    n = len(model_correct)
    difference = 100 * (only_model - only_baseline) / n
    p_value = exact_mcnemar(only_model, only_baseline)
    return PairedComparison(difference, p_value, n, describe_difference(difference, p_value, n, baseline_name))


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value of the exact McNemar test.

    Args:
        only_first: rows on which the first classifier alone is right.
        only_second: rows on which the second classifier alone is right.
    """
    if only_first + only_second == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def describe_difference(difference: float, p_value: float, n: int, baseline_name: str) -> str:
    """Says in one sentence how the fine-tuned model stands against a baseline and what to do.

    Args:
        difference: its accuracy less accuracy of the baseline, in percentage points.
        p_value: of the paired test of that difference.
        n: test rows.
        baseline_name: what the baseline is called.
    """
    probability = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    evidence = f"{probability}, {n:,} test rows"
    against_majority = baseline_name == MAJORITY_CLASS
    baseline = f"the {baseline_name}" if against_majority else baseline_name
    if p_value >= _SIGNIFICANCE:
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
