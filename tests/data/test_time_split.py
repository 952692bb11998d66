"""Splits by time: later rows judge what was learned from earlier ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import labelled_rows

from surefit.config import SplitSettings
from surefit.data.split import SPLIT_NAMES
from surefit.data.time_split import instants, split_by_time
from surefit.errors import DataError

repeatable = settings(derandomize=True, deadline=None)
DEFAULT = SplitSettings()


def times_of(*written):
    return instants(labelled_rows(["x"] * len(written), times=list(written)), "rows.csv").tolist()


@pytest.mark.parametrize(
    "rising",
    [
        ("2", "10", "1e3"),
        ("2024-02-29", "2024-03-01", "2024-03-01T00:00:01"),
        ("2024-03-01 12:00", "2024-03-01T12:00:00.5", "2024-03-01 12:01"),
        ("2024-03-01T12:00+02:00", "2024-03-01T11:00", "2024-03-01T12:00Z"),
        ("20240301", "20240302"),
    ],
)
def test_times_are_numbers_or_dates(rising):
    found = times_of(*rising)
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("written", "line", "kind"),
    [
        (["yesterday"], 2, "a number or a date such as"),
        (["2024-03-01", "01/03/2024"], 3, "a number or a date such as"),
        (["2024-03-01", "17"], 3, "a number or a date such as"),
        (["5", "2024-03-01"], 3, "a number, as the first time is"),
        (["5", "nan"], 3, "a number, as the first time is"),
    ],
)
def test_other_times_are_a_sentence_with_the_line(written, line, kind):
    with pytest.raises(DataError, match=f"^rows.csv, line {line}: the time is not {kind}"):
        times_of(*written)


@repeatable
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=10, max_size=80))
def test_splits_follow_each_other_and_no_group_stands_in_two(rows):
    times, groups = np.array(rows, dtype=np.float64).T
    try:
        assignment = split_by_time(times, groups.astype(np.int64), DEFAULT).assignment
    except DataError:
        return
    begun = np.array([times[groups == group].min() for group in groups])
    for earlier, later in ((0, 1), (1, 2)):
        assert begun[assignment == earlier].max() < begun[assignment == later].min()
    assert all(len(set(assignment[groups == group])) == 1 for group in groups)


def test_shares_are_met_where_times_allow():
    times = np.random.default_rng(0).permutation(1000).astype(np.float64)
    split = split_by_time(times, np.arange(1000), SplitSettings(validation_size=0.15, test_size=0.25))
    assert [len(split.rows(name)) for name in SPLIT_NAMES] == [600, 150, 250]
    assert times[split.rows("test")].min() == 750


def test_rows_of_the_same_time_stay_together():
    split = split_by_time(np.array([1.0] * 8 + [2.0] * 1 + [3.0] * 1), np.arange(10), DEFAULT)
    assert split.assignment.tolist() == [0] * 8 + [1, 2]


@pytest.mark.parametrize(
    ("counts", "given", "sizes"),
    [
        ([150] * 4, (), [300, 150, 150]),  # nearest to the shares, no row would be tested on
        ([100] * 6, (), [400, 100, 100]),
        ([200] * 3, (), None),  # training would have a third of the rows
        ([90, 20], ("test",), [90, 20, 0]),
        ([50, 50], ("validation",), [50, 0, 50]),
        ([1, 1, 100], (), None),
    ],
)
def test_few_times_are_dealt_to_all_splits(counts, given, sizes):
    times = np.repeat(np.arange(len(counts)), counts).astype(np.float64)
    if sizes is None:
        with pytest.raises(DataError, match="no row is left"):
            split_by_time(times, np.arange(len(times)), DEFAULT, given=given)
    else:
        assignment = split_by_time(times, np.arange(len(times)), DEFAULT, given=given).assignment
        assert np.bincount(assignment, minlength=3).tolist() == sizes


def test_splits_that_are_given_get_no_row():
    split = split_by_time(np.arange(10.0), np.arange(10), DEFAULT, given=("test",))
    assert np.bincount(split.assignment, minlength=3).tolist() == [9, 1, 0]


@pytest.mark.parametrize(
    ("times", "groups"),
    [(np.ones(20), np.arange(20)), (np.arange(20.0), np.zeros(20, dtype=np.int64))],
    ids=["times", "groups"],
)
def test_times_that_leave_a_split_empty_are_a_sentence(times, groups):
    with pytest.raises(DataError, match=r"^rows\.csv: split by time, no row is left for (train|validation|test)"):
        split_by_time(times, groups, DEFAULT, where="rows.csv")
