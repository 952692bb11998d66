"""Whether probabilities mean what they say, and the one temperature that brings them nearer to it.

Probabilities are calibrated when, of all texts that are given 0.9, nine in ten are right. What is
compared are answers: for single label the confidence in the most probable class with whether that
class is right (Guo et al. 2017, section 2), for several labels the probability of each class for
each text with whether the text has it. Answers are sorted by confidence and cut into bins that
hold the same number of them (Nguyen and O'Connor 2015, section 3); equal confidences stay together.

A calibration error is never zero on a finite number of rows, however good the probabilities are.
So it stands beside what perfectly calibrated probabilities would show on the same rows: outcomes
are drawn from the confidences themselves (consistency resampling, Bröcker and Smith 2007; as a
test, Vaicenavicius et al. 2019, section 5).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.decision import probabilities
from surefit.errors import DataError
from surefit.evaluation.grouped_rows import Interval, mean_of_rows
from surefit.evaluation.metrics import log_loss, row_log_losses
from surefit.types import MULTI_LABEL, FloatArray, Int64Array, ProblemType

_BINS = 15
_SIGNIFICANCE = 0.05
# Standard deviation of the temperature's logarithm about 0 before any row is seen: nearly always between 0.5 and 2.
# Measured: wider ones are worse where there are some 30 rows, narrower ones hold back what models of few epochs need.
_PRIOR_DEVIATION = 0.35
# Logits divided by more say nothing any more; a model that has hardly begun may need as little as one part in so many.
_HIGHEST_TEMPERATURE = 20.0
_DRAWS = 500
# Outcomes are drawn one by one up to so many answers, and of more for neighbours together.
_MOST_DRAWN = 10_000
# Of what confidence the sentence gives an example.
_SPOKEN_CONFIDENCE = 0.9
# However certain, an error of no more matters little.
_SMALL_ERROR = 0.02
# Where chance alone explains more, the test is said to be weak.
_WEAK_TEST = 0.05


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same confidence.

    Attributes:
        confidence: their mean confidence.
        share_right: how many of them are right, between 0 and 1.
        low: lower end of its 95% interval (Wilson 1927).
        high: upper end.
        n: number of answers.
    """

    confidence: float
    share_right: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from what happened.

    Attributes:
        expected_calibration_error: distance between confidence and share right, averaged over the
            bins by the number of their answers (Naeini et al. 2015).
        expected_by_chance: the 95th percentile of that error if the confidences were exactly right.
            Answers are taken to be independent, which those of one text with several labels are
            not quite.
        brier_score: squared distance between probabilities and truth (Brier 1950): for single label
            summed over the classes, from 0 to 2; for several labels the mean over the classes.
        log_loss: cross-entropy in nats a row; for several labels a row and class.
        brier_interval: the 95% interval of the Brier score; None where all groups of rows have the same.
        log_loss_interval: that of the log loss, likewise.
        bins: by rising confidence, at most 15; fewer where there are fewer rows or many equal
            confidences.
        n: number of rows.
    """

    expected_calibration_error: float
    expected_by_chance: float
    brier_score: float
    log_loss: float
    brier_interval: Interval | None
    log_loss_interval: Interval | None
    bins: tuple[ReliabilityBin, ...]
    n: int

    @property
    def beyond_chance(self) -> bool:
        """Whether the error is more than chance explains."""
        return self.expected_calibration_error > self.expected_by_chance

    @property
    def bias(self) -> float:
        """Mean confidence less share right, over all answers."""
        gaps = [answers.confidence - answers.share_right for answers in self.bins]
        return float(np.average(gaps, weights=[answers.n for answers in self.bins]))


@dataclass(frozen=True)
class TemperatureScaling:
    """What a temperature does to probabilities.

    Attributes:
        temperature: logits are divided by it; 1 leaves them as they are.
        before: of the probabilities as the model gives them.
        after: of those with the temperature.
        sentence: what it means, for people.
    """

    temperature: float
    before: Calibration
    after: Calibration
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as they stand in `metrics.json`."""
        return asdict(self)


