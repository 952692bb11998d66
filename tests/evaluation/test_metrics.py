import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import f1_score

from surefit.decision import ABSTAINED_ID
from surefit.errors import DataError
from surefit.evaluation.metrics import evaluate
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

SCHEMA = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
MULTI = LabelSchema(MULTI_LABEL, ("a", "b", "c"))


def one_hot(ids, classes=3):
    return np.eye(classes)[np.array(ids)]  # an id of -1 stands for the last class


def judged(targets, predicted, schema=SCHEMA):
    return evaluate(np.array(targets), one_hot(predicted, len(schema)), np.array(predicted), schema)


def test_figures_of_a_case_worked_out_by_hand():
    result = judged([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2])
    assert result.n == 6
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.confusion_matrix == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    a, b, c = result.per_class.values()
    assert (a.precision, a.recall, a.f1, a.support) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert (c.precision, c.recall, c.f1, c.support) == pytest.approx((1, 1, 1, 1))
    assert result.macro.f1 == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert result.weighted.f1 == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 1) / 6)


def test_rows_that_the_model_abstains_from_are_missed_but_no_mistakes():
    result = judged([0, 0, 0, 1, 1, 2], [0, ABSTAINED_ID, 1, 1, ABSTAINED_ID, ABSTAINED_ID])
    assert (result.n, result.answered, result.accuracy) == (6, 3, pytest.approx(2 / 6))
    assert result.confusion_matrix == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    a, b, c = result.per_class.values()
    assert (a.precision, a.recall, a.support) == pytest.approx((1, 1 / 3, 3))
    assert (b.precision, b.recall, b.support) == pytest.approx((1 / 2, 1 / 2, 2))
    assert (c.precision, c.recall, c.support) == pytest.approx((0, 0, 1))
    assert result.macro.recall == pytest.approx((1 / 3 + 1 / 2 + 0) / 3)


def test_a_model_that_answers_nothing_has_figures_of_zero():
    result = judged([0, 1, 2], [ABSTAINED_ID] * 3)
    assert (result.answered, result.accuracy, result.macro.f1, result.weighted.f1) == (0, 0, 0, 0)
    assert result.confusion_matrix == [[0] * 3] * 3


def test_rows_of_the_confusion_matrix_are_the_truth():
    assert judged([0, 0], [1, 1]).confusion_matrix == [[0, 2, 0], [0, 0, 0], [0, 0, 0]]


def test_loss_is_the_mean_cross_entropy():
    rng = np.random.default_rng(1)
    probabilities = softmax(rng.normal(size=(40, 3)), axis=1)
    targets = rng.integers(0, 3, 40)
    result = evaluate(targets, probabilities, probabilities.argmax(axis=1), SCHEMA)
    assert result.loss == pytest.approx(-np.log(probabilities[np.arange(40), targets]).mean())


def test_loss_stays_finite_when_the_truth_was_called_impossible():
    assert np.isfinite(judged([0, 1], [1, 0]).loss)


def test_macro_averages_leave_out_classes_that_never_occur():
    result = judged([0, 1, 1], [0, 1, 0])
    assert result.macro.f1 == pytest.approx(f1_score([0, 1, 1], [0, 1, 0], average="macro"))
    assert result.per_class["c"].support == 0
    assert result.per_class["c"].f1 == 0.0


def test_macro_averages_count_a_class_that_is_predicted_though_never_true():
    assert judged([0, 1], [0, 2]).macro.recall == pytest.approx(1 / 3)


def test_one_row_can_be_evaluated():
    result = judged([2], [2])
    assert (result.accuracy, result.macro.f1, result.weighted.f1) == (1.0, 1.0, 1.0)


def test_no_rows_are_an_error_in_words():
    with pytest.raises(DataError, match="no rows to evaluate"):
        evaluate(np.zeros(0, dtype=np.int64), np.zeros((0, 3)), np.zeros(0, dtype=np.int64), SCHEMA)


def test_the_dictionary_is_what_metrics_json_holds():
    content = json.loads(json.dumps(judged([0, 1, 2, 2], [0, 1, 1, 2]).to_dict(), allow_nan=False))
    assert list(content) == ["accuracy", "macro", "weighted", "per_class", "confusion_matrix", "n", "answered", "loss"]
    assert set(content["macro"]) == set(content["weighted"]) == {"precision", "recall", "f1"}
    assert list(content["per_class"]) == ["a", "b", "c"]
    assert set(content["per_class"]["a"]) == {"precision", "recall", "f1", "support"}
    assert content["confusion_matrix"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_several_labels_are_right_only_as_a_whole_set():
    targets = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    predicted = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]])
    result = evaluate(targets, expit(predicted * 4.0 - 2), predicted, MULTI)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.per_class["b"].precision == pytest.approx(1 / 2)
    assert result.confusion_matrix[1] == [[1, 1], [0, 1]]
    assert result.macro.f1 == pytest.approx((1 + 2 / 3 + 1) / 3)


def test_averages_of_several_labels_count_a_class_that_is_predicted_though_never_true():
    result = evaluate(np.array([[1, 0, 0]]), np.array([[0.9, 0.8, 0.1]]), np.array([[1, 1, 0]]), MULTI)
    assert result.macro.f1 == pytest.approx(1 / 2)


def test_loss_of_several_labels_is_the_mean_over_rows_and_classes():
    targets = np.array([[1, 0, 1], [0, 0, 1]])
    probabilities = np.array([[0.9, 0.2, 0.6], [0.3, 0.1, 0.8]])
    chosen = np.where(targets == 1, probabilities, 1 - probabilities)
    result = evaluate(targets, probabilities, (probabilities >= 0.5).astype(np.int64), MULTI)
    assert result.loss == pytest.approx(-np.log(chosen).mean())


def test_a_single_yes_or_no_class_is_judged_on_its_yes():
    schema = LabelSchema(MULTI_LABEL, ("urgent",))
    result = evaluate(np.array([[1], [0], [1]]), np.array([[0.9], [0.8], [0.1]]), np.array([[1], [1], [0]]), schema)
    assert (result.per_class["urgent"].precision, result.per_class["urgent"].recall) == (0.5, 0.5)
    assert result.per_class["urgent"].support == 2
    assert result.confusion_matrix == [[[0, 1], [1, 1]]]


@pytest.mark.parametrize("predicted", [[[0, 0, 0]], [[1, 0, 0]]])
def test_rows_without_any_true_label_give_zeros_not_errors(predicted):
    result = evaluate(np.array([[0, 0, 0]]), np.full((1, 3), 0.4), np.array(predicted), MULTI)
    assert (result.macro.f1, result.weighted.f1) == (0.0, 0.0)


def test_importing_the_module_does_not_import_scikit_learn():
    code = "import sys, surefit.evaluation.metrics, surefit.evaluation.baselines, surefit.evaluation.comparison; "
    loaded = subprocess.run([sys.executable, "-c", code + "print('sklearn' in sys.modules)"], capture_output=True, text=True)
    assert loaded.stdout.strip() == "False"
