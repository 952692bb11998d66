"""Ranges of a trained model's activations, and the check whether its answers stay."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from learnable_rows import learnable_rows
from processor import needs_int8
from surefit.config import ModelSettings
from surefit.inference.engine import predict_logits
from surefit.inference.int8 import compare, find_ranges, prepare_int8
from surefit.model.hardware import Hardware
from surefit.model.int8_ranges import Int8Facts
from surefit.model.pretrained import load_classifier, load_pretrained
from surefit.progress import Progress
from surefit.types import MULTI_LABEL, SINGLE_LABEL, DecisionRule, LabelSchema
from tiny_models import write_tiny_bert, write_tiny_stock

PLAIN = DecisionRule()
TWO = LabelSchema(SINGLE_LABEL, ("a", "b"))
MULTI = LabelSchema(MULTI_LABEL, ("a", "b", "c"))
FP32, INT8 = (Hardware(torch.device("cpu"), precision, 1) for precision in ("fp32", "int8"))


def answers(*labels: int, margin: float = 4.0) -> np.ndarray:
    """Logits of two classes that decide on these labels."""
    logits = np.zeros((len(labels), 2), np.float32)
    logits[np.arange(len(labels)), labels] = margin
    return logits


class TestCompare:
    def test_rows_that_are_decided_otherwise_are_counted(self):
        check = compare(answers(0, 1, 1, 0, 1), answers(0, 1, 0, 1, 0), np.array([0, 1, 0, 0, 0]), TWO, PLAIN)
        assert (check.rows, check.changed, check.lost) == (5, 3, 2), "of the three that change, one becomes right"

    def test_moves_are_of_the_probability_that_moved_most(self):
        plain = np.zeros((2, 2), np.float32)
        moved = np.array([[0, 0], [np.log(3), 0]], np.float32)  # 0.75 and 0.25 in the second row
        check = compare(moved, plain, np.zeros(2, np.int64), TWO, PLAIN)
        assert check.changed == 0, "ties go to the first class on both sides"
        assert check.mean_move == pytest.approx(0.125, abs=1e-6)
        assert check.largest_move == pytest.approx(0.25, abs=1e-6)

    def test_a_row_of_several_labels_is_changed_once_however_many_changed(self):
        plain = np.array([[1, 1, 1], [1, -1, 1], [-1, -1, -1]], np.float32)
        other = np.array([[-1, -1, 1], [1, -1, 1], [-1, -1, 1]], np.float32)
        check = compare(other, plain, np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1]]), MULTI, PLAIN)
        assert (check.rows, check.changed, check.lost) == (3, 2, 1)

    @pytest.mark.parametrize(
        ("lost", "rows", "upper"),
        # Tables of the exact one-sided limit; none of n: 1 - 0.05 ** (1 / n).
        [(0, 10, 0.2589), (0, 100, 0.0295), (3, 100, 0.0757), (5, 10, 0.7776), (10, 10, 1.0)],
    )
    def test_the_upper_end_is_that_of_clopper_and_pearson(self, lost, rows, upper):
        check = compare(answers(*[1] * lost, *[0] * (rows - lost)), answers(*[0] * rows), np.zeros(rows, np.int64), TWO, PLAIN)
        assert (check.changed, check.lost, check.rows) == (lost, lost, rows)
        assert check.most_lost == pytest.approx(upper, abs=5e-5)

    @pytest.mark.parametrize(
        ("lost", "rows", "safe"), [(0, 1, False), (0, 298, False), (0, 299, True), (1, 299, False), (1, 500, True)]
    )
    def test_it_is_safe_where_fewer_than_one_in_a_hundred_are_lost_for_sure(self, lost, rows, safe):
        check = compare(answers(*[1] * lost, *[0] * (rows - lost)), answers(*[0] * rows), np.zeros(rows, np.int64), TWO, PLAIN)
        assert check.safe is safe

    def test_what_becomes_right_costs_nothing(self):
        check = compare(answers(*[0] * 400), answers(*[1] * 50, *[0] * 350), np.zeros(400, np.int64), TWO, PLAIN)
        assert (check.changed, check.lost, check.safe) == (50, 0, True)


@pytest.fixture(scope="module")
def trained(trained_run):
    """A trained classifier, prepared, with rows that it knows and rows that it does not."""
    saved = load_classifier(trained_run.directory)
    saved.classifier.prepare(FP32)
    known, unknown = (saved.tokenizer.encode([text for text, _ in learnable_rows(n, seed)]) for n, seed in ((160, 0), (500, 7)))
    logits = predict_logits(saved.classifier, unknown)
    return saved.classifier, known, unknown, logits, logits.argmax(axis=1)


@needs_int8
class TestPrepare:
    def test_it_says_what_the_model_must_know(self, trained):
        classifier, known, unknown, logits, right = trained
        content = prepare_int8(classifier, known, unknown, logits, right, PLAIN)
        assert set(content) == {"safe", "ranges", "check"}
        assert sorted(content["ranges"]) == sorted(classifier.int8_activations)
        assert json.loads(json.dumps(content)) == content
        facts = Int8Facts.from_json(content)
        assert facts.to_json() == {name: content[name] for name in ("safe", "ranges")}

    def test_the_check_is_of_the_rows_in_int8(self, trained):
        classifier, known, unknown, logits, right = trained
        content = prepare_int8(classifier, known, unknown, logits, right, PLAIN)
        twin, facts = copy.deepcopy(classifier), Int8Facts.from_json(content)
        twin.prepare(INT8, int8=facts.ranges)
        check = compare(predict_logits(twin, unknown), logits, right, classifier.schema, PLAIN)
        assert content["check"] == asdict(check)
        assert facts.safe == check.safe
        assert check.rows == 500
        assert 0 < check.largest_move < 0.2

    def test_answers_that_the_model_did_not_give_are_counted_as_changed(self, trained):
        classifier, known, unknown, logits, right = trained
        check = prepare_int8(classifier, known, unknown, -logits, 1 - right, PLAIN)["check"]
        assert check["changed"] > 450
        assert prepare_int8(classifier, known, unknown, -logits, 1 - right, PLAIN)["safe"] is False

    def test_few_rows_are_never_safe(self, trained):
        classifier, known, unknown, logits, right = trained
        content = prepare_int8(classifier, known, unknown[:50], logits[:50], right[:50], PLAIN)
        assert content["check"]["rows"] == 50
        assert content["safe"] is False

    def test_the_classifier_is_not_changed(self, trained):
        classifier, known, unknown, logits, right = trained
        before = {name: value.clone() for name, value in classifier.state_dict().items()}
        prepare_int8(classifier, known, unknown, logits, right, PLAIN)
        assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
        assert (predict_logits(classifier, unknown) == logits).all()

    def test_it_is_the_same_each_time(self, trained):
        assert prepare_int8(*trained, PLAIN) == prepare_int8(*trained, PLAIN)

    def test_a_single_row_is_enough_to_prepare(self, trained):
        classifier, known, unknown, logits, right = trained
        content = prepare_int8(classifier, known[:1], unknown[:1], logits[:1], right[:1], PLAIN)
        assert sorted(content["ranges"]) == sorted(classifier.int8_activations)

    def test_progress_hears_of_the_rows_that_are_checked(self, trained):
        class Hears(Progress):
            def __init__(self):
                self.heard = []

            def begin(self, what, total):
                self.heard.append((what, total))

            def advance(self, done):
                self.heard.append(done)

            def end(self):
                self.heard.append("end")

        hears = Hears()
        assert prepare_int8(*trained, PLAIN, hears) == prepare_int8(*trained, PLAIN)
        begun, *counts, end = hears.heard
        assert (begun, sum(counts), end) == (("check int8", 500), 500, "end")

    def test_a_run_says_it_in_its_model(self, trained_run):
        saved = load_classifier(trained_run.directory)
        assert saved.int8 is not None
        assert saved.facts["int8"] == saved.int8.to_json() | {"check": saved.facts["int8"]["check"]}
        assert saved.facts["int8"]["check"]["rows"] == trained_run.metrics["validation"]["n"]


def test_ranges_are_of_some_thousand_tokens_chosen_by_chance_but_the_same_each_time(trained):
    classifier, known, unknown, *_ = trained
    many = known * 20  # far more tokens than are looked at
    assert sum(map(len, many)) > 3 * 8192
    assert find_ranges(classifier, many) == find_ranges(classifier, many)
    assert find_ranges(classifier, many) != find_ranges(classifier, unknown)


@pytest.mark.parametrize("base", ["distilbert", "silu"])
def test_models_that_cannot_do_it_have_no_facts(tmp_path, base):
    if base == "silu":
        write_tiny_bert(tmp_path / "base", hidden_act="silu")
    else:
        write_tiny_stock(tmp_path / "base", base)
    loaded = load_pretrained(str(tmp_path / "base"), TWO, ModelSettings(), seed=0)
    loaded.classifier.prepare(FP32)
    rows = loaded.tokenizer.encode(["a good film", "bad"])
    assert (
        prepare_int8(loaded.classifier, rows, rows, predict_logits(loaded.classifier, rows), np.zeros(2, np.int64), PLAIN)
        is None
    )
