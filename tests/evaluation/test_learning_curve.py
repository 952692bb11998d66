"""Whether more labels would help, from what the last doubling of the rows gained."""

import json

import numpy as np
import pytest

from surefit.evaluation.baselines import LabelledEmbeddings
from surefit.evaluation.learning_curve import learning_curve
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
    return learning_curve(train, validation, test, np.arange(len(test)), TWO, seed=0)


def test_where_rows_are_few_more_labels_help():
    curve = curve_of(embeddings_of(60, 0))
    assert [(point.share, point.rows) for point in curve.points] == [(0.25, 15), (0.5, 30), (1.0, 60)]
    assert curve.last_doubling == pytest.approx(100 * (curve.points[2].accuracy - curve.points[1].accuracy))
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
