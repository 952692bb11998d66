"""Temperatures that were planted are found again, and errors of calibration are told from chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from surefit.decision import probabilities
from surefit.errors import DataError, ModelError
from surefit.evaluation.calibration import calibration, fit_temperature, scale_temperature
from surefit.types import MULTI_LABEL, SINGLE_LABEL, DecisionRule


def draw(n, classes, temperature, seed, problem_type=SINGLE_LABEL):
    """Logits, and targets for which dividing them by the temperature is exactly right."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, classes))
    scores = probabilities(logits, problem_type, temperature)
    if problem_type == MULTI_LABEL:
        return logits, (rng.random(scores.shape) < scores).astype(np.int64)
    return logits, (scores.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def margin(value, right, n):
    """Logits of n rows that favour one of two classes by a margin, and targets of which the first are right."""
    logits = np.tile([0.0, value], (n, 1))
    return logits, (np.arange(n) < right).astype(np.int64)


def answers(confidences, right):
    """Probabilities of two classes, class 1 with the given confidences, and targets by whether that is right."""
    confidences = np.asarray(confidences, dtype=np.float64)
    return np.column_stack([1 - confidences, confidences]), np.asarray(right, dtype=np.int64)


class TestFitTemperature:
    @pytest.mark.parametrize("temperature", [0.5, 1.7, 3.0])
    def test_a_planted_temperature_is_found_within_its_statistical_error(self, temperature):
        hits = 0
        for seed in range(50):
            logits, targets = draw(8000, 4, temperature, seed)
            scores = probabilities(logits, SINGLE_LABEL, temperature)
            variances = (scores * logits**2).sum(axis=1) - (scores * logits).sum(axis=1) ** 2
            standard_error = variances.sum() ** -0.5  # of 1 / temperature, by the Fisher information
            hits += abs(1 / fit_temperature(logits, targets, SINGLE_LABEL) - 1 / temperature) < 1.96 * standard_error
        assert hits >= 43  # 47.5 are expected of an estimate without a prior

    def test_it_minimises_log_loss_and_prior(self):
        logits, targets = draw(200, 5, 2.0, seed=1)

        def objective(logarithm):
            loss = log_loss(targets, probabilities(logits, SINGLE_LABEL, np.exp(logarithm)), labels=range(5))
            return 200 * loss + logarithm**2 / (2 * 0.35**2)

        best = minimize_scalar(objective, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}).x
        assert fit_temperature(logits, targets, SINGLE_LABEL) == pytest.approx(np.exp(best), rel=1e-5)

    @pytest.mark.parametrize("temperature", [0.15, 0.3, 4.0])
    def test_a_few_hundred_rows_are_enough_for_a_model_that_is_far_off(self, temperature):
        # One that has hardly begun to learn many classes is far too cautious.
        logits, targets = draw(300, 60, temperature, seed=2)
        assert fit_temperature(logits, targets, SINGLE_LABEL) == pytest.approx(temperature, rel=0.2)

    def test_right_probabilities_are_left_alone_nineteen_times_in_twenty(self):
        kept = sum(fit_temperature(*draw(200, 3, 1.0, seed), SINGLE_LABEL) == 1 for seed in range(100))
        assert 88 <= kept <= 99

    @pytest.mark.parametrize("n", [1, 2, 10, 50, 200])
    def test_rows_that_are_all_right_give_no_wild_certainty(self, n):
        # At 0.95 each, all of 50 are right once in 13 times: no reason to believe in more.
        temperature = fit_temperature(*margin(np.log(19), n, n), SINGLE_LABEL)
        assert temperature == 1 if n <= 10 else 0.4 < temperature <= 1

    @pytest.mark.parametrize("n", [10, 50, 200])
    def test_few_rows_seldom_make_new_probabilities_worse(self, n):
        logits, targets = draw(20_000, 2, 1.0, seed=0)
        before = log_loss(targets, probabilities(logits, SINGLE_LABEL))
        worse = []
        for seed in range(50):
            rows = np.random.default_rng(seed).choice(len(targets), n, replace=False)
            temperature = fit_temperature(logits[rows], targets[rows], SINGLE_LABEL)
            worse.append(log_loss(targets, probabilities(logits, SINGLE_LABEL, temperature)) - before)
        assert np.mean(worse) < 0.005
        assert max(worse) < 0.05

    def test_the_more_rows_the_less_the_prior_weighs(self):
        logits, targets = margin(4.0, 80, 100)
        exact = 4.0 / np.log(80 / 20)
        found = [fit_temperature(np.tile(logits, (k, 1)), np.tile(targets, k), SINGLE_LABEL) for k in (1, 10, 100)]
        assert 1 < found[0] < found[1] < found[2] < exact
        assert found[2] == pytest.approx(exact, rel=0.005)

    def test_a_model_that_is_always_wrong_gets_the_highest_temperature(self):
        assert fit_temperature(*margin(5.0, 0, 100), SINGLE_LABEL) > 10
        temperature = fit_temperature(*margin(5.0, 0, 10_000), SINGLE_LABEL)
        assert temperature == pytest.approx(20)
        assert DecisionRule(temperature).temperature == temperature

    def test_logits_that_say_nothing_are_left_alone(self):
        assert fit_temperature(np.zeros((30, 3)), np.arange(30) % 3, SINGLE_LABEL) == 1
        assert fit_temperature(np.full((30, 3), 7.0), np.zeros(30, np.int64), SINGLE_LABEL) == 1

    def test_huge_logits_and_very_many_right_rows_can_be_used(self):
        assert 1 < fit_temperature(*margin(500.0, 90, 100), SINGLE_LABEL) <= 20
        assert 0 < fit_temperature(*margin(0.1, 20_000, 20_000), SINGLE_LABEL) < 0.1

    def test_one_logit_is_as_two_of_which_the_first_is_zero(self):
        logits, targets = draw(300, 2, 2.0, seed=3)
        odds = logits[:, 1:] - logits[:, :1]
        found = fit_temperature(odds, targets, SINGLE_LABEL)
        assert found != 1
        assert found == pytest.approx(fit_temperature(np.hstack([np.zeros_like(odds), odds]), targets, SINGLE_LABEL))

    def test_several_labels(self):
        logits, targets = draw(2000, 6, 1.6, 4, MULTI_LABEL)
        assert fit_temperature(logits, targets, MULTI_LABEL) == pytest.approx(1.6, rel=0.03)
        assert fit_temperature(logits[:, :1], targets[:, :1], MULTI_LABEL) == pytest.approx(1.6, rel=0.1)

    def test_classes_without_rows_and_float32(self):
        logits, _ = draw(500, 8, 1.0, seed=5)
        targets = logits[:, :2].argmax(axis=1)
        exact = fit_temperature(logits, targets, SINGLE_LABEL)
        assert fit_temperature(logits.astype(np.float32), targets, SINGLE_LABEL) == pytest.approx(exact, rel=1e-4)

    def test_no_row_and_no_number_are_errors(self):
        with pytest.raises(DataError, match="no rows to calibrate on"):
            fit_temperature(np.zeros((0, 2)), np.zeros(0, np.int64), SINGLE_LABEL)
        with pytest.raises(ModelError, match="not finite"):
            fit_temperature(np.array([[0, np.nan]]), np.zeros(1, np.int64), SINGLE_LABEL)


