import json
import math

import numpy as np
import pytest
from benchmarks.simulated_rows import Population, held, lopsided
from scipy.stats import binomtest

from surefit.errors import DataError
from surefit.evaluation.intervals import confidence_intervals
from surefit.evaluation.metrics import evaluate
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
TAGS = LabelSchema(MULTI_LABEL, ("x", "y", "z"))
FIGURES = ("precision", "recall", "f1")


def single_label(rng, n=60, accuracy=0.7):
    targets = rng.integers(0, 3, n)
    predicted = np.where(rng.random(n) < accuracy, targets, rng.integers(0, 3, n))
    return targets, rng.dirichlet(np.ones(3), n), predicted


def multi_label(rng, n=60):
    targets = (rng.random((n, 3)) < 0.4).astype(np.int64)
    predicted = np.where(rng.random((n, 3)) < 0.2, 1 - targets, targets)
    return targets, rng.random((n, 3)), predicted


def intervals_of(targets, predicted, groups=None, schema=THREE, level=0.95):
    targets, predicted = np.asarray(targets), np.asarray(predicted)
    probabilities = np.full((len(targets), len(schema)), 1 / len(schema))
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    return confidence_intervals(targets, probabilities, predicted, groups, schema, level)


def wilson(right, rows):
    limits = binomtest(right, rows).proportion_ci(method="wilson")
    return pytest.approx((limits.low, limits.high), abs=1e-9)


@pytest.mark.parametrize(
    "population",
    [
        Population((0.5, 0.5), 0.9, 200),
        Population((0.1,) * 10, 0.8, 200),
        Population((0.2,) * 5, 0.95, 200, grouped=True),
        Population(lopsided(5, 200), 0.6, 200, grouped=True),
        Population(lopsided(3, 1000), 0.9, 1000),
        Population(lopsided(6, 1000), 0.97, 1000, grouped=True),
    ],
    ids=str,
)
def test_of_a_thousand_intervals_about_95_percent_hold_the_truth(population):
    rng = np.random.default_rng(20)
    probabilities = np.full((population.rows, len(population.shares)), 1 / len(population.shares))
    accuracy, macro_f1 = [], []
    for _ in range(1_000):
        groups = population.groups(rng)
        targets = population.targets(groups, rng)
        predicted = population.answers(targets, groups, rng)
        found = confidence_intervals(targets, probabilities, predicted, groups, population.schema)
        accuracy.append(found.accuracy)
        macro_f1.append(found.macro.f1)
    assert 0.92 <= held(accuracy, population.accuracy) <= 0.98
    assert 0.92 <= held(macro_f1, population.macro_f1) <= 0.98


@pytest.mark.parametrize(("draw", "schema"), [(single_label, THREE), (multi_label, TAGS)])
def test_each_figure_lies_within_its_interval(draw, schema):
    rng = np.random.default_rng(1)
    for n in (1, 2, 7, 60):
        targets, probabilities, predicted = draw(rng, n)
        figures = evaluate(targets, probabilities, predicted, schema).to_dict()
        found = confidence_intervals(targets, probabilities, predicted, rng.integers(0, n, n), schema).to_dict()
        pairs = [(figures["accuracy"], found["accuracy"]), (figures["loss"], found["loss"])]
        for of_figures, of_found in zip(
            (figures["macro"], figures["weighted"], *figures["per_class"].values()),
            (found["macro"], found["weighted"], *found["per_class"].values()),
            strict=True,
        ):
            pairs += [(of_figures[name], of_found[name]) for name in FIGURES]
        for figure, interval in pairs:
            if interval is not None:
                low, high = interval
                assert low < high
                assert low - 1e-12 <= figure <= high + 1e-12


def test_shares_of_rows_that_stand_alone_have_wilsons_interval():
    targets, _, predicted = single_label(np.random.default_rng(2))
    found = intervals_of(targets, predicted)
    right = targets == predicted
    assert found.accuracy == wilson(int(right.sum()), 60)
    assert found.weighted.recall == pytest.approx(found.accuracy)
    assert found.per_class["b"].recall == wilson(int(right[targets == 1].sum()), int((targets == 1).sum()))
    assert found.per_class["b"].precision == wilson(int(right[predicted == 1].sum()), int((predicted == 1).sum()))


def test_f1_of_a_class_comes_from_its_share_of_right_rows_among_those_that_concern_it():
    targets, _, predicted = single_label(np.random.default_rng(3))
    concerned = (targets == 2) | (predicted == 2)
    limits = binomtest(int((targets == predicted)[concerned].sum()), int(concerned.sum())).proportion_ci(method="wilson")
    f1 = [2 * limit / (1 + limit) for limit in (limits.low, limits.high)]
    assert intervals_of(targets, predicted).per_class["c"].f1 == pytest.approx(f1)


def test_rows_that_stand_twice_say_no_more_than_once():
    targets, _, predicted = single_label(np.random.default_rng(4))
    once = intervals_of(targets, predicted)
    twice = intervals_of(np.repeat(targets, 2), np.repeat(predicted, 2), np.repeat(np.arange(60), 2))
    assert twice.accuracy == pytest.approx(once.accuracy)
    assert twice.macro.f1 == pytest.approx(once.macro.f1, abs=0.002)
    for name in THREE.id2label:
        assert twice.per_class[name].recall == pytest.approx(once.per_class[name].recall)


def test_numbers_of_groups_may_be_any():
    targets, _, predicted = single_label(np.random.default_rng(5))
    groups = np.random.default_rng(5).integers(0, 20, 60)
    assert intervals_of(targets, predicted, groups) == intervals_of(targets, predicted, 7 * groups - 1_000_000)


