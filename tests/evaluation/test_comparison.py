import numpy as np
import pytest

from surefit.evaluation.baselines import MAJORITY_CLASS, TFIDF_LOGISTIC_REGRESSION
from surefit.evaluation.comparison import compare, describe_difference, exact_mcnemar


def correctness(both, only_model, only_baseline, neither):
    model = [True] * both + [True] * only_model + [False] * only_baseline + [False] * neither
    baseline = [True] * both + [False] * only_model + [True] * only_baseline + [False] * neither
    return np.array(model), np.array(baseline)


def test_p_value_is_the_binomial_tail_on_both_sides():
    # 2 of 10 or fewer heads, twice: 2 * (1 + 10 + 45) / 1024.
    assert exact_mcnemar(8, 2) == pytest.approx(112 / 1024)
    assert exact_mcnemar(2, 8) == exact_mcnemar(8, 2)


def test_rows_on_which_both_agree_say_nothing():
    assert exact_mcnemar(0, 0) == 1.0
    assert compare(*correctness(5, 9, 2, 5), "x").p_value == compare(*correctness(500, 9, 2, 500), "x").p_value


def test_difference_is_that_of_the_accuracies_in_points():
    model, baseline = correctness(60, 25, 5, 10)
    compared = compare(model, baseline, TFIDF_LOGISTIC_REGRESSION)
    assert compared.difference == pytest.approx(100 * (model.mean() - baseline.mean()))
    assert compared.n == 100


def test_a_clear_gain_is_worth_its_cost():
    sentence = compare(*correctness(600, 150, 27, 223), TFIDF_LOGISTIC_REGRESSION).sentence
    assert sentence.startswith(
        "the fine-tuned model is 12.3 points of accuracy over TF-IDF + logistic regression (p < 0.001, 1,000 test rows)"
    )
    assert sentence.endswith("worth its cost")


def test_a_small_certain_gain_is_called_small():
    assert "a small gain" in describe_difference(0.4, 0.01, 100_000, TFIDF_LOGISTIC_REGRESSION)


def test_a_gain_that_chance_explains_is_no_gain():
    sentence = compare(*correctness(10, 4, 1, 2), TFIDF_LOGISTIC_REGRESSION).sentence
    assert "no better than TF-IDF" in sentence
    assert "+17.6 points" in sentence
    assert "use the simpler model, or test on more rows" in sentence


def test_a_loss_recommends_the_simpler_model():
    sentence = compare(*correctness(50, 2, 30, 18), TFIDF_LOGISTIC_REGRESSION).sentence
    assert sentence.startswith("the fine-tuned model is 28.0 points of accuracy under TF-IDF")
    assert sentence.endswith("use the simpler model")


@pytest.mark.parametrize(("difference", "p_value"), [(0.2, 0.6), (-12.0, 0.0001)])
def test_nobody_is_told_to_use_the_majority_class(difference, p_value):
    sentence = describe_difference(difference, p_value, 300, MAJORITY_CLASS)
    assert "simpler model" not in sentence
    assert "learned nothing that accuracy shows" in sentence


def test_beating_the_majority_class_means_having_learned():
    sentence = describe_difference(40.0, 1e-9, 300, MAJORITY_CLASS)
    assert "over the majority class" in sentence
    assert sentence.endswith("it has learned from the texts")
