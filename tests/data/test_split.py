import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import labelled_rows

from surefit.config import SplitSettings
from surefit.data.clean import drop_small_classes, encode_labels, label_schema
from surefit.data.duplicates import exact_groups
from surefit.data.split import SPLIT_NAMES, split, summarize
from surefit.errors import DataError
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

repeatable = settings(derandomize=True, deadline=None)

DEFAULT = SplitSettings()
SHARES = np.array([0.8, 0.1, 0.1])


def schema_of(classes, problem_type=SINGLE_LABEL):
    return LabelSchema(problem_type, tuple(f"c{number}" for number in range(classes)))


def class_table(assignment, targets, classes):
    """Rows of each class in each split, shape (3, classes)."""
    one_hot = np.eye(classes, dtype=np.int64)[targets] if targets.ndim == 1 else targets
    return np.array([one_hot[assignment == number].sum(axis=0) for number in range(3)])


def straddling(assignment, groups):
    return [group for group in np.unique(groups) if len(set(assignment[groups == group].tolist())) > 1]


class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=8)


@repeatable
@given(class_sizes, st.integers(0, 2**32 - 1))
def test_each_class_is_split_to_the_row_and_so_is_the_whole(sizes, seed):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    assignment = split(targets, np.arange(len(targets)), DEFAULT, seed, schema_of(len(sizes))).assignment
    table = class_table(assignment, targets, len(sizes))
    large = np.array(sizes) >= 10  # where one row in each split is not more than its share
    assert (table >= 1).all()
    assert (np.abs(table - np.outer(SHARES, sizes))[:, large] < 1).all()
    if large.all():
        assert (np.abs(table.sum(axis=1) - SHARES * len(targets)) < 2).all()


@st.composite
def grouped_rows(draw):
    """Up to 6 classes, groups of 1 to 9 rows; now and then a group has a second class."""
    classes = draw(st.integers(2, 6))
    groups, targets = [], []
    for class_id in range(classes):
        for size in draw(st.lists(st.integers(1, 9), min_size=6, max_size=25)):
            group = len(set(groups))
            other = draw(st.sampled_from([class_id] * 9 + [(class_id + 1) % classes]))
            groups += [group] * size
            targets += [class_id] * (size - 1) + [other]
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(groups))
    return np.array(targets)[order], np.array(groups)[order], classes


@repeatable
@given(grouped_rows(), st.integers(0, 1000))
def test_groups_never_straddle_and_every_class_is_in_every_split(rows, seed):
    targets, groups, classes = rows
    assignment = split(targets, groups, DEFAULT, seed, schema_of(classes)).assignment
    assert straddling(assignment, groups) == []
    assert (class_table(assignment, targets, classes) >= 1).all()


def test_shares_with_groups_are_within_two_groups_of_the_wish():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3000), rng.integers(1, 6, 3000))
    targets = rng.integers(0, 5, 3000)[groups]
    assignment = split(targets, groups, DEFAULT, 1, schema_of(5)).assignment
    wish = np.outer(SHARES, np.bincount(targets))
    assert (np.abs(class_table(assignment, targets, 5) - wish) <= 10).all()
    assert (np.abs(np.bincount(assignment) - SHARES * len(groups)) <= 10).all()


def test_rounding_of_many_small_classes_does_not_add_up():
    targets = np.repeat(np.arange(77), 13)  # 1.3 rows for validation and for test, over and over
    assignment = split(targets, np.arange(len(targets)), DEFAULT, 0, schema_of(77)).assignment
    assert np.abs(np.bincount(assignment) - SHARES * len(targets)).max() <= 6


def test_large_groups_do_not_all_go_to_train():
    groups = np.repeat(np.arange(100), 10)
    targets = groups % 2
    assignment = split(targets, groups, DEFAULT, 0, schema_of(2)).assignment
    assert np.bincount(assignment).tolist() == [800, 100, 100]


def test_group_larger_than_a_share_goes_to_train():
    groups = np.concatenate([np.zeros(40, dtype=np.int64), np.arange(1, 61), np.arange(61, 161)])
    targets = np.repeat([0, 1], 100)
    assignment = split(targets, groups, DEFAULT, 0, schema_of(2)).assignment
    assert class_table(assignment, targets, 2).tolist() == [[80, 80], [10, 10], [10, 10]]
    assert (assignment[:40] == 0).all()


@pytest.mark.parametrize("huge_class", [0, 1])
def test_a_group_of_most_rows_leaves_the_others_to_the_other_splits(huge_class):
    groups = np.concatenate([np.zeros(480, dtype=np.int64), np.arange(1, 121)])
    targets = np.arange(600) % 10 == 0  # a tenth is of the rarer class, in the huge group too
    targets = np.where(targets, huge_class, 1 - huge_class)
    assignment = split(targets, groups, DEFAULT, 0, schema_of(2)).assignment
    assert np.bincount(assignment).tolist() == [480, 60, 60]
    assert straddling(assignment, groups) == []


