import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from surefit.evaluation.macro_f1 import _fit_log_weights, macro_f1_thresholds


def rows(n, shares, signal, seed=0):
    """Targets by class shares, and calibrated probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(len(shares), n, p=shares)
    evidence = rng.normal(size=(n, len(shares)))
    evidence[np.arange(n), targets] += signal
    return softmax(signal * evidence + np.log(shares), axis=1), targets


def macro(targets, decided):
    return f1_score(targets, decided, average="macro", zero_division=0.0)


def test_thresholds_raise_macro_f1_on_other_rows():
    shares = [0.85, 0.1, 0.05]
    thresholds, gain = macro_f1_thresholds(*rows(3000, shares, 1.3))
    assert gain > 0
    assert sum(thresholds) == pytest.approx(1)
    probabilities, targets = rows(20_000, shares, 1.3, seed=1)
    fitted = macro(targets, (probabilities / np.array(thresholds)).argmax(axis=1))
    assert fitted > macro(targets, probabilities.argmax(axis=1)) + 0.01


def test_one_weight_is_the_best_that_there_is():
    """With two classes all thresholds can be tried."""
    probabilities, targets = rows(300, [0.8, 0.2], 1.0)
    weights = _fit_log_weights(np.log(probabilities), targets)
    fitted = macro(targets, (np.log(probabilities) + weights).argmax(axis=1))
    tried = [macro(targets, (probabilities[:, 1] > threshold).astype(int)) for threshold in [-1, *probabilities[:, 1]]]
    assert fitted == pytest.approx(max(tried))


def test_each_sweep_raises_the_macro_f1_of_the_rows_that_it_is_fitted_to():
    probabilities, targets = rows(400, [0.5, 0.2, 0.15, 0.1, 0.05], 0.8)
    log_probabilities = np.log(probabilities)
    weights = _fit_log_weights(log_probabilities, targets)
    plain = macro(targets, probabilities.argmax(axis=1))
    assert macro(targets, (log_probabilities + weights).argmax(axis=1)) > plain


def test_where_there_is_nothing_to_gain_there_are_no_thresholds():
    thresholds, gain = macro_f1_thresholds(*rows(300, [1 / 30] * 30, 2.5))
    assert thresholds is None
    assert gain <= 0


@pytest.mark.parametrize("n", [1, 4, 5, 6])
def test_few_rows_give_no_error(n):
    probabilities, targets = rows(n, [0.5, 0.3, 0.2], 1.0)
    thresholds, _ = macro_f1_thresholds(probabilities, targets)
    assert thresholds is None or len(thresholds) == 3


def test_classes_without_rows_and_probabilities_of_zero_are_no_error():
    probabilities, targets = np.eye(4)[[0, 1] * 20], np.array([0, 1] * 20)
    thresholds, gain = macro_f1_thresholds(probabilities, targets)
    assert (thresholds, gain) == (None, 0.0)