class TestFigures:
    def test_they_are_those_of_the_definitions(self):
        found = calibration(*answers([0.6, 0.6, 0.6, 0.8, 0.8], [1, 1, 0, 1, 1]), SINGLE_LABEL)
        # Bins of 0.6 with 2 of 3 right and of 0.8 with 2 of 2.
        assert found.expected_calibration_error == pytest.approx((3 * (2 / 3 - 0.6) + 2 * 0.2) / 5)
        assert found.brier_score == pytest.approx(2 * (0.16 + 0.16 + 0.36 + 0.04 + 0.04) / 5)
        assert found.log_loss == pytest.approx(-np.log([0.6, 0.6, 0.4, 0.8, 0.8]).mean())
        assert [(group.confidence, group.n) for group in found.bins] == [(pytest.approx(0.6), 3), (pytest.approx(0.8), 2)]
        assert found.n == 5

    def test_brier_score_and_log_loss_have_intervals_by_groups(self):
        logits, targets = draw(400, 3, 1.0, seed=7)
        scores = probabilities(logits, SINGLE_LABEL)
        alone = calibration(scores, targets, SINGLE_LABEL)
        for value, (low, high) in ((alone.brier_score, alone.brier_interval), (alone.log_loss, alone.log_loss_interval)):
            assert low < value < high < 1.5 * value
        twice = calibration(
            np.repeat(scores, 2, axis=0), np.repeat(targets, 2), SINGLE_LABEL, groups=np.repeat(np.arange(400), 2)
        )
        assert twice.brier_interval == pytest.approx(alone.brier_interval)
        assert twice.log_loss_interval == pytest.approx(alone.log_loss_interval)
        assert calibration(*answers([0.9] * 10, [1] * 10), SINGLE_LABEL).brier_interval is None

    def test_the_intervals_of_bins_are_wilsons(self):
        (group,) = calibration(*answers([0.9] * 10, [1] * 6 + [0] * 4), SINGLE_LABEL).bins
        assert (group.share_right, group.low, group.high) == pytest.approx((0.6, 0.31267, 0.83182), abs=1e-5)

    def test_of_many_classes_the_most_probable_is_judged_and_the_brier_score_sums_over_all(self):
        scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
        found = calibration(scores, np.array([1, 2]), SINGLE_LABEL)
        assert [(group.confidence, group.share_right) for group in found.bins] == [(0.5, 0.0), (0.8, 1.0)]
        assert found.brier_score == pytest.approx((0.25 + 0.49 + 0.04 + 0.01 + 0.01 + 0.04) / 2)

    def test_of_several_labels_every_class_of_every_row_is_judged(self):
        scores = np.array([[0.9, 0.2], [0.9, 0.2]])
        found = calibration(scores, np.array([[1, 0], [0, 0]]), MULTI_LABEL)
        assert [(group.confidence, group.share_right, group.n) for group in found.bins] == [(0.2, 0.0, 2), (0.9, 0.5, 2)]
        assert found.expected_calibration_error == pytest.approx((2 * 0.2 + 2 * 0.4) / 4)
        assert found.brier_score == pytest.approx((0.01 + 0.81 + 0.04 + 0.04) / 4)
        assert found.log_loss == pytest.approx(-np.log([0.9, 0.1, 0.8, 0.8]).mean())
        assert found.n == 2

    def test_a_probability_of_zero_for_the_truth_is_a_finite_loss(self):
        assert 30 < calibration(*answers([1.0], [0]), SINGLE_LABEL).log_loss < 800

    def test_no_row_is_an_error(self):
        with pytest.raises(DataError, match="no rows to calibrate on"):
            calibration(np.zeros((0, 2)), np.zeros(0, np.int64), SINGLE_LABEL)


