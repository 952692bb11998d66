import json

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from surefit.decision import ABSTAINED_ID, decide, scores_against_others
from surefit.evaluation.requests import DecisionRequest
from surefit.evaluation.threshold_report import threshold_report
from surefit.evaluation.thresholds import ScoredRows, fit_rule
from surefit.types import SINGLE_LABEL, LabelSchema

THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))


def scored(n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    evidence = rng.normal(size=(n, classes))
    evidence[np.arange(n), targets] += 1.5
    return ScoredRows(softmax(1.5 * evidence, axis=1), targets)


def reported(request, validation=None, test=None, schema=THREE, groups=None):
    validation, test = validation or scored(900), test or scored(1200, seed=1)
    groups = np.arange(len(test)) if groups is None else groups
    return threshold_report(validation, test, groups, schema, request, fit_rule(validation, schema, request))


def test_each_class_has_its_threshold_of_best_f1_fitted_on_validation_and_judged_on_test():
    validation, test = scored(900), scored(1200, seed=1)
    report = reported(DecisionRequest(), validation, test)
    for class_id, name in enumerate(THREE.id2label):
        found = report.per_class[name]
        for rows, figures in ((validation, found.validation), (test, found.test)):
            answered = scores_against_others(rows.probabilities)[:, class_id] > found.threshold
            precision, recall, f1, _ = precision_recall_fscore_support(rows.targets == class_id, answered, average="binary")
            assert (figures.precision, figures.recall, figures.f1) == pytest.approx((precision, recall, f1))
            assert figures.support == np.count_nonzero(rows.targets == class_id)


def test_the_curve_of_the_named_class_goes_through_the_chosen_point():
    test = scored(1200, seed=1)
    report = reported(DecisionRequest(positive="b", min_precision=0.9), test=test)
    (name, curve), *others = report.curves.items()
    assert (name, others) == ("b", [])
    assert len(curve.thresholds) == len(curve.precision) == len(curve.recall) <= 200
    assert curve.recall[-1] == 1.0
    assert list(curve.recall) == sorted(curve.recall)
    answered = decide(test.probabilities, THREE, report.fitted.rule) == 1
    right = answered & (test.targets == 1)
    assert curve.chosen.precision == pytest.approx(right.sum() / answered.sum())
    assert curve.chosen.recall == pytest.approx(right.sum() / curve.chosen.support)
    assert np.interp(curve.chosen.recall, curve.recall, curve.precision) == pytest.approx(curve.chosen.precision, abs=0.02)


def test_coverage_falls_as_errors_do_and_the_chosen_point_is_the_rule_s():
    report = reported(DecisionRequest(max_error=0.05))
    coverage = report.coverage
    assert len(coverage.coverage) <= 200
    assert coverage.coverage[-1] == 1.0
    assert 0 < coverage.area < coverage.error[-1]
    assert coverage.validation.error <= 0.05
    assert coverage.chosen.error == pytest.approx(0.05, abs=0.03)
    assert np.interp(coverage.chosen.coverage, coverage.coverage, coverage.error) == pytest.approx(
        coverage.chosen.error, abs=0.01
    )


def test_thresholds_of_a_sure_model_give_the_points_that_stand_beside_them():
    validation, test = scored(900), scored(1200, seed=1)
    sure = ScoredRows(1 - (1 - test.probabilities) * 1e-7, test.targets)  # as many digits that are alike
    report = reported(DecisionRequest(), validation, sure)
    answers = sure.probabilities.argmax(axis=1)
    largest = sure.probabilities.max(axis=1)
    for threshold, coverage, error in zip(
        report.coverage.thresholds, report.coverage.coverage, report.coverage.error, strict=True
    ):
        answered = largest >= threshold
        assert answered.mean() == pytest.approx(coverage, abs=1e-6)
        assert (answers != sure.targets)[answered].mean() == pytest.approx(error, abs=1e-6)
    scores = scores_against_others(sure.probabilities)[:, 1]
    curve = report.curves["b"]
    for threshold, precision, recall in zip(curve.thresholds, curve.precision, curve.recall, strict=True):
        answered, of_class = scores >= threshold, sure.targets == 1
        assert of_class[answered].mean() == pytest.approx(precision, abs=1e-6)
        assert answered[of_class].mean() == pytest.approx(recall, abs=1e-6)


def test_a_rule_that_never_abstains_covers_all():
    report = reported(DecisionRequest())
    assert (report.coverage.chosen.coverage, report.coverage.chosen.answered) == (1.0, 1200)
    assert report.coverage.chosen.error == pytest.approx(report.coverage.error[-1], abs=1e-6)
    assert report.costs is None


def test_costs_are_held_against_those_of_the_most_probable_class():
    report = reported(DecisionRequest(costs=((0.0, 1.0, 1.0), (9.0, 0.0, 9.0), (1.0, 1.0, 0.0))))
    assert report.costs.rule < report.costs.most_probable


def test_costs_that_abstaining_saves_are_not_put_down_to_the_rule():
    alike = ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))  # the most probable class is the cheapest
    report = reported(DecisionRequest(costs=alike, max_error=0.05))
    assert 0 < report.coverage.chosen.coverage < 1
    assert report.costs.rule == report.costs.most_probable == pytest.approx(report.coverage.chosen.error)