def test_same_seed_gives_the_same_split_and_another_seed_another():
    targets = np.arange(200) % 3
    splits = [split(targets, np.arange(200), DEFAULT, seed, schema_of(3)).assignment for seed in (5, 5, 6)]
    assert (splits[0] == splits[1]).all()
    assert (splits[0] != splits[2]).any()


def test_seed_also_decides_where_the_rows_of_a_tiny_class_go():
    targets = np.repeat([0, 1], [30, 3])
    places = {tuple(split(targets, np.arange(33), DEFAULT, seed, schema_of(2)).assignment[30:].tolist()) for seed in range(40)}
    assert len(places) == 6


def test_numbers_of_the_groups_do_not_matter():
    targets = np.arange(60) % 2
    groups = np.repeat(np.arange(15), 4)
    other_numbers = np.random.default_rng(0).permutation(100)[groups]
    plain = split(targets, groups, DEFAULT, 3, schema_of(2)).assignment
    assert (split(targets, other_numbers, DEFAULT, 3, schema_of(2)).assignment == plain).all()


def test_class_missing_from_a_split_gets_its_row_from_train():
    targets = np.repeat([0, 1], [6, 40])  # class 0 is dealt 4, 2 and 0 rows
    uneven = SplitSettings(validation_size=0.3, test_size=0.05)
    for seed in range(10):
        assignment = split(targets, np.arange(46), uneven, seed, schema_of(2)).assignment
        assert np.bincount(assignment[:6]).tolist() == [3, 2, 1]


def test_sizes_are_those_of_the_settings():
    targets = np.arange(1000) % 2
    result = split(targets, np.arange(1000), SplitSettings(validation_size=0.25, test_size=0.3), 0, schema_of(2))
    assert [len(result.rows(name)) for name in SPLIT_NAMES] == [450, 250, 300]


def test_rows_of_the_three_splits_are_all_rows_once():
    result = split(np.arange(50) % 2, np.arange(50), DEFAULT, 0, schema_of(2))
    assert sorted(np.concatenate([result.rows(name) for name in SPLIT_NAMES]).tolist()) == list(range(50))
    assert result.assignment.dtype == np.int8


@pytest.mark.parametrize(
    ("given", "sizes"),
    [(["test"], [180, 20, 0]), (["validation"], [180, 0, 20]), (["validation", "test"], [200, 0, 0])],
)
def test_no_row_goes_to_a_split_that_has_its_own_file(given, sizes):
    result = split(np.arange(200) % 2, np.arange(200), DEFAULT, 0, schema_of(2), given=given)
    assert [len(result.rows(name)) for name in SPLIT_NAMES] == sizes


def test_fewer_splits_need_fewer_rows_of_a_class():
    targets = np.repeat([0, 1], [20, 2])
    assert (
        class_table(split(targets, np.arange(22), DEFAULT, 0, schema_of(2), given=["test"]).assignment, targets, 2)[:2] > 0
    ).all()
    with pytest.raises(DataError, match="each of the 3 splits"):
        split(targets, np.arange(22), DEFAULT, 0, schema_of(2))


def test_class_too_small_is_named_with_its_rows_and_place():
    targets = np.repeat([0, 1, 2], [20, 2, 20])
    with pytest.raises(DataError) as caught:
        split(targets, np.arange(42), DEFAULT, 0, schema_of(3), where="mail.csv")
    assert str(caught.value).startswith("mail.csv: class 'c1' (2 rows) too small: each of the 3 splits needs a different text")
    assert str(caught.value).endswith("leave 2 rows of small classes out with --min-rows-per-class 3")


def test_class_of_equal_texts_is_too_small_however_many_rows_it_has():
    targets = np.repeat([0, 1, 2], 20)
    groups = np.concatenate([np.arange(40), np.full(20, 40)])
    with pytest.raises(DataError, match=r"class 'c2' \(20 rows, 1 different\)") as caught:
        split(targets, groups, DEFAULT, 0, schema_of(3))
    assert "--min-rows-per-class" not in str(caught.value)  # 21 would leave no class at all


def test_many_classes_too_small_are_counted_the_smallest_first():
    targets = np.repeat(np.arange(12), [2] * 9 + [1, 30, 30])
    with pytest.raises(DataError, match=r"10 classes 'c9' \(1 row\), 'c0' \(2 rows\), 'c1' \(2 rows\) and 7 more too small"):
        split(targets, np.arange(len(targets)), DEFAULT, 0, schema_of(12))


