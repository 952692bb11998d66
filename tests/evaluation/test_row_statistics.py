"""What is kept of the rows that a model was judged on."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from drift_rows import HIDDEN, rows_of

from surefit.evaluation.row_statistics import MOST_ROWS, ReferenceStatistics, RowStatistics, sampled_rows


@pytest.fixture(scope="module")
def reference():
    return ReferenceStatistics.of(rows_of(600, 0), 2)


def test_embeddings_that_are_all_the_same_have_no_scale():
    same = dataclasses.replace(rows_of(40, 0), embeddings=np.ones((40, HIDDEN), np.float32))
    assert ReferenceStatistics.of(same, 2).embeddings is None


def test_a_sample_is_of_all_rows_up_to_its_size_and_of_any_place_beyond():
    assert sampled_rows(MOST_ROWS).tolist() == list(range(MOST_ROWS))
    rows = sampled_rows(100_000)
    assert (len(rows), len(set(rows.tolist()))) == (MOST_ROWS, MOST_ROWS)
    assert (np.diff(rows) > 0).all()
    assert 0.45 < (rows % 2).mean() < 0.55, "a file whose classes alternate is sampled from both"
    assert (rows == sampled_rows(100_000)).all()


def test_the_statistics_are_small_and_come_back_as_they_were(reference):
    text = json.dumps(reference.to_json(), allow_nan=False)
    assert ReferenceStatistics.from_json(json.loads(text)) == reference
    wide = dataclasses.replace(rows_of(300, 0), embeddings=np.random.default_rng(0).standard_normal((300, 384)))
    assert len(json.dumps(ReferenceStatistics.of(wide, 2).to_json())) < 15_000


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("rows",), -1),
        (("rows",), True),
        (("rows",), 1.5),
        (("lengths",), None),
        (("lengths", "mean"), "12"),
        (("lengths", "edges"), [3, 2, 1]),
        (("lengths", "edges"), []),
        (("lengths", "counts"), [1]),
        (("confidences", "mean"), float("nan")),
        (("predicted_classes",), [1, 2]),
        (("true_classes",), {"ham": 1}),
        (("embeddings",), []),
        (("embeddings", "centre"), [1.0]),
        (("embeddings", "spread"), [0.0] * HIDDEN),
        (("embeddings", "variance"), 0),
        (("embeddings", "far"), 10**400),
        (("embeddings", "distances", "counts"), [0.5]),
    ],
)
def test_damaged_statistics_are_refused(reference, place, value):
    entry = json.loads(json.dumps(reference.to_json()))
    part = entry
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    with pytest.raises((TypeError, ValueError, OverflowError)):
        ReferenceStatistics.from_json(entry)
    del part[place[-1]]
    with pytest.raises((KeyError, TypeError)):
        ReferenceStatistics.from_json(entry)


def test_rows_must_be_described_alike():
    rows = rows_of(3, 0)
    for change in ({"confidences": np.ones(2)}, {"targets": np.zeros(4, np.int64)}, {"embeddings": np.zeros(3)}):
        with pytest.raises(ValueError, match="one entry a row"):
            dataclasses.replace(rows, **change)
    with pytest.raises(ValueError, match="at least one row"):
        RowStatistics(*(np.zeros(0) for _ in range(5)), embeddings=np.zeros((0, 2)))
    with pytest.raises(ValueError, match="labelled rows"):
        ReferenceStatistics.of(rows_of(3, 0, labelled=False), 2)