@pytest.mark.parametrize("right", [True, False])
def test_where_all_is_right_or_wrong_the_interval_is_still_open(right):
    targets = np.arange(200) % 3
    found = intervals_of(targets, targets if right else (targets + 1) % 3)
    end, width = (1, 1.96**2 / (200 + 1.96**2)) if right else (0, 1.96**2 / (200 + 1.96**2))
    for low, high in (found.accuracy, found.weighted.recall, found.macro.recall, found.macro.f1):
        assert (high if right else low) == end
        assert high - low == pytest.approx(width, rel=0.05)


def test_where_all_is_right_rows_in_groups_leave_more_open():
    targets = np.arange(200) % 2
    alone, grouped = intervals_of(targets, targets), intervals_of(np.sort(targets), np.sort(targets), np.arange(200) // 10)
    assert grouped.accuracy == wilson(20, 20)
    for name in ("macro", "weighted"):
        assert getattr(grouped, name).f1[0] < getattr(alone, name).f1[0] - 0.1


def test_a_small_class_with_nothing_wrong_does_not_make_macro_recall_sure():
    # 10% of 980 rows are wrong, none of the 20: their class may well be as hard as the other.
    targets = np.repeat([0, 1], [980, 20])
    predicted = np.where(np.arange(1000) % 10 == 0, 1, targets)
    assert intervals_of(targets, predicted, schema=LabelSchema(SINGLE_LABEL, ("a", "b"))).macro.recall[0] < 0.92


def test_one_row_says_little():
    found = intervals_of([0], [0])
    assert found.accuracy == wilson(1, 1)
    assert found.macro.f1[0] < 0.25
    assert found.loss is None


@pytest.mark.parametrize(("target", "answer"), [(0, 0), (0, 1), (1, 0), (0, -1)])
def test_one_row_right_wrong_or_abstained_from_leaves_nearly_all_open(target, answer):
    found = intervals_of(np.array([target]), np.array([answer]))
    assert found.accuracy[1] - found.accuracy[0] > 0.7
    for low, high in (found.macro.f1, found.macro.recall, found.weighted.f1):
        assert high - low > 0.5


def test_rows_that_the_model_abstained_from_are_of_no_predicted_class():
    targets, answers = np.array([0, 0, 1, 1] * 10), np.array([0, -1, 1, 1] * 10)
    found = intervals_of(targets, answers)
    all_rows = intervals_of(targets, np.where(answers < 0, 1, answers))
    assert found.accuracy == all_rows.accuracy
    assert found.per_class["b"].precision[0] > all_rows.per_class["b"].precision[1] - 0.2
    assert found.per_class["a"].recall == all_rows.per_class["a"].recall


def test_many_rows_of_one_group_say_no_more_than_one_row():
    found = intervals_of([0] * 50, [0] * 50, [9] * 50)
    assert found.accuracy == wilson(1, 1)
    assert found.macro.f1[0] < 0.25


def test_what_no_row_tells_has_no_interval():
    found = intervals_of([0, 0, 0, 0], [0, 1, 0, 0])
    assert found.per_class["a"].recall is not None
    assert found.per_class["b"].recall is None
    assert found.per_class["b"].precision is not None
    assert (found.per_class["c"].precision, found.per_class["c"].recall, found.per_class["c"].f1) == (None, None, None)


def test_rows_without_any_label_leave_averages_untold():
    nothing = np.zeros((5, 3), dtype=np.int64)
    found = intervals_of(nothing, nothing, schema=TAGS)
    assert found.accuracy == wilson(5, 5)
    assert found.macro.f1 is None
    assert found.weighted.recall is None


def test_a_row_of_several_labels_is_right_where_its_whole_set_is():
    targets, _, predicted = multi_label(np.random.default_rng(6))
    whole = int((targets == predicted).all(axis=1).sum())
    assert intervals_of(targets, predicted, schema=TAGS).accuracy == wilson(whole, 60)


@pytest.mark.parametrize(("draw", "schema"), [(single_label, THREE), (multi_label, TAGS)])
def test_the_interval_of_the_loss_is_around_the_loss(draw, schema):
    targets, probabilities, predicted = draw(np.random.default_rng(7))
    probabilities[0] = [0, 0.5, 0.5]  # a zero is clipped as scikit-learn does it
    low, high = confidence_intervals(targets, probabilities, predicted, np.arange(60), schema).loss
    assert math.sqrt(low * high) == pytest.approx(evaluate(targets, probabilities, predicted, schema).loss)


def test_more_confidence_takes_a_wider_interval():
    targets, _, predicted = single_label(np.random.default_rng(8))
    (low, high), (wider_low, wider_high) = (intervals_of(targets, predicted, level=level).macro.f1 for level in (0.8, 0.99))
    assert wider_low < low < high < wider_high


def test_the_plain_form_has_the_names_of_the_figures_and_is_json():
    targets, probabilities, predicted = single_label(np.random.default_rng(9))
    found = confidence_intervals(targets, probabilities, predicted, np.arange(60), THREE).to_dict()
    assert json.loads(json.dumps(found)) == found
    figures = evaluate(targets, probabilities, predicted, THREE).to_dict()
    assert set(found) == set(figures) - {"n", "answered", "confusion_matrix"}
    assert set(found["macro"]) == set(figures["macro"])
    assert list(found["per_class"]) == list(figures["per_class"])
    assert set(found["per_class"]["a"]) == set(figures["per_class"]["a"]) - {"support"}


def test_no_rows_are_an_error():
    with pytest.raises(DataError, match="no rows"):
        intervals_of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