class TestBins:
    def test_they_hold_the_same_number_of_answers(self):
        found = calibration(*answers(np.linspace(0.5, 1, 1500), np.ones(1500)), SINGLE_LABEL)
        assert [group.n for group in found.bins] == [100] * 15
        sizes = [group.n for group in calibration(*answers(np.linspace(0.5, 1, 1007), np.ones(1007)), SINGLE_LABEL).bins]
        assert (len(sizes), sum(sizes)) == (15, 1007)
        assert max(sizes) - min(sizes) <= 1

    @pytest.mark.parametrize("n", [1, 2, 3, 14, 15, 16])
    def test_of_few_rows_there_are_fewer(self, n):
        found = calibration(*answers(np.linspace(0.6, 0.9, n), np.ones(n)), SINGLE_LABEL)
        assert len(found.bins) == min(n, 15)
        assert sum(group.n for group in found.bins) == n

    def test_equal_confidences_are_one_bin(self):
        found = calibration(*answers([0.7] * 1000, [1] * 700 + [0] * 300), SINGLE_LABEL)
        assert [group.n for group in found.bins] == [1000]
        assert found.expected_calibration_error == pytest.approx(0)

    def test_equal_confidences_are_never_parted(self):
        confidences = np.repeat([0.55, 0.6, 0.7, 0.97, 1.0], [3, 400, 20, 5, 572])
        found = calibration(*answers(confidences, np.ones(1000)), SINGLE_LABEL)
        assert max(group.n for group in found.bins) < 600
        assert len({round(group.confidence, 9) for group in found.bins}) == len(found.bins) <= 5

    def test_the_order_of_the_rows_does_not_matter(self):
        rng = np.random.default_rng(0)
        scores, targets = answers(rng.choice([0.5, 0.6, 0.61, 0.9, 1.0], 400), rng.random(400) < 0.7)
        first = calibration(scores, targets, SINGLE_LABEL)
        order = np.lexsort([targets, scores[:, 1]])
        for rows in (order, order[::-1], rng.permutation(400)):
            again = calibration(scores[rows], targets[rows], SINGLE_LABEL)
            assert again.bins == first.bins
            assert again.expected_calibration_error == first.expected_calibration_error
            assert again.expected_by_chance == first.expected_by_chance


