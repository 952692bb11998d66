import csv
import os
from pathlib import Path

import numpy as np
import pytest

from surefit.config import MachineSettings, ModelSettings
from surefit.evaluation.label_errors import LabelIssues, _deal_into_folds, find_label_issues, out_of_sample_probabilities
from surefit.inference.embeddings import embed
from surefit.model.hardware import choose_hardware
from surefit.model.pretrained import load_pretrained
from surefit.types import SINGLE_LABEL, LabelSchema


def schema_of(classes):
    return LabelSchema(SINGLE_LABEL, tuple(f"class {number}" for number in range(classes)))


def points(n, classes=4, hidden=20, distance=4.0, seed=0):
    """Points around the centre of each class, and their classes."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    centres = distance * np.eye(classes, hidden)
    return (rng.standard_normal((n, hidden)) + centres[targets]).astype(np.float32), targets


def flipped(targets, share, classes, seed=0):
    """Labels of which a share, drawn at random, is another class; and which."""
    rng = np.random.default_rng(seed)
    wrong = np.zeros(len(targets), dtype=np.bool_)
    wrong[rng.choice(len(targets), round(share * len(targets)), replace=False)] = True
    return np.where(wrong, (targets + rng.integers(1, classes, len(targets))) % classes, targets), wrong


def find(embeddings, targets, classes=4, groups=None, seed=0):
    groups = np.arange(len(targets)) if groups is None else groups
    return find_label_issues(embeddings, targets, schema_of(classes), groups, seed)


def test_flipped_labels_are_found_and_the_true_class_is_suggested():
    embeddings, truth = points(1_000)
    targets, wrong = flipped(truth, 0.1, 4)
    issues = find(embeddings, targets)
    assert wrong[issues.positions].mean() > 0.9
    assert wrong[issues.positions].sum() > 70
    assert (issues.suggested == truth[issues.positions]).mean() > 0.9
    assert (issues.given == targets[issues.positions]).all()
    assert issues.judged == 1_000
    assert 0.8 < issues.agreement < 0.95


def test_the_most_doubtful_stand_first_with_their_probabilities():
    embeddings, truth = points(600)
    targets, _ = flipped(truth, 0.1, 4)
    issues = find(embeddings, targets)
    probabilities = out_of_sample_probabilities(embeddings, targets, 4, np.arange(600), 0)
    assert (np.diff(issues.given_probabilities) >= 0).all()
    assert (issues.given_probabilities == probabilities[issues.positions, issues.given]).all()
    assert (issues.suggested_probabilities == probabilities[issues.positions].max(axis=1)).all()
    assert len(set(issues.positions.tolist())) == len(issues)


def test_a_label_that_is_the_most_probable_is_no_issue():
    # Where many classes overlap, no probability is high, that of the given class not even where it is the highest.
    issues = find(*points(600, classes=20, distance=1.0), classes=20)
    assert len(issues) > 100
    assert (issues.suggested_probabilities > issues.given_probabilities).all()
    assert (issues.suggested != issues.given).all()


def test_where_labels_are_right_and_classes_far_apart_nothing_is_found():
    issues = find(*points(600, distance=12.0))
    assert len(issues) == 0
    assert issues.agreement == 1.0


def test_rows_are_judged_by_others_alone():
    # Two hundred dimensions of noise: whoever has seen a row knows its label, whoever has not can only guess.
    embeddings, _ = points(300, hidden=200, distance=0.0)
    targets = np.random.default_rng(1).integers(0, 2, 300)
    assert 0.35 < find(embeddings, targets, classes=2).agreement < 0.65


def test_copies_of_a_row_do_not_vouch_for_each_other():
    embeddings, _ = points(300, hidden=200, distance=0.0)
    targets = np.random.default_rng(1).integers(0, 2, 300)
    copies, same = np.tile(embeddings, (3, 1)), np.tile(targets, 3)
    assert 0.35 < find(copies, same, classes=2, groups=np.tile(np.arange(300), 3)).agreement < 0.65
    assert find(copies, same, classes=2).agreement > 0.8


def test_groups_stay_whole_and_classes_are_dealt_evenly():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(100) * 7, 3))
    targets = groups // 7 % 4
    folds = _deal_into_folds(targets, groups, 0)
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in np.unique(groups))
    assert np.ptp([[np.count_nonzero(folds[targets == own] == fold) for fold in range(5)] for own in range(4)]) == 0
    assert (folds == _deal_into_folds(targets, groups, 0)).all()
    assert (folds != _deal_into_folds(targets, groups, 1)).any()


def test_the_same_seed_finds_the_same():
    embeddings, truth = points(500)
    targets, _ = flipped(truth, 0.1, 4)
    first, second = find(embeddings, targets, seed=3), find(embeddings, targets, seed=3)
    assert (first.positions == second.positions).all()
    assert (first.given_probabilities == second.given_probabilities).all()


def test_the_size_of_the_dimensions_does_not_matter():
    embeddings, truth = points(400)
    targets, _ = flipped(truth, 0.1, 4)
    sizes = np.geomspace(1e-3, 1e3, embeddings.shape[1]).astype(np.float32)
    sizes[-1] = 0
    assert set(find(embeddings * sizes, targets).positions) & set(find(embeddings, targets).positions)
    assert find(embeddings * sizes, targets).agreement > 0.8


@pytest.mark.parametrize("rows", [1, 4])
def test_classes_with_fewer_rows_than_folds_are_not_judged(rows):
    embeddings, targets = points(300, classes=3)
    rare = np.concatenate([targets, np.full(rows, 3)])
    issues = find(np.concatenate([embeddings, embeddings[:rows]]), rare)
    assert issues.judged == 300
    assert not np.isin(np.arange(300, 300 + rows), issues.positions).any()


def test_a_class_in_one_group_alone_is_not_judged():
    embeddings, targets = points(300, classes=3)
    groups = np.concatenate([np.arange(300), np.full(10, 300)])
    issues = find(np.concatenate([embeddings, embeddings[:10]]), np.concatenate([targets, np.full(10, 3)]), groups=groups)
    assert issues.judged == 300


def test_a_class_without_rows_is_never_suggested():
    embeddings, truth = points(400, classes=3)
    targets, _ = flipped(truth, 0.1, 3)
    assert set(find(embeddings, targets * 2, classes=6).suggested.tolist()) <= {0, 2, 4}


@pytest.mark.parametrize("rows", [0, 1, 2, 6])
def test_where_nothing_can_be_told_apart_nothing_is_said(rows):
    issues = find(np.ones((rows, 3), np.float32), np.ones(rows, np.int64))
    assert (len(issues), issues.judged, issues.agreement) == (0, 0, 0.0)


def test_rows_that_are_all_alike_give_no_error():
    issues = find(np.ones((40, 3), np.float32), np.arange(40) % 2, classes=2)
    assert issues.judged == 40
    assert (issues.given_probabilities < 0.6).all()


def test_a_rare_class_beside_a_common_one_is_judged_where_it_can_be():
    embeddings, targets = points(400, classes=2, distance=8.0)
    targets = np.where(np.arange(400) < 390, 0, targets)
    issues = find(embeddings, targets, classes=2)
    assert issues.judged == (400 if np.count_nonzero(targets) >= 5 else 400 - np.count_nonzero(targets))


def test_more_rows_than_can_be_judged_are_sampled():
    embeddings, truth = points(100_500, classes=2, hidden=3)
    targets, wrong = flipped(truth, 0.1, 2)
    issues = find(embeddings, targets, classes=2)
    assert issues.judged == 100_000
    assert issues.positions.max() > 100_000
    assert wrong[issues.positions].mean() > 0.9


@pytest.fixture(scope="module")
def banking(embedded_model):
    """Embeddings, classes and duplicate groups of Banking77's training rows."""
    path = Path(os.environ.get("SUREFIT_DATA", "")) / "banking77" / "train.csv"
    if not path.is_file():
        pytest.skip("Banking77 is not in the folder that SUREFIT_DATA names")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names, targets = np.unique([row["label"] for row in rows], return_inverse=True)
    groups = np.unique([" ".join(row["text"].split()) for row in rows], return_inverse=True)[1]
    pretrained = load_pretrained(str(embedded_model), LabelSchema(SINGLE_LABEL, tuple(names)), ModelSettings(), seed=0)
    pretrained.classifier.prepare(choose_hardware(MachineSettings(device="cpu", threads=1)))
    embeddings = embed(pretrained.classifier, pretrained.tokenizer.encode([row["text"] for row in rows]))
    assert len(rows) == 10_003
    return embeddings, targets, groups


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_of_a_tenth_of_flipped_labels_in_banking77_most_are_found_precisely(banking, seed):
    embeddings, truth, groups = banking
    targets, wrong = flipped(truth, 0.1, 77, seed)
    issues = find(embeddings, targets, 77, groups, seed)
    hits = np.count_nonzero(wrong[issues.positions])
    # Measured: 81 to 82% found, 98% of what is found is wrong. What is asked for is 60% of both.
    assert hits / np.count_nonzero(wrong) >= 0.75
    assert hits / len(issues) >= 0.90


