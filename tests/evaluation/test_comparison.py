import itertools

import numpy as np
import pytest
from benchmarks.simulated_rows import Population, held, lopsided
from scipy.stats import binomtest

from surefit.evaluation.baselines import MAJORITY_CLASS, TFIDF_LOGISTIC_REGRESSION
from surefit.evaluation.comparison import compare, describe_difference, detectable_difference, sign_flip_test
from surefit.evaluation.metrics import evaluate
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))


def compared(both, only_model, only_baseline, neither, name=TFIDF_LOGISTIC_REGRESSION, groups=None):
    """Of two classes by turns, so many rows that both classifiers have right, one of them, or neither."""
    model = np.repeat([0, 0, 1, 1], [both, only_model, only_baseline, neither])
    baseline = np.repeat([0, 1, 0, 1], [both, only_model, only_baseline, neither])
    targets = np.arange(len(model)) % 2
    groups = np.arange(len(model)) if groups is None else groups
    return compare(targets, targets ^ model, targets ^ baseline, groups, TWO, name)


def test_p_value_is_the_binomial_tail_on_both_sides():
    # 2 of 10 or fewer heads, twice: 2 * (1 + 10 + 45) / 1024.
    net = np.repeat([1, -1, 0], [8, 2, 30])
    assert sign_flip_test(net) == pytest.approx(112 / 1024)
    assert sign_flip_test(-net) == sign_flip_test(net)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (5, 0), (17, 17), (40, 21), (600, 480)])
def test_rows_that_stand_alone_have_the_exact_mcnemar_test(first, second):
    assert sign_flip_test(np.repeat([1, -1], [first, second])) == pytest.approx(binomtest(first, first + second).pvalue)


def test_groups_are_flipped_as_a_whole():
    net = np.array([3, -1, 2, 2, -4, 1, 1, 5, 0])
    flipped = [abs(np.dot(signs, net)) for signs in itertools.product([1, -1], repeat=len(net))]
    assert sign_flip_test(net) == pytest.approx(np.mean(np.array(flipped) >= abs(net.sum())))


def test_groups_of_one_size_have_the_p_value_of_as_many_rows():
    assert sign_flip_test(np.repeat([4, -4], [12, 3])) == pytest.approx(sign_flip_test(np.repeat([1, -1], [12, 3])))


def test_rows_on_which_both_agree_say_nothing():
    assert sign_flip_test(np.zeros(9, dtype=np.int64)) == 1.0
    assert compared(5, 9, 2, 5).p_value == compared(500, 9, 2, 500).p_value


def test_difference_is_that_of_the_accuracies_in_points():
    found = compared(60, 25, 5, 10)
    assert found.difference == pytest.approx(20)
    assert found.interval[0] < 20 < found.interval[1]
    assert found.n == 100


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_differences_are_those_of_the_figures(problem_type):
    rng = np.random.default_rng(4)
    schema = LabelSchema(problem_type, ("a", "b", "c"))
    shape = 80 if problem_type == SINGLE_LABEL else (80, 3)
    targets, model, baseline = (rng.integers(0, 3 if problem_type == SINGLE_LABEL else 2, shape) for _ in range(3))
    model = np.where(rng.random(shape) < 0.6, targets, model)
    found = compare(targets, model, baseline, np.arange(80), schema, "x")
    probabilities = np.full((80, 3), 1 / 3)
    first, second = (evaluate(targets, probabilities, answers, schema) for answers in (model, baseline))
    assert found.difference == pytest.approx(100 * (first.accuracy - second.accuracy))
    assert found.macro_f1_difference == pytest.approx(100 * (first.macro.f1 - second.macro.f1))
    assert found.macro_f1_interval[0] < found.macro_f1_difference < found.macro_f1_interval[1]


@pytest.mark.parametrize(
    ("model", "baseline", "shared"),
    [
        (Population((0.25,) * 4, 0.9, 200), 0.8, 0.5),
        (Population((0.5, 0.5), 0.6, 200, grouped=True), 0.5, 0.0),
        (Population(lopsided(3, 1000), 0.9, 1000), 0.9, 0.8),
        (Population(lopsided(5, 1000), 0.98, 1000, grouped=True), 0.95, 0.5),
    ],
    ids=str,
)
def test_of_a_thousand_intervals_about_95_percent_hold_the_true_difference(model, baseline, shared):
    other = Population(model.shares, baseline, model.rows, model.grouped)
    rng = np.random.default_rng(10)
    accuracy, macro_f1 = [], []
    for _ in range(1_000):
        groups = model.groups(rng)
        targets = model.targets(groups, rng)
        luck, other_luck = rng.random((2, groups[-1] + 1))
        other_luck = np.where(rng.random(len(luck)) < shared, luck, other_luck)
        answers = model.answers(targets, groups, rng, luck), other.answers(targets, groups, rng, other_luck)
        found = compare(targets, *answers, groups, model.schema, "x")
        accuracy.append(found.interval)
        macro_f1.append(found.macro_f1_interval)
    assert 0.92 <= held(accuracy, 100 * (model.accuracy - baseline)) <= 0.98
    assert 0.92 <= held(macro_f1, 100 * (model.macro_f1 - other.macro_f1)) <= 0.98


