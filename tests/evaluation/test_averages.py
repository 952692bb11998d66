import numpy as np
import pytest

from surefit.evaluation.averages import ClassCounts, averages, influences, rows_if_alike
from surefit.evaluation.metrics import evaluate
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

NAMES = ("a", "b", "c", "d")


def draw(problem_type, n=40):
    """Rows in groups of one to four; class "d" is rare, and some of the rows are wrong."""
    rng = np.random.default_rng(3)
    groups = rng.integers(0, n // 2, n)
    if problem_type == SINGLE_LABEL:
        targets = rng.choice(4, size=n, p=(0.4, 0.3, 0.25, 0.05))
        predicted = np.where(rng.random(n) < 0.7, targets, rng.integers(0, 4, n))
    else:
        targets = (rng.random((n, 4)) < (0.5, 0.3, 0.3, 0.05)).astype(np.int64)
        predicted = np.where(rng.random((n, 4)) < 0.2, 1 - targets, targets)
    return targets, predicted, groups, LabelSchema(problem_type, NAMES)


def by_scikit_learn(targets, predicted, schema):
    result = evaluate(targets, np.full((len(targets), 4), 0.25), predicted, schema)
    return [*vars(result.macro).values(), *vars(result.weighted).values()]


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_figures_are_those_of_scikit_learn_with_and_without_each_group(problem_type):
    targets, predicted, groups, schema = draw(problem_type)
    figures, moved = influences(ClassCounts.of(targets, predicted, groups, schema))
    assert figures == pytest.approx(by_scikit_learn(targets, predicted, schema))
    for row, group in enumerate(np.unique(groups)):
        rest = groups != group
        without = np.array(by_scikit_learn(targets[rest], predicted[rest], schema))
        assert moved[row] == pytest.approx(rest.mean() * (figures - without))


def test_influences_on_a_share_of_rows_sum_up_to_nothing():
    _, moved = influences(ClassCounts.of(*draw(SINGLE_LABEL)))
    weighted_recall = moved[:, 4]
    assert weighted_recall.sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(weighted_recall).max() > 0.01


def test_classes_that_nobody_mentions_do_not_count():
    counts = (np.array([5.0, 5.0, 0.0]), np.array([6.0, 4.0, 0.0]), np.array([5.0, 4.0, 0.0]))
    assert averages(*counts) == pytest.approx(averages(*(count[:2] for count in counts)))


@pytest.mark.parametrize("accuracy", [0.6, 0.9, 1.0])
def test_rows_of_classes_of_one_size_and_difficulty_count_in_full(accuracy):
    rows = 1_000
    targets = np.arange(rows) % 4
    wrong = np.arange(rows) // 4 % 10 >= round(10 * accuracy)
    predicted = np.where(wrong, (targets + 1) % 4, targets)
    counts = ClassCounts.of(targets, predicted, np.arange(rows), LabelSchema(SINGLE_LABEL, NAMES))
    assert rows_if_alike(counts) == pytest.approx([rows] * 6, rel=0.25)


def test_rows_of_a_small_class_count_for_more():
    targets = np.repeat([0, 1], [980, 20])
    counts = ClassCounts.of(targets, targets, np.arange(1000), LabelSchema(SINGLE_LABEL, ("a", "b")))
    # Kish's effective sample size for two means that weigh the same: 4 / (1 / 980 + 1 / 20).
    assert rows_if_alike(counts)[1] == pytest.approx(4 / (1 / 980 + 1 / 20), rel=0.01)
    assert rows_if_alike(counts)[4] == pytest.approx(1000, rel=0.01)
