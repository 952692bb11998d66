import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from surefit.data.duplicates import exact_groups, find_duplicates, merged_groups, own_groups
from surefit.types import TEXT_TYPE

repeatable = settings(derandomize=True, deadline=None)

short_texts = st.text("ab ", max_size=3)


def column(texts):
    return pa.array(texts, TEXT_TYPE)


def first_appearances(keys):
    """The plain way to number equal keys."""
    numbers = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


@repeatable
@given(st.lists(short_texts, max_size=30))
def test_equal_texts_share_a_group_numbered_by_first_appearance(texts):
    groups = exact_groups(column(texts))
    assert groups.tolist() == first_appearances(texts)
    assert groups.dtype == np.int64


@repeatable
@given(st.lists(st.tuples(short_texts, short_texts), max_size=30))
def test_pairs_share_a_group_when_both_texts_are_equal(pairs):
    groups = exact_groups(column([a for a, _ in pairs]), column([b for _, b in pairs]))
    assert groups.tolist() == first_appearances(pairs)


def test_pairs_are_not_joined_and_their_order_counts():
    assert exact_groups(column(["ab", "a", "b"]), column(["c", "bc", "a"])).tolist() == [0, 1, 2]
    assert exact_groups(column(["a", "b"]), column(["b", "a"])).tolist() == [0, 1]


def test_case_is_a_difference():
    assert exact_groups(column(["Free", "free"])).tolist() == [0, 1]


def test_slice_of_a_column_is_grouped_on_its_own():
    assert exact_groups(column(["x", "a", "b", "a"]).slice(1)).tolist() == [0, 1, 0]


def test_duplicates_and_conflicts_are_counted():
    groups = np.array([0, 1, 0, 2, 1, 1, 3])
    targets = np.array([0, 1, 0, 1, 1, 0, 0])
    found = find_duplicates(groups, targets)
    assert (found.groups, found.rows) == (2, 5)
    assert (found.conflicting_groups, found.conflicting_rows) == (1, 3)
    assert found.examples == ((0, 2), (1, 4, 5))
    assert found.conflicting_examples == ((1, 4, 5),)


def test_sets_of_labels_conflict_when_any_label_differs():
    targets = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1]], dtype=np.int8)
    found = find_duplicates(np.array([0, 0, 0, 1, 1]), targets)
    assert (found.groups, found.conflicting_groups, found.conflicting_rows) == (2, 1, 3)


def test_distinct_texts_have_no_duplicates():
    found = find_duplicates(np.arange(4), np.array([0, 1, 0, 1]))
    assert (found.groups, found.rows, found.conflicting_groups, found.conflicting_rows) == (0, 0, 0, 0)
    assert found.examples == found.conflicting_examples == ()


@repeatable
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=40))
def test_counts_equal_those_of_a_plain_loop(rows):
    groups = np.array(first_appearances([group for group, _ in rows]))
    targets = np.array([target for _, target in rows])
    labels_of = {g: [t for h, t in zip(groups, targets, strict=True) if h == g] for g in set(groups.tolist())}
    repeated = [labels for labels in labels_of.values() if len(labels) > 1]
    conflicting = [labels for labels in repeated if len(set(labels)) > 1]
    found = find_duplicates(groups, targets)
    assert (found.groups, found.rows) == (len(repeated), sum(map(len, repeated)))
    assert (found.conflicting_groups, found.conflicting_rows) == (len(conflicting), sum(map(len, conflicting)))


def test_examples_are_few_however_many_duplicates_there_are():
    found = find_duplicates(np.repeat(np.arange(50), 20), np.zeros(1000, dtype=np.int64))
    assert found.examples[0] == (0, 1, 2, 3, 4)
    assert len(found.examples) == 5


def test_groups_of_similar_texts_count_where_their_texts_differ():
    groups, texts = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 2, 3])
    found = find_duplicates(groups, np.array([0, 1, 0, 1, 0]), texts)
    assert (found.groups, found.rows) == (1, 2)
    assert (found.conflicting_groups, found.conflicting_rows) == (1, 2)
    assert found.examples == found.conflicting_examples == ((2, 3),)


def test_groups_of_two_kinds_are_merged_where_they_meet():
    assert merged_groups(np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, 7, 7])).tolist() == [0, 0, 0, 1, 1]
    assert merged_groups(np.array([3, 1, 2]), np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_rows_without_a_group_become_groups_of_their_own_over_all_sources():
    first, second = own_groups([column(["x", "", "y", "x", ""]), column(["", "y", "0", "7"])])
    assert first.type == second.type == TEXT_TYPE
    numbers = first.to_pylist() + second.to_pylist()
    assert numbers[0] == numbers[3]
    assert numbers[2] == numbers[6]
    assert len(set(numbers)) == len(numbers) - 2
    assert own_groups([column([])])[0].to_pylist() == []
