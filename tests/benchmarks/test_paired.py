import numpy as np
import pytest
from benchmarks.paired import PairedOutcome, mean_over_corpora, pool


def outcome(first, second, ids=None):
    first, second = np.array(first, dtype=bool), np.array(second, dtype=bool)
    return PairedOutcome(np.arange(len(first)) if ids is None else np.array(ids), first, second)


def random_outcome(seed, n=1000, second_only=0.05, first_only=0.08):
    draw = np.random.default_rng(seed).random(n)
    return outcome(draw >= second_only, (draw < second_only) | (draw >= second_only + first_only))


def test_the_difference_is_that_of_the_accuracies_over_all_answers():
    pooled = pool([outcome([1, 1, 0, 1], [1, 0, 0, 0]), outcome([1, 0], [1, 1], [7, 8])])
    assert pooled.points == pytest.approx(100 * (2 - 1) / 6)
    assert pooled.answers == 6


def test_equal_answers_have_no_difference_and_no_doubt():
    pooled = pool([outcome([1, 0, 1], [1, 0, 1])])
    assert (pooled.points, pooled.low, pooled.high) == (0.0, 0.0, 0.0)


def test_the_interval_is_about_that_of_the_normal_approximation():
    sample = random_outcome(0)
    gains = sample.first.astype(float) - sample.second.astype(float)
    half_width = 100 * 1.96 * gains.std() / np.sqrt(len(gains))
    pooled = pool([sample])
    assert pooled.low == pytest.approx(pooled.points - half_width, abs=0.15)
    assert pooled.high == pytest.approx(pooled.points + half_width, abs=0.15)


def test_testing_the_same_rows_again_does_not_narrow_the_interval():
    sample = random_outcome(1)
    once, thrice = pool([sample]), pool([sample] * 3)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.05)


def test_testing_other_rows_narrows_the_interval():
    sample = random_outcome(1)
    others = [outcome(sample.first, sample.second, sample.ids + 1000 * run) for run in range(4)]
    once, four_times = pool([sample]), pool(others)
    assert four_times.high - four_times.low == pytest.approx((once.high - once.low) / 2, rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        pooled = pool([random_outcome(seed, n=400)], resamples=400, seed=seed)
        covered += pooled.low <= 3.0 <= pooled.high
    assert 180 <= covered <= 199


def test_each_corpus_counts_the_same_in_the_mean_whatever_its_size():
    small = [outcome([1, 1, 0, 0], [1, 0, 0, 0])]  # +25 points
    large = [outcome([1, 0] * 50, [1, 1] * 50), outcome([1, 0] * 50, [1, 0] * 50)]  # -25 points over both runs
    equal = [outcome([1], [1])]
    mean = mean_over_corpora([small, large, equal, equal])
    assert mean.points == pytest.approx((25 - 25 + 0 + 0) / 4)
    assert mean.answers == 4 + 200 + 1 + 1
    assert mean_over_corpora([small, small, large]).points == pytest.approx(25 / 3)


def test_the_interval_of_the_mean_is_that_of_rows_drawn_within_each_corpus():
    # Of k = 0 to 2 draws the gaining row of two comes k times: 0, 50 and 100 points with odds 1 : 2 : 1. In the
    # mean with a corpus that has no doubt these are 0, 25 and 50.
    gaining, sure = [outcome([1, 0], [0, 0])], [outcome([1, 1, 1], [1, 1, 1])]
    mean = mean_over_corpora([gaining, sure])
    assert (mean.points, mean.low, mean.high) == (25.0, 0.0, 50.0)


def test_independent_corpora_narrow_the_interval_of_the_mean():
    corpora = [[random_outcome(seed)] for seed in range(4)]
    widths = [pooled.high - pooled.low for pooled in map(pool, corpora)]
    mean = mean_over_corpora(corpora)
    assert mean.high - mean.low == pytest.approx(np.sqrt(np.sum(np.square(widths))) / 4, rel=0.05)


def test_answers_to_different_rows_cannot_be_paired():
    with pytest.raises(ValueError, match="same rows"):
        outcome([1, 0], [1, 0, 1])