class TestChance:
    @pytest.mark.parametrize(("n", "spread"), [(60, 1.0), (300, 3.0)])
    def test_right_probabilities_are_within_it_nineteen_times_in_twenty(self, n, spread):
        off = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            scores = probabilities(rng.normal(0, spread, (n, 3)), SINGLE_LABEL)
            targets = (scores.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
            off += calibration(scores, targets, SINGLE_LABEL, seed).beyond_chance
        assert 2 <= off <= 20  # 10 are expected; less or more happens less than once in a hundred times

    def test_it_is_that_of_outcomes_drawn_one_by_one(self):
        # More answers than are drawn one by one in the module.
        rng = np.random.default_rng(0)
        n = 30_000
        confidences = np.sort(rng.beta(5, 1, n) / 2 + 0.5)
        found = calibration(*answers(confidences, rng.random(n) < confidences), SINGLE_LABEL)
        gaps = (rng.random((500, n), dtype=np.float32) < confidences) - confidences
        errors = np.abs(gaps.reshape(500, 15, -1).sum(axis=2)).sum(axis=1) / n
        assert found.expected_by_chance == pytest.approx(np.quantile(errors, 0.95), rel=0.07)

    def test_what_is_wrong_is_seen(self):
        logits, targets = draw(1000, 3, 2.0, seed=1)
        found = calibration(probabilities(logits, SINGLE_LABEL), targets, SINGLE_LABEL)
        assert found.beyond_chance
        assert found.expected_calibration_error > 3 * found.expected_by_chance
        assert found.bias == pytest.approx(found.expected_calibration_error, rel=0.1)

    def test_more_rows_leave_less_to_chance(self):
        few, many = (calibration(probabilities(logits, SINGLE_LABEL), targets, SINGLE_LABEL) for logits, targets in
                     (draw(n, 3, 1.0, seed=2) for n in (100, 10_000)))  # fmt: skip
        assert few.expected_by_chance == pytest.approx(10 * many.expected_by_chance, rel=0.3)

    def test_certainty_that_is_right_is_not_off(self):
        found = calibration(*answers([1.0] * 20, [1] * 20), SINGLE_LABEL)
        assert (found.expected_calibration_error, found.expected_by_chance, found.beyond_chance) == (0, 0, False)
        assert not calibration(*answers(np.linspace(0.999999, 1, 20), [1] * 20), SINGLE_LABEL).beyond_chance

    def test_certainty_that_is_wrong_is_off(self):
        found = calibration(*answers([1.0] * 20, [0] * 20), SINGLE_LABEL)
        assert (found.expected_calibration_error, found.expected_by_chance, found.beyond_chance) == (1, 0, True)

    def test_a_single_row_can_hardly_be_off(self):
        assert not calibration(*answers([0.9], [0]), SINGLE_LABEL).beyond_chance
        assert calibration(*answers([0.99], [0]), SINGLE_LABEL).beyond_chance

    def test_it_is_the_same_each_time_and_goes_by_the_seed(self):
        scores, targets = answers(np.linspace(0.5, 1, 100), np.ones(100))
        found = [calibration(scores, targets, SINGLE_LABEL, seed).expected_by_chance for seed in (0, 0, 1)]
        assert found[0] == found[1] != found[2]


class TestScaleTemperature:
    def test_probabilities_become_right(self):
        logits, targets = draw(3000, 3, 2.0, seed=2)
        scaling = scale_temperature(2.0, logits, targets, SINGLE_LABEL)
        assert scaling.before == calibration(probabilities(logits, SINGLE_LABEL), targets, SINGLE_LABEL)
        assert scaling.after == calibration(probabilities(logits, SINGLE_LABEL, 2.0), targets, SINGLE_LABEL)
        assert scaling.after.log_loss < scaling.before.log_loss
        assert "the probabilities are too confident (calibration error 0.1" in scaling.sentence
        assert "before a temperature of 2.00 and right as far as 3,000 test rows can tell" in scaling.sentence
        assert scaling.sentence.endswith("%)"), "enough rows leave no doubt"

    def test_the_example_is_of_the_bin_nearest_to_nine_tenths(self):
        logits, targets = margin(np.log(9), 85, 100)
        sentence = scale_temperature(1.0, logits, targets, SINGLE_LABEL).sentence
        assert "of the 100 texts given about 0.90, 85% are right (77% to 91%)" in sentence

    def test_probabilities_that_are_left_alone(self):
        sentence = scale_temperature(1.0, *draw(3000, 3, 1.0, seed=2), SINGLE_LABEL).sentence
        assert sentence.startswith("the probabilities are right as far as 3,000 test rows can tell (calibration error 0.0")
        assert "they are left as they are, since the validation rows do not show" in sentence

    def test_few_rows_are_said_to_be_few(self):
        sentence = scale_temperature(1.0, *draw(1, 3, 1.0, seed=1), SINGLE_LABEL).sentence
        assert "right as far as 1 test row can tell" in sentence
        assert "of the 1 text given about" in sentence
        assert "with so few test rows an error of 0." in sentence

    def test_probabilities_that_are_too_low(self):
        logits, targets = draw(3000, 3, 0.5, seed=3)
        assert "are too cautious (" in scale_temperature(1.0, logits, targets, SINGLE_LABEL).sentence

    def test_a_small_error_is_small_even_where_many_rows_show_it(self):
        logits, targets = margin(np.log(9), 88_500, 100_000)
        sentence = scale_temperature(1.0, logits, targets, SINGLE_LABEL).sentence
        assert "are nearly right (calibration error 0.015, by chance up to 0.002)" in sentence

    def test_probabilities_that_are_wrong_both_ways(self):
        scores = np.repeat([0.6, 0.9], 500)
        logits = np.column_stack([np.zeros(1000), np.log(scores / (1 - scores))])
        targets = (np.arange(1000) % 500 < np.repeat([375, 375], 500)).astype(np.int64)
        sentence = scale_temperature(1.0, logits, targets, SINGLE_LABEL).sentence
        assert "are too confident in places and too cautious in others (calibration error 0.150" in sentence

    def test_several_labels(self):
        logits, targets = draw(1000, 4, 1.0, 5, MULTI_LABEL)
        scaling = scale_temperature(1.0, logits + 1, targets, MULTI_LABEL)
        assert "the probabilities are too high (" in scaling.sentence
        assert "labels given about 0.89, " in scaling.sentence

    def test_it_can_be_written_as_json(self):
        scaling = scale_temperature(1.5, *draw(40, 3, 1.5, seed=6), SINGLE_LABEL)
        content = json.loads(json.dumps(scaling.to_dict()))
        assert list(content) == ["temperature", "before", "after", "sentence"]
        assert content["temperature"] == 1.5
        assert content["after"]["expected_calibration_error"] == scaling.after.expected_calibration_error
        assert content["after"]["bins"][0]["confidence"] == scaling.after.bins[0].confidence
