import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from surefit.evaluation.curves import ThresholdCurve, choose_point


def tied_rows(rows=500, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.random(rows).round(2)
    return scores, rng.random(rows) < scores


def test_points_are_those_of_scikit_learn():
    scores, hits = tied_rows()
    curve = ThresholdCurve.of(scores, hits)
    precision, recall, thresholds = precision_recall_curve(hits, scores)
    np.testing.assert_allclose(curve.scores, thresholds[::-1])
    np.testing.assert_allclose(curve.precision, precision[-2::-1])
    np.testing.assert_allclose(curve.recall, recall[-2::-1])
    assert (curve.answered[-1], curve.rows, curve.positives) == (500, 500, hits.sum())


def test_area_of_error_is_the_mean_error_of_the_surest_rows():
    curve = ThresholdCurve.of(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]))
    assert curve.area_of_error == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    tied = ThresholdCurve.of(np.full(4, 0.5), np.array([True, True, False, True]))
    assert tied.area_of_error == pytest.approx(1 / 4)


@pytest.mark.parametrize("hits", [[True], [False]])
def test_one_row_is_a_curve(hits):
    curve = ThresholdCurve.of(np.array([0.4]), np.array(hits))
    assert (len(curve), curve.threshold(0), curve.precision.tolist()) == (1, 0.0, [float(hits[0])])
    assert curve.recall.tolist() == [float(hits[0])]


def test_no_rows_are_an_empty_curve():
    curve = ThresholdCurve.of(np.zeros(0), np.zeros(0, dtype=bool))
    assert (len(curve), curve.area_of_error, curve.shown_points(curve.hits).tolist()) == (0, 0.0, [])


def test_thresholds_stand_between_the_scores():
    curve = ThresholdCurve.of(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert [curve.threshold(point) for point in range(3)] == pytest.approx([0.7, 0.3, 0.0])


def test_what_is_shown_is_bounded_and_keeps_both_ends():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    curve = ThresholdCurve.of(scores, scores > 0.99)
    for steps in (curve.hits, curve.answered):
        points = curve.shown_points(steps)
        assert len(points) <= 200
        assert (points[0], points[-1]) == (0, len(curve) - 1)
    # The class is rare: the points stand where its rows are, not where all rows are.
    assert np.count_nonzero(curve.scores[curve.shown_points(curve.hits)] > 0.99) >= 150


def curve_of(pattern):
    """Rows by falling score: "+" as they should be, "-" not."""
    return ThresholdCurve.of(np.linspace(0.99, 0.01, len(pattern)), np.array([sign == "+" for sign in pattern]))


def test_of_the_points_of_enough_precision_the_one_that_answers_most_is_chosen():
    point = choose_point(curve_of("+" * 30 + "-" + "+" * 30 + "-" * 30), 0.9, None)
    assert (point.hits, point.reached) == (60, True)
    assert (point.hits + 1 / 3) / (point.answered + 2 / 3) >= 0.9
    assert (point.hits + 1 / 3) / (point.answered + 1 + 2 / 3) < 0.9


def test_of_the_points_of_enough_recall_the_one_of_most_precision_is_chosen():
    point = choose_point(curve_of("+" * 10 + "-" * 5 + "+" * 9 + "-" * 50), None, 0.5)
    assert (point.hits, point.answered, point.reached) == (10, 10, True)
    assert choose_point(curve_of("+" * 9 + "-" * 5 + "+" * 10 + "-" * 50), None, 0.5).answered == 24


def test_asked_for_both_the_best_f1_that_has_both_is_chosen():
    pattern = "+" * 20 + "-" + "+" * 20 + "--" + "+" * 10 + "-" * 20
    point = choose_point(curve_of(pattern), 0.9, 0.5)
    assert (point.hits, point.answered, point.reached) == (50, 53, True)


def test_asked_for_neither_the_best_f1_is_chosen():
    point = choose_point(curve_of("+++-+----"), None, None)
    assert (point.hits, point.answered) == (4, 5)


def test_what_cannot_be_reached_gives_the_nearest():
    point = choose_point(curve_of("++++-" * 10), 0.99, None)
    assert not point.reached
    assert (point.hits, point.answered) == (4, 4)
    assert point.seen, "the first four rows are all right, which is too few to expect it of others"
    assert not choose_point(curve_of("-" + "+" * 20 + "-" * 5), 0.99, None).seen


def test_recall_that_few_rows_cannot_show_answers_them_all():
    point = choose_point(curve_of("+-+-+---"), None, 0.9)
    assert (point.hits, point.reached, point.seen) == (3, False, True)


def test_expected_recall_is_what_the_next_row_gets():
    """Over many draws, the next row of the class is found as often as was asked for."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(4000):
        scores = np.concatenate([rng.beta(2, 1, size=20), rng.beta(1, 2, size=20)])
        point = choose_point(ThresholdCurve.of(scores[1:], np.arange(1, 40) < 20), None, 0.8)
        found += scores[0] > point.threshold
    assert 0.78 <= found / 4000 <= 0.9
