"""Whether more labels would help, from what the last doubling of the rows gained."""

import json

import numpy as np
import pytest

from surefit.evaluation.baselines import LabelledEmbeddings
from surefit.evaluation.learning_curve import SHARES, curve_sentences, learning_curve, nested_subsets
from surefit.types import SINGLE_LABEL, LabelSchema

TWO = LabelSchema(SINGLE_LABEL, ("a", "b"))


def embeddings_of(rows, seed, dimensions=40, signal=1.0):
    """Rows of two classes that differ in many dimensions a little, so that each needs many rows to be learned."""
    source = np.random.default_rng(seed)
    targets = np.arange(rows) % 2
    values = source.normal(size=(rows, dimensions)) + signal / np.sqrt(dimensions) * (2 * targets[:, None] - 1)
    return LabelledEmbeddings(values.astype(np.float32), targets)


def curve_of(train, test_rows=3000, **more):
    validation, test = embeddings_of(300, 1, **more), embeddings_of(test_rows, 2, **more)
    return learning_curve(train, validation, test, np.arange(len(train)), np.arange(len(test)), TWO, seed=0)


def test_where_rows_are_few_more_labels_help():
    curve = curve_of(embeddings_of(60, 0))
    assert [(point.share, point.rows) for point in curve.points] == [(0.25, 15), (0.5, 30), (1.0, 60)]
    assert curve.last_doubling == pytest.approx(100 * (curve.points[2].accuracy - curve.points[1].accuracy))
    for point in curve.points:
        assert point.accuracy_interval[0] < point.accuracy < point.accuracy_interval[1]
        assert point.macro_f1_interval[0] < point.macro_f1 < point.macro_f1_interval[1]
    assert curve.interval[0] < curve.last_doubling < curve.interval[1]
    assert "more labels would probably help" in curve.sentence


def test_where_all_is_learned_more_labels_hardly_help():
    assert "would hardly help" in curve_of(embeddings_of(4000, 0, signal=2.0), signal=2.0).sentence


def test_few_test_rows_cannot_tell():
    assert "cannot be told" in curve_of(embeddings_of(200, 0), test_rows=40).sentence


def test_rows_sorted_by_class_are_taken_from_all_classes():
    train = embeddings_of(400, 0)
    by_class = train.take(np.argsort(train.targets, kind="stable"))
    assert curve_of(by_class).points[0].accuracy > 0.6


def test_a_class_that_is_almost_alone_is_bearable():
    train = embeddings_of(40, 0)
    one_other = LabelledEmbeddings(train.embeddings, np.where(np.arange(40) == 0, 1, 0))
    assert len(curve_of(one_other, test_rows=50).points) == 3


def test_it_is_the_same_each_time_and_plain_json():
    train = embeddings_of(100, 0)
    first, again = (curve_of(train, test_rows=100).to_dict() for _ in range(2))
    assert first == again
    assert json.loads(json.dumps(first))["points"][0]["rows"] == 25


def test_the_fine_tuned_model_speaks_first():
    assert curve_sentences({"sentence": "simple"}) == ("simple",)
    assert curve_sentences({"sentence": "simple", "fine_tuned": {"sentence": "tuned"}}) == ("tuned", "simple")


def grouped_rows(groups, classes, seed, other=0.05):
    """Groups of one to five rows, some of any class instead of their group's; a class is the rarer the higher its number."""
    source = np.random.default_rng(seed)
    sizes = source.integers(1, 6, groups)
    shares = 1 / np.arange(1, classes + 1)
    of_group = source.choice(classes, groups, p=shares / shares.sum())
    numbers, targets = np.repeat(np.arange(groups), sizes), np.repeat(of_group, sizes)
    changed = source.random(len(targets)) < other
    targets[changed] = source.integers(0, classes, changed.sum())
    order = source.permutation(len(targets))
    return targets[order], numbers[order]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("other", "off"), [(0.0, 8), (0.05, 50)])
def test_subsets_are_nested_keep_groups_whole_and_have_every_class_in_its_share(seed, other, off):
    targets, groups = grouped_rows(3000, 10, seed, other)
    quarter, half, every = nested_subsets(targets, groups, SHARES, seed)
    assert np.array_equal(every, np.arange(len(targets)))
    assert set(quarter) < set(half)
    for rows, share in ((quarter, 0.25), (half, 0.5)):
        assert np.array_equal(rows, np.unique(rows))
        assert not set(groups[rows]) & set(np.delete(groups, rows))
        assert len(rows) == pytest.approx(share * len(targets), abs=3)
        of_class = np.bincount(targets[rows], minlength=10)
        assert (of_class > 0).all()
        # A class may be off by a group or two, and where groups are mixed by its rows in those of other classes.
        assert of_class == pytest.approx(share * np.bincount(targets), abs=off)


def test_subsets_go_by_the_seed():
    targets, groups = grouped_rows(300, 3, 0)
    first, again, other = (nested_subsets(targets, groups, SHARES, seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])


def test_a_subset_has_every_class_where_rows_are_fewer_than_asked_for():
    targets = np.repeat(np.arange(40), 3)
    (quarter,) = nested_subsets(targets, np.arange(120), (0.25,), 0)
    assert np.array_equal(targets[quarter], np.arange(40))


def test_a_class_that_stands_in_mixed_groups_alone_is_in_each_subset():
    targets = np.zeros(400, dtype=np.int64)
    targets[[10, 11, 12]] = 1
    groups = np.arange(400) // 4  # rows 8 to 11 and 12 to 15 are of both classes
    quarter, half, _ = nested_subsets(targets, groups, SHARES, 0)
    assert set(targets[quarter]) == set(targets[half]) == {0, 1}
    assert (len(quarter), len(half)) == (100, 200)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_single_group_is_in_each_subset(rows):
    targets = np.arange(rows) % 2
    for subset in nested_subsets(targets, np.zeros(rows, dtype=np.int64), SHARES, 0):
        assert np.array_equal(subset, np.arange(rows))
