import numpy as np
import pytest
from scipy.special import expit, softmax

from surefit.decision import decide, probabilities, to_predictions
from surefit.errors import ModelError
from surefit.types import MULTI_LABEL, SINGLE_LABEL, DecisionRule, LabelSchema

SINGLE = LabelSchema(SINGLE_LABEL, ("red", "green", "blue"))
BINARY = LabelSchema(SINGLE_LABEL, ("no", "yes"))
MULTI = LabelSchema(MULTI_LABEL, ("red", "green", "blue"))


def random_logits(rows=50, classes=3):
    return np.random.default_rng(0).normal(scale=4, size=(rows, classes))


def test_single_label_probabilities_are_the_softmax():
    logits = random_logits()
    np.testing.assert_allclose(probabilities(logits, SINGLE_LABEL), softmax(logits, axis=1), rtol=1e-12)


def test_multi_label_probabilities_are_sigmoids():
    logits = random_logits()
    np.testing.assert_allclose(probabilities(logits, MULTI_LABEL), expit(logits), rtol=1e-12)


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_temperature_divides_the_logits(problem_type):
    logits = random_logits()
    np.testing.assert_allclose(probabilities(logits, problem_type, 2.5), probabilities(logits / 2.5, problem_type))


def test_one_logit_is_the_log_odds_of_the_second_class():
    single = probabilities(np.array([[-2.0], [3.0]]), SINGLE_LABEL, 2.0)
    np.testing.assert_allclose(single, [[1 - expit(-1.0), expit(-1.0)], [1 - expit(1.5), expit(1.5)]])


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_huge_logits_neither_overflow_nor_lose_their_order(problem_type):
    scores = probabilities(np.array([[-1e30, 0.0, 1e30]], dtype=np.float32), problem_type)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert scores[0, 0] == 0
    assert scores[0, 2] == 1


def test_low_precision_logits_are_computed_in_float64():
    scores = probabilities(np.array([[1.0, 2.0, 3.0]], dtype=np.float16), SINGLE_LABEL)
    np.testing.assert_allclose(scores.sum(), 1, rtol=1e-15)


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_refused(problem_type, bad):
    logits = random_logits(4)
    logits[[1, 3], 1] = bad
    with pytest.raises(ModelError, match="2 of 4 rows"):
        probabilities(logits, problem_type)


def test_no_rows_give_no_probabilities_and_no_predictions():
    empty = np.zeros((0, 3))
    assert probabilities(empty, SINGLE_LABEL).shape == (0, 3)
    assert to_predictions(empty, SINGLE, DecisionRule(), np.zeros(0, dtype=bool)) == []
    assert to_predictions(empty, MULTI, DecisionRule(), np.zeros(0, dtype=bool)) == []


def test_single_label_decides_on_the_most_probable_class():
    decided = decide(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]), SINGLE, DecisionRule())
    assert decided.tolist() == [2, 0]
    assert decided.dtype == np.int64


def test_ties_go_to_the_lower_class_id():
    scores = np.array([[0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    assert decide(scores, SINGLE, DecisionRule()).tolist() == [1, 0]
    assert decide(scores, SINGLE, DecisionRule(thresholds=(0.5, 0.5, 0.5))).tolist() == [1, 0]


def test_two_classes_with_complementary_thresholds_follow_the_threshold_of_the_second():
    positive = np.array([0.1, 0.79, 0.81, 0.95])
    scores = np.column_stack([1 - positive, positive])
    assert decide(scores, BINARY, DecisionRule(thresholds=(0.2, 0.8))).tolist() == [0, 0, 1, 1]
    assert decide(scores, BINARY, DecisionRule(thresholds=(0.95, 0.05))).tolist() == [1, 1, 1, 1]


def test_equal_thresholds_decide_as_no_thresholds():
    scores = probabilities(random_logits(200), SINGLE_LABEL)
    equal = decide(scores, SINGLE, DecisionRule(thresholds=(0.3, 0.3, 0.3)))
    assert equal.tolist() == decide(scores, SINGLE, DecisionRule()).tolist()


def test_a_class_that_reaches_its_threshold_wins_over_one_that_does_not():
    scores = np.array([[0.55, 0.25, 0.20]])
    assert decide(scores, SINGLE, DecisionRule(thresholds=(0.9, 0.2, 0.9))).tolist() == [1]


def test_a_threshold_of_zero_always_decides_for_its_class():
    assert decide(np.array([[0.01, 0.98, 0.01]]), SINGLE, DecisionRule(thresholds=(0.0, 0.5, 0.5))).tolist() == [0]


def test_multi_label_decides_on_every_class_at_or_over_one_half():
    scores = np.array([[0.5, 0.49999, 0.9], [0.1, 0.2, 0.3]])
    assert decide(scores, MULTI, DecisionRule()).tolist() == [[1, 0, 1], [0, 0, 0]]


def test_multi_label_thresholds_stand_for_their_own_class():
    scores = np.array([[0.5, 0.5, 0.5]])
    assert decide(scores, MULTI, DecisionRule(thresholds=(0.4, 0.5, 0.6))).tolist() == [[1, 1, 0]]


def test_single_label_predictions_carry_names_scores_and_truncation():
    logits = random_logits(20)
    cut = np.arange(20) % 3 == 0
    predictions = to_predictions(logits, SINGLE, DecisionRule(temperature=2.0), cut)
    expected = softmax(logits / 2.0, axis=1)
    assert [prediction.label for prediction in predictions] == [SINGLE.id2label[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose([prediction.scores for prediction in predictions], expected)
    np.testing.assert_allclose([prediction.score for prediction in predictions], expected.max(axis=1))
    assert [prediction.truncated for prediction in predictions] == cut.tolist()


def test_the_score_is_that_of_the_label_even_where_a_threshold_overrules_the_largest():
    (prediction,) = to_predictions(np.log([[0.7, 0.3]]), BINARY, DecisionRule(thresholds=(0.9, 0.1)), np.array([False]))
    assert prediction.label == "yes"
    assert prediction.score == pytest.approx(0.3)


def test_multi_label_predictions_stand_by_falling_probability():
    first, second = to_predictions(np.array([[1.0, -1.0, 2.0], [-1, -1, -1]]), MULTI, DecisionRule(), np.array([False, True]))
    assert first.labels == ("blue", "red")
    assert first.score == pytest.approx(expit(2.0))
    assert second.labels == ()
    assert second.score == 0.0
    assert second.scores == pytest.approx([expit(-1)] * 3)


def test_predictions_hold_plain_python_values():
    (prediction,) = to_predictions(np.array([[1.0, 2.0, 0.0]], dtype=np.float32), SINGLE, DecisionRule(), np.array([True]))
    assert type(prediction.score) is float
    assert type(prediction.scores[0]) is float
    assert type(prediction.truncated) is bool


def test_a_row_is_judged_alike_alone_and_among_others():
    logits = random_logits(30).astype(np.float32)
    flags = np.zeros(30, dtype=bool)
    together = to_predictions(logits, SINGLE, DecisionRule(), flags)
    alone = [to_predictions(logits[i : i + 1], SINGLE, DecisionRule(), flags[:1])[0] for i in range(30)]
    assert together == alone
