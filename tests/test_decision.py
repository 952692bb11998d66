import numpy as np
import pytest
from scipy.special import expit, softmax

from surefit.decision import (
    ABSTAINED_ID,
    decide,
    expected_costs,
    preferred_classes,
    probabilities,
    scores_against_others,
    thresholds_of_class,
    to_predictions,
)
from surefit.errors import ModelError
from surefit.types import ABSTAINED, MULTI_LABEL, NEVER_ANSWERED, SINGLE_LABEL, DecisionRule, LabelSchema

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


def test_costs_decide_for_the_class_of_least_expected_cost():
    costs = ((0.0, 1.0, 9.0), (20.0, 0.0, 9.0), (20.0, 1.0, 0.0))
    scores = probabilities(random_logits(200) / 4, SINGLE_LABEL)
    expected = [[sum(row[i] * costs[i][j] for i in range(3)) for j in range(3)] for row in scores]
    np.testing.assert_allclose(expected_costs(scores, costs), expected)
    decided = decide(scores, SINGLE, DecisionRule(costs=costs))
    assert decided.tolist() == np.argmin(expected, axis=1).tolist()
    assert (decided != scores.argmax(axis=1)).any()


def test_costs_of_two_classes_are_a_threshold_on_the_second():
    """A missed "yes" that costs nine false alarms is answered from a probability of 0.1 on (Elkan 2001, equation 2)."""
    positive = np.array([0.05, 0.09, 0.11, 0.5])
    scores = np.column_stack([1 - positive, positive])
    assert decide(scores, BINARY, DecisionRule(costs=((0.0, 1.0), (9.0, 0.0)))).tolist() == [0, 0, 1, 1]


def test_equal_costs_decide_as_no_costs():
    scores = probabilities(random_logits(200), SINGLE_LABEL)
    costs = tuple(map(tuple, (1 - np.eye(3)).tolist()))
    assert decide(scores, SINGLE, DecisionRule(costs=costs)).tolist() == decide(scores, SINGLE, DecisionRule()).tolist()


def test_the_model_abstains_where_its_class_is_below_the_bound_of_that_class():
    scores = np.array([[0.6, 0.3, 0.1], [0.59, 0.31, 0.1], [0.1, 0.6, 0.3], [0.0, 0.0, 1.0]])
    rule = DecisionRule(abstain_below=(0.6, 0.61, NEVER_ANSWERED))
    assert decide(scores, SINGLE, rule).tolist() == [0, ABSTAINED_ID, ABSTAINED_ID, ABSTAINED_ID]
    assert preferred_classes(scores, rule).tolist() == [0, 0, 1, 2]
    assert decide(scores, SINGLE, DecisionRule(abstain_below=(0.0, 0.0, 1.0))).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("rule", [{"thresholds": (0.9, 0.1)}, {"costs": ((0.0, 1.0), (9.0, 0.0))}])
def test_what_is_held_against_the_bound_is_the_class_that_the_rule_prefers(rule):
    scores = np.array([[0.85, 0.15], [0.75, 0.25]])
    assert decide(scores, BINARY, DecisionRule(**rule, abstain_below=(0.0, 0.2))).tolist() == [ABSTAINED_ID, 1]


def test_a_row_that_the_model_abstains_from_keeps_its_scores_and_says_so():
    logits = np.log([[0.7, 0.3], [0.95, 0.05]])
    unsure, sure = to_predictions(logits, BINARY, DecisionRule(abstain_below=(0.9, 0.9)), np.array([True, False]))
    assert (unsure.label, unsure.labels, unsure.reason, unsure.unanswered) == ("", (), "", ABSTAINED)
    assert (unsure.abstained, unsure.truncated, sure.abstained, sure.unanswered) == (True, True, False, "")
    assert unsure.scores == pytest.approx((0.7, 0.3))
    assert unsure.score == pytest.approx(0.7)
    assert sure.label == "no"


def test_several_labels_a_row_are_never_abstained_from():
    (prediction,) = to_predictions(np.full((1, 3), -5.0), MULTI, DecisionRule(), np.array([False]))
    assert (prediction.labels, prediction.abstained, prediction.unanswered) == ((), False, "")


@pytest.mark.parametrize(
    ("rule", "schema", "sentence"),
    [
        ({"abstain_below": (0.5,) * 3}, MULTI, "exactly one class"),
        ({"costs": ((0.0,) * 3,) * 3}, MULTI, "exactly one class"),
        ({"abstain_below": (0.5,) * 2}, SINGLE, "abstain_below are for 2 classes, the model has 3"),
        ({"thresholds": (0.5,) * 4}, SINGLE, "thresholds are for 4 classes"),
        ({"costs": ((0.0, 1.0), (1.0, 0.0))}, SINGLE, "costs are for 2 classes"),
    ],
)
def test_a_rule_for_other_classes_is_refused(rule, schema, sentence):
    with pytest.raises(ValueError, match=sentence):
        decide(np.full((1, 3), 1 / 3), schema, DecisionRule(**rule))


@pytest.mark.parametrize(
    "rule",
    [
        {"temperature": 0.0},
        {"thresholds": (0.5, 1.5)},
        {"thresholds": (0.5, 0.5), "costs": ((0.0, 1.0), (1.0, 0.0))},
        {"costs": ((0.0, 1.0), (1.0,))},
        {"costs": ((0.0, float("nan")), (1.0, 0.0))},
        {"abstain_below": (0.5, 1.2)},
        {"abstain_below": (-0.1, 0.5)},
        {"abstain_below": (float("nan"), 0.5)},
    ],
)
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(ValueError, match=r"\w"):
        DecisionRule(**rule)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_thresholds_of_a_class_hold_its_score_against_the_others(classes):
    schema = LabelSchema(SINGLE_LABEL, tuple(map(str, range(classes))))
    scores = probabilities(random_logits(500, classes), SINGLE_LABEL)
    against = scores_against_others(scores)
    for class_id in range(classes):
        others = np.delete(scores, class_id, axis=1)
        np.testing.assert_allclose(against[:, class_id], scores[:, class_id] / (scores[:, class_id] + others.max(axis=1)))
        without = scores.copy()
        without[:, class_id] = -1
        for threshold in (0.0, 0.02, 0.3, 0.5, 0.9, 1.0):
            expected = np.where(against[:, class_id] > threshold, class_id, without.argmax(axis=1))
            rule = DecisionRule(thresholds=thresholds_of_class(class_id, threshold, classes))
            clear = np.abs(against[:, class_id] - threshold) > 1e-11
            assert decide(scores, schema, rule)[clear].tolist() == expected[clear].tolist()


def test_of_two_classes_the_score_against_the_other_is_the_probability():
    scores = probabilities(random_logits(50, 2), SINGLE_LABEL)
    np.testing.assert_allclose(scores_against_others(scores), scores)