def test_classifiers_that_answer_alike_may_still_differ():
    found = compared(180, 0, 0, 20)
    assert (found.difference, found.macro_f1_difference, found.p_value) == (0, 0, 1)
    assert found.interval[0] < 0 < found.interval[1]
    assert found.macro_f1_interval[0] < 0 < found.macro_f1_interval[1]


def test_rows_in_groups_say_less():
    alone = compared(100, 40, 16, 44)
    grouped = compared(100, 40, 16, 44, groups=np.arange(200) // 4)
    assert grouped.interval[0] < alone.interval[0]
    assert grouped.p_value > alone.p_value
    assert grouped.detectable > alone.detectable


def test_one_row_or_one_group_tells_no_difference():
    for found in (compared(0, 1, 0, 0), compared(20, 30, 0, 0, groups=np.zeros(50, dtype=np.int64))):
        assert found.interval == (-100, 100)
        assert found.p_value == 1
        assert found.detectable > 99


@pytest.mark.parametrize(("n", "share", "difference"), [(200, 0.2, 9.0), (1_000, 0.1, 2.8), (2_000, 0.05, 1.4)])
def test_a_difference_is_called_detectable_that_four_of_five_samples_show(n, share, difference):
    detectable = detectable_difference(n, share) / 100
    assert 100 * detectable == pytest.approx(difference, abs=0.2)
    rng = np.random.default_rng(6)
    first, second, _ = rng.multinomial(n, [(share + detectable) / 2, (share - detectable) / 2, 1 - share], 20_000).T
    # McNemar's test without correction, which is the one that the formula is for.
    power = np.mean((first - second) ** 2 >= 3.8415 * np.maximum(first + second, 1))
    assert power == pytest.approx(0.80, abs=0.03)


def test_a_detectable_difference_is_never_larger_than_the_discordant_rows_allow():
    for n in (10, 100, 1_000):
        for share in (0, 1e-6, 0.01, 0.3, 1):
            assert 0 < detectable_difference(n, share) <= 100
    # With nothing discordant: eight rows of a hundred would have to be, all in favour of one.
    assert detectable_difference(100, 0) == pytest.approx(7.7, abs=0.2)
    assert detectable_difference(1, 1) == 100


def test_a_clear_gain_is_worth_its_cost():
    sentence = compared(600, 150, 27, 223).sentence
    assert sentence.startswith(
        "the fine-tuned model is 12.3 points of accuracy over TF-IDF + logistic regression "
        "(95% interval +9.8 to +14.8, p < 0.001, 1,000 test rows)"
    )
    assert sentence.endswith("worth its cost")


def test_a_small_certain_gain_is_called_small():
    assert "a small gain" in describe_difference(0.4, (0.1, 0.7), 0.01, 100_000, TFIDF_LOGISTIC_REGRESSION)


def test_a_gain_that_chance_explains_is_no_gain():
    sentence = compared(10, 4, 1, 2).sentence
    assert "no better than TF-IDF" in sentence
    assert "+17.6 points, 95% interval -" in sentence
    assert "use the simpler model, or test on more rows" in sentence


def test_a_loss_recommends_the_simpler_model():
    sentence = compared(50, 2, 30, 18).sentence
    assert sentence.startswith("the fine-tuned model is 28.0 points of accuracy under TF-IDF")
    assert "95% interval +1" in sentence
    assert sentence.endswith("use the simpler model")


@pytest.mark.parametrize(("difference", "p_value"), [(0.2, 0.6), (-12.0, 0.0001)])
def test_nobody_is_told_to_use_the_majority_class(difference, p_value):
    sentence = describe_difference(difference, (difference - 3, difference + 3), p_value, 300, MAJORITY_CLASS)
    assert "simpler model" not in sentence
    assert "learned nothing that accuracy shows" in sentence


def test_beating_the_majority_class_means_having_learned():
    sentence = describe_difference(40.0, (35.0, 45.0), 1e-9, 300, MAJORITY_CLASS)
    assert "over the majority class" in sentence
    assert sentence.endswith("it has learned from the texts")
