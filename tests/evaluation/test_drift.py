"""Drift: silent on rows of the same source, however few; loud on rows that are not."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from drift_rows import HIDDEN, TWO, rows_of
from scipy.stats import ks_1samp, uniform

from surefit.decision import ABSTAINED_ID
from surefit.evaluation.drift import DriftReport, compare, stability_index
from surefit.evaluation.embedding_statistics import EmbeddingStatistics, distances_and_directions
from surefit.evaluation.row_statistics import ReferenceStatistics
from surefit.types import SINGLE_LABEL, LabelSchema


def found(report: DriftReport):
    return {shift.statistic: shift for shift in report.shifts}


def levels(report: DriftReport):
    return {shift.statistic: shift.level for shift in report.shifts if shift.level != "none"}


@pytest.fixture(scope="module")
def reference():
    return ReferenceStatistics.of(rows_of(600, 0), 2)


@pytest.mark.parametrize("n", [1, 5, 20, 100, 2_000])
def test_rows_of_the_same_source_are_no_drift(reference, n):
    said = Counter(compare(reference, rows_of(n, seed), TWO).level for seed in range(1, 101))
    assert said["strong"] <= 3, "more than two in a hundred"
    assert said["some"] <= 9, "more than one in twenty, and what chance adds"


@pytest.mark.parametrize("judged", [16, 100])
def test_a_small_test_set_with_a_rare_class_is_no_drift_either(judged):
    """Its scale and its counts come from few rows; one row of the rare class among new ones is no shift."""
    said = Counter()
    for seed in range(120):
        own = ReferenceStatistics.of(rows_of(judged, 1_000 + seed, share=0.02), 2)
        said[compare(own, rows_of((5, 20, 300)[seed % 3], seed, share=0.02), TWO).level] += 1
    assert said["strong"] <= 4
    assert said["some"] <= 10


def test_every_statistic_of_the_same_source_has_p_values_that_are_not_too_small(reference):
    small = Counter()
    for seed in range(120):
        report = compare(ReferenceStatistics.of(rows_of(150, 2_000 + seed), 2), rows_of(60, seed), TWO)
        small.update(shift.statistic for shift in report.shifts if shift.p_value / len(report.shifts) < 0.05)
    assert max(small.values()) <= 14, (
        small
    )  # of 120 five in a hundred are six, and 14 are more than three standard errors over it


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"longer": 3.0}, {"lengths"}),
        ({"unknown": 0.6}, {"unknown_tokens"}),
        ({"share": 0.7}, {"predicted_classes", "true_classes", "embedding_mean"}),
        ({"moved": 2.0}, {"embedding_mean", "embedding_distances"}),
        ({"spread": 2.5}, {"embedding_distances"}),
    ],
)
def test_what_has_changed_is_said_strongly_and_nothing_else_is(reference, change, expected):
    report = compare(reference, rows_of(300, 5, **change), TWO)
    assert levels(report).keys() - {"embedding_distances"} == expected - {"embedding_distances"}
    assert all(levels(report)[statistic] == "strong" for statistic in expected)
    assert report.level == "strong"
    assert report.sentence.startswith("Strong drift (")
    assert {shift.sentence for shift in report.shifts if shift.level == "none"} == {
        "No more than chance may do, or too little to matter."
    }


@pytest.mark.parametrize("n", [5, 20])
def test_few_rows_from_elsewhere_are_enough(reference, n):
    reports = [compare(reference, rows_of(n, seed, longer=12.0, moved=4.0), TWO) for seed in range(10)]
    assert {report.level for report in reports} == {"strong"}


def test_many_rows_that_differ_by_next_to_nothing_are_no_drift(reference):
    report = compare(reference, rows_of(20_000, 3, longer=1.1, share=0.34), TWO)
    assert found(report)["true_classes"].p_value < 0.01, "the difference is there"
    assert report.level == "none"


def test_a_level_between_needs_its_distance(reference):
    shift = found(compare(reference, rows_of(2_000, 3, share=0.47), TWO))["true_classes"]
    assert 0.1 < shift.distance < 0.25
    assert shift.level == "some"
    assert shift.now["spam"] == pytest.approx(0.47, abs=0.03)
    assert "spam 27% to 48%" in shift.sentence


def test_without_labels_the_true_classes_are_left_out(reference):
    labelled, unlabelled = (compare(reference, rows_of(80, 9, labelled=known), TWO) for known in (True, False))
    assert found(labelled).keys() - found(unlabelled).keys() == {"true_classes"}


@pytest.mark.parametrize(("longer", "level"), [(1.2, "some"), (3.0, "strong")])
def test_who_has_labels_is_not_told_to_label(reference, longer, level):
    with_labels, without = (
        compare(reference, rows_of(800, 3, longer=longer, labelled=labelled), TWO) for labelled in (True, False)
    )
    assert (with_labels.level, without.level) == (level, level)
    assert "rely on the figures of these" in with_labels.sentence
    assert "label some" not in with_labels.sentence
    assert "label some" in without.sentence


def test_rows_that_the_model_abstains_from_are_an_answer_of_their_own(reference):
    rows = rows_of(200, 4)
    unsure = dataclasses.replace(rows, predicted=np.where(np.arange(200) % 2 == 0, ABSTAINED_ID, rows.predicted))
    shift = found(compare(reference, unsure, TWO))["predicted_classes"]
    assert (shift.level, shift.now["(abstained)"]) == ("strong", 0.5)
    assert "(abstained) 0% to 50%" in shift.sentence


def test_rows_that_are_nearer_to_the_middle_are_not_said_to_be_far(reference):
    near, far = (
        found(compare(reference, rows_of(300, 5, spread=s, share=0.3), TWO))["embedding_distances"] for s in (0.3, 2.5)
    )
    assert (near.level, far.level) == ("strong", "strong")
    assert "more alike" in near.sentence
    assert f"unusual: {far.now['beyond']:.1%} are as far from the middle as {far.reference['beyond']:.1%}" in far.sentence


def test_rows_of_which_none_is_far_are_not_said_to_be_unusual(reference):
    rows = rows_of(300, 5)
    # On a shell that is further out than most of the reference, and not as far as its furthest.
    own = reference.embeddings
    _, directions = distances_and_directions(rows.embeddings, own.centre, own.spread)
    further = np.array(own.centre) + directions * (0.95 * own.far) * np.array(own.spread)
    shift = found(compare(reference, dataclasses.replace(rows, embeddings=further.astype(np.float32)), TWO))[
        "embedding_distances"
    ]
    assert (shift.level, shift.now["beyond"]) == ("strong", 0)
    assert shift.sentence == "To the model the texts are on average further from the middle than those it was judged on."


def test_the_stability_index_is_the_textbook_s():
    before, after = np.array([500_000, 300_000, 200_000]), np.array([200_000, 300_000, 500_000])
    expected = 2 * 0.3 * np.log(2.5)  # sum of (q - p) ln(q / p) over shares of 0.5, 0.3, 0.2 and the reverse
    assert stability_index(before, after) == pytest.approx(expected, rel=1e-4)
    assert stability_index(before, before) == 0
    assert np.isfinite(stability_index(np.array([0, 10, 0]), np.array([4, 0, 0])))


def test_what_chance_gives_is_what_theory_says():
    """Yurdakul 2018: about (bins - 1)(1/n + 1/m)."""
    report = compare(ReferenceStatistics.of(rows_of(2_000, 0), 2), rows_of(500, 1), TWO)
    # Thirteen bins, the outer ones all but empty, and half of the reference's rows.
    assert found(report)["embedding_distances"].by_chance == pytest.approx(11 * (1 / 500 + 1 / 1_000), rel=0.25)
    assert found(report)["true_classes"].by_chance == pytest.approx(1 / 500 + 1 / 2_000, rel=0.25)


def test_the_test_of_means_is_uniform_where_nothing_changed(reference):
    rng, p_values = np.random.default_rng(0), []
    new = rows_of(50, 2, labelled=False)
    for _ in range(200):
        own, later = rng.standard_normal((200, HIDDEN)), rng.standard_normal((50, HIDDEN))
        judged = dataclasses.replace(reference, embeddings=EmbeddingStatistics.of(own[:100], own[100:]))
        report = compare(judged, dataclasses.replace(new, embeddings=later), TWO)
        p_values.append(found(report)["embedding_mean"].p_value)
    # They are multiplied by the number of statistics and cut at 1: the lower part is compared.
    low = np.array([p for p in p_values if p < 1])
    assert len(low) == pytest.approx(200 / 6, abs=18)
    assert ks_1samp(low, uniform.cdf).pvalue > 0.001


@pytest.mark.parametrize("m", [1, 2, 9])
def test_a_reference_of_next_to_no_rows_has_no_embeddings_and_says_that_little_shows(m):
    small = ReferenceStatistics.of(rows_of(m, 0), 2)
    assert small.embeddings is None
    assert ReferenceStatistics.from_json(json.loads(json.dumps(small.to_json()))) == small
    report = compare(small, rows_of(50, 1), TWO)
    assert report.level == "none"
    assert report.sentence.endswith("With so few rows only a large shift would show.")
    assert "embedding_mean" not in found(report)


def test_many_classes_of_which_most_have_no_rows():
    classes = LabelSchema(SINGLE_LABEL, tuple(f"class {number}" for number in range(150)))

    def drawn(n, seed, first):
        rng = np.random.default_rng(seed)
        targets = rng.integers(first, first + 60, n)
        return dataclasses.replace(rows_of(n, seed), targets=targets, predicted=targets)

    own = ReferenceStatistics.of(drawn(1_500, 0, 0), 150)
    assert [compare(own, drawn(30, seed, 0), classes).level for seed in range(1, 11)].count("none") >= 9
    assert levels(compare(own, drawn(30, 1, 50), classes))["true_classes"] == "strong"


def test_a_report_is_the_same_each_time_and_is_json(reference):
    first, again = (compare(reference, rows_of(30, 2), TWO).to_dict() for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