def fit_temperature(logits: NDArray[Any], targets: Int64Array, problem_type: ProblemType) -> float:
    """The temperature by which logits are to be divided (Guo et al. 2017, section 4.2).

    It minimises the summed log loss of the given rows plus (log temperature)² / (2 · 0.35²), which is
    the posterior mode under a log-normal prior: without it a model that is right on all rows would want
    a temperature of 0. The more rows, the less the prior weighs.

    The temperature is taken only where the likelihood-ratio test (Wilks 1938, 5%) says that it
    explains the rows better than 1 does; else 1 is given back. Few rows seldom show it, and a
    temperature from noise makes new probabilities worse.

    Args:
        logits: as the model gives them, shape (n, classes), of rows that it did not learn from.
        targets: the truth, class ids of shape (n,) for single label, else 0/1 of shape (n, classes).
        problem_type: how probabilities are made.

    Returns:
        From 0.05 to 20, which stands for a model that knows less than nothing.

    Raises:
        DataError: there is no row.
        ModelError: a logit is not a finite number.
    """
    _require_rows(targets)
    from scipy.stats import chi2

    temperature = _posterior_mode(np.asarray(logits, dtype=np.float64), targets, problem_type)
    losses = [log_loss(targets, probabilities(logits, problem_type, given), problem_type) for given in (1.0, temperature)]
    statistic = 2 * targets.size * (losses[0] - losses[1])
    return temperature if statistic > chi2.ppf(1 - _SIGNIFICANCE, df=1) else 1.0


def _posterior_mode(logits: FloatArray, targets: Int64Array, problem_type: ProblemType) -> float:
    from scipy.optimize import brentq

    def slope(log_inverse: float) -> float:
        """Derivative by the logarithm of 1 / temperature of what is minimised."""
        inverse = math.exp(log_inverse)
        scores = probabilities(logits, problem_type, 1 / inverse)
        # Of two classes with one logit, it is that of the last: the other's is 0.
        residuals = (scores - _indicators(targets, scores.shape[1]))[:, -logits.shape[1] :]
        return inverse * float(np.vdot(residuals, logits)) + log_inverse * _PRIOR_DEVIATION**-2

    # Where the log loss falls at 1, its minimum lies beyond, and there the prior's derivative has the other sign.
    farthest = math.copysign(math.log(_HIGHEST_TEMPERATURE), -slope(0.0))
    if slope(0.0) * slope(farthest) >= 0:
        return math.exp(-farthest) if slope(0.0) else 1.0
    return math.exp(-float(brentq(slope, 0.0, farthest, rtol=1e-6)))


def calibration(
    probabilities: FloatArray,
    targets: Int64Array,
    problem_type: ProblemType,
    seed: int = 0,
    groups: Int64Array | None = None,
) -> Calibration:
    """Compares probabilities with what happened.

    Args:
        probabilities: shape (n, classes).
        targets: the truth, class ids of shape (n,) for single label, else 0/1 of shape (n, classes).
        problem_type: which answers are compared (see the module's text).
        seed: of the outcomes drawn for `expected_by_chance`.
        groups: rows with the same or nearly the same text share a number, shape (n,); each is alone when not given.

    Raises:
        DataError: there is no row.
    """
    _require_rows(targets)
    truth = _indicators(targets, probabilities.shape[1])
    if problem_type == MULTI_LABEL:
        confidences, hits = probabilities.ravel(), truth.ravel()
    else:
        confidences, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    order = np.argsort(confidences)
    confidences, right = confidences[order], hits[order].astype(np.int64)
    starts = _bin_starts(confidences)
    error, by_chance = _errors(confidences, right, starts, seed)
    squares = np.square(probabilities - truth)
    brier = squares.mean(axis=1) if problem_type == MULTI_LABEL else squares.sum(axis=1)
    losses = row_log_losses(targets, probabilities, problem_type)
    of_brier, of_losses = (
        mean_of_rows(values, np.arange(len(values)) if groups is None else groups) for values in (brier, losses)
    )
    return Calibration(
        expected_calibration_error=error,
        expected_by_chance=by_chance,
        brier_score=float(brier.mean()),
        log_loss=log_loss(targets, probabilities, problem_type),
        brier_interval=of_brier,
        log_loss_interval=of_losses,
        bins=_reliability(confidences, right, starts),
        n=len(targets),
    )


