"""What is kept of each training row's answers: those of training's own passes, and what they show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from loop_trials import BF16, FP32, SETTINGS, Trial, Watcher, loaded
from scipy.special import expit, softmax

from surefit.errors import ModelError
from surefit.evaluation.cartography import REGIONS
from surefit.text.packing import epoch_order, lengths_of, pack, step_rows
from surefit.training.dynamics import TrainingDynamics
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema
from tiny_models import write_tiny_bert

NAMES = ("a", "b", "c")


def test_the_probability_of_the_given_class_is_kept_and_whether_it_is_the_answer():
    dynamics = TrainingDynamics.blank(epochs=3, rows=5)
    logits = np.array([[0, 1, 2], [3, 1, 2], [0, 0, 0.5]], dtype=np.float32)
    dynamics.record(2, np.array([4, 0, 2]), logits, np.array([2, 1, 0]), LabelSchema(SINGLE_LABEL, NAMES))
    expected = softmax(logits, axis=1)
    assert dynamics.given_probabilities[1, [4, 0, 2]] == pytest.approx([expected[0, 2], expected[1, 1], expected[2, 0]])
    assert dynamics.right[1].tolist() == [False, False, False, False, True]
    assert not dynamics.given_probabilities[[0, 2]].any()
    assert not dynamics.given_probabilities[1, [1, 3]].any()


def test_of_several_labels_all_together_are_judged():
    dynamics = TrainingDynamics.blank(epochs=1, rows=2)
    logits = np.array([[2.0, -1.0, 0.5], [2.0, 1.0, 0.5]], dtype=np.float32)
    dynamics.record(1, np.array([1, 0]), logits, np.array([[1, 0, 1], [1, 0, 1]]), LabelSchema(MULTI_LABEL, NAMES))
    together = [expit(2) * expit(-of_b) * expit(0.5) for of_b in (-1, 1)]
    assert dynamics.given_probabilities[0, [1, 0]] == pytest.approx(together)
    assert dynamics.right[0].tolist() == [False, True]


def test_logits_that_are_no_numbers_are_refused():
    with pytest.raises(ModelError, match="not finite"):
        TrainingDynamics.blank(1, 1).record(
            1, np.array([0]), np.array([[0.0, np.inf]], np.float32), np.array([0]), LabelSchema(SINGLE_LABEL, NAMES[:2])
        )


def test_a_row_and_epoch_take_five_bytes():
    dynamics = TrainingDynamics.blank(epochs=3, rows=1000)
    assert sum(array.nbytes for array in vars(dynamics).values()) == 5 * 3 * 1000


@pytest.fixture(scope="module")
def undropped(tmp_path_factory):
    """A tiny BERT without dropout."""
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return write_tiny_bert(tmp_path_factory.mktemp("undropped"), **none)


class KeepsWeights(Watcher):
    """Keeps the weights as they are before each step."""

    def begin(self, classifier):
        self._classifier, self.kept = classifier, []
        self._keep()

    def _keep(self):
        self.kept.append({name: tensor.clone() for name, tensor in self._classifier.state_dict().items()})

    def step(self, record, total_steps):
        self._keep()


@pytest.mark.parametrize("budget", [8192, 16], ids=["whole", "cut"])
@pytest.mark.parametrize(
    ("hardware", "how", "tolerance"),
    [(FP32, {}, 1e-5), (FP32, {"plain": True}, 1e-6), (BF16, {}, 0.05)],
    ids=["fast-fp32", "plain-fp32", "fast-bf16"],
)
def test_they_are_what_the_weights_before_each_step_say_of_its_rows(undropped, tmp_path, budget, hardware, how, tolerance):
    """Computed again, by the plain modules in fp32 and without gradients."""
    settings = dataclasses.replace(SETTINGS, batch_size=8, max_batch_tokens=budget)
    trial = Trial(undropped, tmp_path, settings=settings, progress=KeepsWeights(), hardware=hardware, n=30, **how)
    trial.progress.begin(trial.classifier)
    dynamics = trial.fit().dynamics
    again, rows = loaded(undropped, plain=True).classifier, trial.rows
    kept = iter(trial.progress.kept)
    for epoch in (1, 2, 3):
        for batch in step_rows(epoch_order(30, 0, epoch), lengths_of(rows.encodings), 8):
            again.load_state_dict(next(kept))
            with torch.no_grad():
                expected = softmax(again(pack(rows.encodings, batch)).numpy(), axis=1)
            given = expected[np.arange(len(batch)), rows.targets[batch]]
            np.testing.assert_allclose(dynamics.given_probabilities[epoch - 1, batch], given, rtol=0, atol=tolerance)
            sure = np.abs(given - 0.5) > tolerance
            assert (dynamics.right[epoch - 1, batch] == (given > 0.5))[sure].all()
    assert dynamics.given_probabilities.all()


def test_epochs_that_an_early_stop_left_out_do_not_count(tiny_bert, tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=5, patience=2)
    state = Trial(tiny_bert, tmp_path, settings=settings, scores=(0.5, 0.6, 0.6, 0.4)).fit()
    data_map = state.dynamics.data_map(len(state.epochs))
    assert data_map.epochs == 4
    np.testing.assert_allclose(data_map.confidence, state.dynamics.given_probabilities[:4].mean(axis=0), rtol=1e-6)
    assert not state.dynamics.given_probabilities[4].any()


def test_flipped_labels_are_hard_and_hardly_others(tiny_bert, tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=4, batch_size=8)
    trial = Trial(tiny_bert, tmp_path, settings=settings, n=600, scores=(0.5, 0.6, 0.7, 0.8))
    flipped = np.random.default_rng(0).choice(600, 60, replace=False)
    trial.rows.targets[flipped] = 1 - trial.rows.targets[flipped]
    data_map = trial.fit().dynamics.data_map(4)
    hard = np.flatnonzero(data_map.regions == REGIONS.index("hard"))
    assert np.isin(flipped, hard).mean() > 0.5
    assert np.isin(hard, flipped).mean() > 0.8
    assert np.isin(data_map.most_extreme("hard", 20), flipped).all()
