import numpy as np
import pytest

from surefit.evaluation.logistic_regression import best_logistic_regression, class_probabilities, sample_rows


def two_classes(n=200):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, n) * 2
    return (rng.standard_normal((n, 4)) + targets[:, None]).astype(np.float32), targets


def test_the_best_penalty_is_the_one_that_scores_best_and_of_equals_the_strongest():
    features, targets = two_classes()
    assert best_logistic_regression(features, targets, (0.1, 1.0, 10.0), lambda model: model.C).C == 10.0
    assert best_logistic_regression(features, targets, (0.1, 1.0, 10.0), lambda model: 0.0).C == 0.1


def test_of_one_penalty_nothing_is_chosen():
    features, targets = two_classes()
    assert best_logistic_regression(features, targets, (0.5,), lambda model: pytest.fail("it was judged")).C == 0.5


def test_probabilities_stand_under_their_classes_and_sum_to_one_in_float64():
    features, targets = two_classes()
    model = best_logistic_regression(features, targets, (1.0,), lambda model: 0.0)
    probabilities = class_probabilities(model, features, 5)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert not probabilities[:, [1, 3, 4]].any()
    assert (probabilities.argmax(axis=1) == targets).mean() > 0.95


def test_few_rows_are_all_taken_in_their_order():
    assert sample_rows(np.array([1, 0, 1]), 3, 0).tolist() == [0, 1, 2]


def test_a_sample_keeps_a_row_of_every_class_and_repeats_by_seed():
    targets = np.zeros(5_000, dtype=np.int64)
    targets[[17, 4_000]] = (1, 2)
    sample = sample_rows(targets, 10, 0)
    assert np.bincount(targets[sample]).tolist() == [8, 1, 1]
    assert len(set(sample.tolist())) == 10
    assert sample.tolist() == sample_rows(targets, 10, 0).tolist()
    assert sample.tolist() != sample_rows(targets, 10, 1).tolist()