@st.composite
def rows_with_small_classes(draw):
    sizes = [*draw(st.lists(st.integers(1, 12), min_size=2, max_size=8)), 40, 40]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    labels = rng.permutation(labels)
    shared = draw(st.sampled_from([0.0, 0.2]))  # rows whose text stands under other labels too
    texts = [
        f"{'' if rng.random() < shared else label}-{rng.integers(0, draw(st.sampled_from([4, 1000])))}" for label in labels
    ]
    return labelled_rows(texts, [f"class{label:02}" for label in labels])


@repeatable
@given(rows_with_small_classes(), st.integers(0, 50))
def test_minimum_offered_by_the_error_works_when_followed(examples, seed):
    def attempt(rows):
        schema = label_schema(rows, SINGLE_LABEL)
        return split(encode_labels(rows, schema), exact_groups(rows.texts), DEFAULT, seed, schema)

    try:
        attempt(examples)
    except DataError as error:
        offered = re.search(r"leave (\d+) rows .* --min-rows-per-class (\d+)$", str(error))
        if offered:
            kept = drop_small_classes(examples, int(offered[2]))
            assert len(kept.rejected) == int(offered[1])
            attempt(kept.examples)


def test_class_without_rows_is_not_missed():
    targets = np.arange(40) % 2
    assert len(split(targets, np.arange(40), DEFAULT, 0, schema_of(5)).rows("test")) == 4


def test_conflicting_groups_are_moved_until_both_classes_are_everywhere():
    # Class 1 stands only in groups that class 0 has too, and in exactly as many as there are splits.
    targets = np.array([0] * 30 + [0, 1] * 3)
    groups = np.concatenate([np.arange(30), np.repeat([30, 31, 32], 2)])
    assignment = split(targets, groups, DEFAULT, 0, schema_of(2)).assignment
    assert sorted(assignment[31::2].tolist()) == [0, 1, 2]
    assert straddling(assignment, groups) == []


def test_two_classes_that_share_all_their_texts_are_placed_together():
    targets = np.array([0] * 30 + [1, 2] * 3)
    groups = np.concatenate([np.arange(30), np.repeat([30, 31, 32], 2)])
    assignment = split(targets, groups, DEFAULT, 0, schema_of(3)).assignment
    assert sorted(assignment[30::2].tolist()) == sorted(assignment[31::2].tolist()) == [0, 1, 2]


def test_several_labels_a_row_are_stratified_by_the_rarest():
    rng = np.random.default_rng(0)
    targets = (rng.random((4000, 5)) < [0.5, 0.3, 0.2, 0.03, 0.01]).astype(np.int8)
    assignment = split(targets, np.arange(4000), DEFAULT, 0, schema_of(5, MULTI_LABEL)).assignment
    table, wish = class_table(assignment, targets, 5), np.outer(SHARES, targets.sum(axis=0))
    assert np.abs(np.bincount(assignment) - SHARES * 4000).max() <= 1
    assert np.abs(table - wish)[:, 4].max() < 1  # the rarest class: to the row
    assert (np.abs(table / wish - 1) < 0.25).all()


def test_rows_without_labels_are_spread_too():
    targets = np.zeros((100, 2), dtype=np.int8)
    targets[:30, 0] = targets[20:50, 1] = 1
    assignment = split(targets, np.arange(100), DEFAULT, 0, schema_of(2, MULTI_LABEL)).assignment
    assert np.bincount(assignment[50:]).tolist() == [40, 5, 5]


def test_summary_gives_sizes_and_class_shares():
    schema = schema_of(2)
    train, test = summarize({"train": np.array([0, 0, 1, 0]), "test": np.array([1])}, schema)
    assert (train.name, train.rows, train.share, train.class_rows, train.class_shares) == (
        "train",
        4,
        0.8,
        (3, 1),
        (0.75, 0.25),
    )
    assert (test.name, test.rows, test.share, test.class_rows) == ("test", 1, 0.2, (0, 1))


def test_summary_counts_each_label_of_a_row():
    (summary,) = summarize({"train": np.array([[1, 1], [0, 1]], dtype=np.int8)}, schema_of(2, MULTI_LABEL))
    assert (summary.class_rows, summary.class_shares) == ((1, 2), (0.5, 1.0))


def test_half_a_million_rows_take_seconds():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 450_000, 500_000)
    targets = rng.integers(0, 4, 450_000)[groups]
    start = time.process_time()
    split(targets, groups, DEFAULT, 0, schema_of(4))
    assert time.process_time() - start < 5  # measured: 0.4 s
