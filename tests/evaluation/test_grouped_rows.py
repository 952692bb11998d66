import numpy as np
import pytest
from benchmarks.simulated_rows import held

from surefit.evaluation.grouped_rows import (
    difference_interval,
    effective_rows,
    kish_rows,
    mean_interval,
    share_difference_interval,
    share_interval,
    share_of_rows,
)


def test_rows_that_stand_alone_are_all_effective():
    right = np.repeat([1.0, 0.0], [30, 10])
    assert effective_rows(right, np.ones(40), 0.75) == pytest.approx(40)


def test_groups_decided_together_are_worth_one_row_each():
    right = np.repeat([5.0, 0.0], [30, 10])
    assert effective_rows(right, np.full(40, 5.0), 0.75) == pytest.approx(40)
    assert kish_rows(np.full(40, 5.0)) == 40


def test_groups_decided_row_by_row_are_worth_their_rows():
    right = np.random.default_rng(0).binomial(5, 0.8, 2_000).astype(np.float64)
    assert effective_rows(right, np.full(2_000, 5.0), 0.8) == pytest.approx(10_000, rel=0.1)


def test_where_nothing_is_wrong_groups_are_taken_to_be_decided_together():
    rows = np.array([1.0, 1.0, 2.0, 4.0])
    assert effective_rows(rows, rows, 1.0) == pytest.approx(kish_rows(rows))
    assert kish_rows(rows) == pytest.approx(64 / 22)


def test_a_share_of_no_rows_has_no_interval():
    assert share_interval(np.zeros(3), np.zeros(3), 0.95) is None


def test_intervals_of_a_mean_with_a_long_tail_hold_the_truth():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1_000):
        sizes = rng.integers(1, 4, 200).astype(np.float64)
        found.append(mean_interval(sizes * rng.gamma(0.3, 1 / 0.3, 200), sizes, 0.95))
    assert 0.92 <= held(found, 1.0) <= 0.98


def test_a_mean_of_groups_that_do_not_differ_has_no_interval():
    assert mean_interval(np.full(9, 0.3), np.ones(9), 0.95) is None
    assert mean_interval(np.array([0.7]), np.ones(1), 0.95) is None
    assert mean_interval(np.zeros(9), np.ones(9), 0.95) is None


def test_differences_of_rows_that_stand_alone_have_the_interval_of_bonett_and_price():
    # 100 rows, 12 in favour of one side and 3 of the other: their equation 2 by hand, with t for z.
    favour = np.repeat([1.0, -1.0, 0.0], [12, 3, 85])
    first, second, t = 13 / 102, 4 / 102, 1.9842
    half = t * np.sqrt((first + second - (first - second) ** 2) / 102)
    low, high = difference_interval(0.09, (favour - 0.09) / 100, 1 / 100**2, 0.95)
    assert (low, high) == pytest.approx((first - second - half, first - second + half), abs=1e-4)


def test_classifiers_that_answer_alike_are_not_taken_for_the_same():
    low, high = difference_interval(0.0, np.zeros(200), 1 / 200**2, 0.95)
    assert low < 0 < high


def test_of_a_single_group_no_difference_is_known():
    assert difference_interval(0.3, np.zeros(1), 1 / 50**2, 0.95) == (-1.0, 1.0)


def test_the_interval_of_a_difference_of_shares_is_newcombes():
    # His example: 56 of 70 less 48 of 80, method 10.
    shares = [np.repeat([True, False], [right, rows - right]) for right, rows in ((56, 70), (48, 80))]
    (first, of_first), (second, of_second) = ((of.mean(), share_of_rows(of, np.arange(len(of)))) for of in shares)
    found = share_difference_interval(first, of_first, second, of_second)
    assert found == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_of_no_rows_there_is_no_share():
    assert share_of_rows(np.zeros(0, np.bool_), np.zeros(0, np.int64)) is None