@pytest.mark.parametrize(
    ("agreement", "largest_share", "doubted"),
    [(0.97, 0.5, False), (0.76, 0.5, True), (0.98, 0.97, True), (0.995, 0.97, False), (0.91, 0.02, False)],
)
def test_the_sentence_says_how_far_to_believe_it(agreement, largest_share, doubted):
    one, share = np.zeros(1, dtype=np.int64), np.zeros(1)
    said = LabelIssues(one, one, one, share, share, 1234, agreement, largest_share).sentence
    assert said.startswith("1 of 1,234 labels may be wrong")
    assert f"agrees with {agreement:.0%} of all labels" in said
    assert ("many of them are right" in said) == doubted
    none = LabelIssues(one[:0], one[:0], one[:0], share[:0], share[:0], 7, 1.0, 0.5)
    assert none.sentence == "no label of 7 that were judged is doubtful"


def test_labels_dealt_at_random_to_a_rare_class_give_no_judge_to_believe():
    source = np.random.default_rng(0)
    embeddings, targets = source.normal(size=(1000, 16)).astype(np.float32), (source.random(1000) < 0.05).astype(np.int64)
    issues = find(embeddings, targets, 2)
    assert len(issues) > 0
    assert issues.agreement > 0.9
    assert f"of which {issues.largest_share:.0%} are of one class, so that many of them are right" in issues.sentence