def test_of_many_classes_at_most_twenty_have_curves_and_the_report_stays_small():
    schema = LabelSchema(SINGLE_LABEL, tuple(f"class {number}" for number in range(120)))
    report = reported(DecisionRequest(max_error=0.1), scored(6000, 120), scored(6000, 120, seed=1), schema)
    assert len(report.per_class) == 120
    assert len(report.curves) == 20
    drawn = max(report.per_class[name].validation.f1 for name in report.curves)
    assert all(of.validation.f1 >= drawn for name, of in report.per_class.items() if name not in report.curves)
    assert len(json.dumps(report.to_dict(), allow_nan=False)) < 300_000


@pytest.mark.parametrize("asked", [{}, {"positive": "a", "min_precision": 0.9}, {"min_precision": 0.9}, {"max_error": 0.1}])
def test_one_row_and_classes_without_rows_are_no_error(asked):
    one = ScoredRows(np.array([[0.5, 0.3, 0.2]]), np.array([1]))
    report = reported(DecisionRequest(**asked), one, one)
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert set(content) == {"request", "fitted", "per_class", "curves", "coverage", "costs"}
    assert content["per_class"]["a"] == dict.fromkeys(("threshold", "validation", "test", "test_intervals"))


def test_a_class_without_test_rows_has_figures_of_zero():
    test = scored(300, seed=1)
    kept = test.targets != 2
    report = reported(DecisionRequest(), test=ScoredRows(test.probabilities[kept], test.targets[kept]))
    assert (report.per_class["c"].test.recall, report.per_class["c"].test.support) == (0.0, 0)
    assert set(report.curves["c"].recall) == {0.0}


def test_figures_of_test_rows_have_intervals_by_groups():
    test = scored(1200, seed=1)
    alone = reported(DecisionRequest(max_error=0.05), test=test)
    answers = decide(test.probabilities, THREE, alone.fitted.rule)
    answered = answers != ABSTAINED_ID
    wrong = int((answers != test.targets)[answered].sum())
    wilson = binomtest(wrong, int(answered.sum())).proportion_ci(method="wilson")
    assert alone.coverage.chosen.error_interval == pytest.approx((wilson.low, wilson.high))
    twice = ScoredRows(np.repeat(test.probabilities, 2, axis=0), np.repeat(test.targets, 2))
    together = reported(DecisionRequest(max_error=0.05), test=twice, groups=np.repeat(np.arange(1200), 2))
    assert together.coverage.chosen.error_interval == pytest.approx(alone.coverage.chosen.error_interval)
    for name, found in alone.per_class.items():
        for figure in ("precision", "recall", "f1"):
            low, high = getattr(found.test_intervals, figure)
            assert low < getattr(found.test, figure) < high
            assert high - low < 0.1
        assert together.per_class[name].test_intervals.recall == pytest.approx(found.test_intervals.recall)


def test_the_mean_cost_has_an_interval_where_costs_are_losses():
    table = ((0.0, 1.0, 2.0), (5.0, 0.0, 1.0), (1.0, 1.0, 0.0))
    costs = reported(DecisionRequest(costs=table)).costs
    low, high = costs.rule_interval
    assert low < costs.rule < high
    gains = tuple(tuple(cost - 1 for cost in row) for row in table)
    assert reported(DecisionRequest(costs=gains)).costs.rule_interval is None