def _bin_starts(confidences: FloatArray) -> Int64Array:
    """Where the bins of sorted confidences begin; the last of a bin is never equal to the first of the next."""
    last = np.quantile(confidences, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    starts = np.unique(np.concatenate([[0], np.searchsorted(confidences, last, side="right")]))
    return starts[starts < len(confidences)]


def _errors(confidences: FloatArray, right: Int64Array, starts: Int64Array, seed: int) -> tuple[float, float]:
    """The expected calibration error, and its 95th percentile were the confidences exactly right.

    Of many answers, runs of neighbours in a bin are drawn together, by the binomial distribution
    with their mean confidence. Their confidences are so nearly equal that it is the same.
    """
    n = len(confidences)
    runs = np.union1d(starts, np.arange(0, n, -(-n // _MOST_DRAWN)))
    sizes = np.diff(runs, append=n)
    expected = np.add.reduceat(confidences, runs)
    drawn = np.random.default_rng(seed).binomial(sizes, np.minimum(expected / sizes, 1.0), (_DRAWS, len(runs)))
    hits = np.vstack([np.add.reduceat(right, runs), drawn])
    # What happened goes the way of what is drawn, so that equal outcomes have equal errors to the bit.
    bins = np.searchsorted(runs, starts)
    gaps = np.add.reduceat(hits, bins, axis=1) - np.add.reduceat(expected, bins)
    errors = np.abs(gaps).sum(axis=1) / n
    return float(errors[0]), float(np.quantile(errors[1:], 1 - _SIGNIFICANCE))


def _reliability(confidences: FloatArray, right: Int64Array, starts: Int64Array) -> tuple[ReliabilityBin, ...]:
    from scipy.stats import binomtest

    sizes = np.diff(starts, append=len(confidences))
    sums = zip(np.add.reduceat(confidences, starts), np.add.reduceat(right, starts), sizes, strict=True)
    bins = []
    for confidence, hits, n in sums:
        interval = binomtest(int(hits), int(n)).proportion_ci(1 - _SIGNIFICANCE, method="wilson")
        bins.append(ReliabilityBin(float(confidence / n), float(hits / n), float(interval.low), float(interval.high), int(n)))
    return tuple(bins)


def scale_temperature(
    temperature: float,
    logits: NDArray[Any],
    targets: Int64Array,
    problem_type: ProblemType,
    seed: int = 0,
    groups: Int64Array | None = None,
) -> TemperatureScaling:
    """Compares the probabilities before and after a temperature on rows that it was not fitted on.

    Args:
        temperature: as `fit_temperature` gives it.
        logits: of the test rows, shape (n, classes).
        targets: the truth, class ids of shape (n,) for single label, else 0/1 of shape (n, classes).
        problem_type: how probabilities are made.
        seed: of the outcomes drawn for `expected_by_chance`.
        groups: as for `calibration`.

    Raises:
        DataError: there is no row.
        ModelError: a logit is not a finite number.
    """
    before, after = (
        calibration(probabilities(logits, problem_type, given), targets, problem_type, seed, groups)
        for given in (1.0, temperature)
    )
    return TemperatureScaling(temperature, before, after, _describe(temperature, before, after, problem_type))


def _describe(temperature: float, before: Calibration, after: Calibration, problem_type: ProblemType) -> str:
    if temperature == 1:
        what = (
            f"the probabilities are {_state(before, problem_type)}; they are left as they are, "
            "since the validation rows do not show that a temperature makes them better"
        )
    else:
        what = (
            f"the probabilities are {_state(before, problem_type)} before a temperature of {temperature:.2f} "
            f"and {_state(after, problem_type)} after it"
        )
    return f"{what}; {_example(after, problem_type)}{_doubt(after)}"


def _state(found: Calibration, problem_type: ProblemType) -> str:
    error, by_chance = found.expected_calibration_error, found.expected_by_chance
    too_much, too_little = ("too high", "too low") if problem_type == MULTI_LABEL else ("too confident", "too cautious")
    if not found.beyond_chance:
        state = f"right as far as {found.n:,} test row{'' if found.n == 1 else 's'} can tell"
    elif error <= _SMALL_ERROR:
        state = "nearly right"
    elif abs(found.bias) < error / 2:
        state = f"{too_much} in places and {too_little} in others"
    else:
        state = too_much if found.bias > 0 else too_little
    return f"{state} (calibration error {error:.3f}, by chance up to {by_chance:.3f})"


def _example(found: Calibration, problem_type: ProblemType) -> str:
    """What the share right is in the bin nearest to a confidence of 0.9."""
    nearest = min(found.bins, key=lambda answers: abs(answers.confidence - _SPOKEN_CONFIDENCE))
    one, several = ("label", "labels") if problem_type == MULTI_LABEL else ("text", "texts")
    answers = f"the {nearest.n:,} {several if nearest.n > 1 else one}"
    interval = f"{nearest.low:.0%} to {nearest.high:.0%}"
    return f"of {answers} given about {nearest.confidence:.2f}, {nearest.share_right:.0%} are right ({interval})"


def _doubt(found: Calibration) -> str:
    if found.beyond_chance or found.expected_by_chance <= _WEAK_TEST:
        return ""
    return f"; with so few test rows an error of {found.expected_by_chance:.2f} would not be seen"


def _indicators(targets: Int64Array, classes: int) -> NDArray[np.bool_]:
    """Whether a row has a class, shape (n, classes)."""
    return targets.astype(np.bool_) if targets.ndim == 2 else targets[:, None] == np.arange(classes)


def _require_rows(targets: Int64Array) -> None:
    if len(targets) == 0:
        raise DataError("there are no rows to calibrate on; give a file with at least one labelled row")
