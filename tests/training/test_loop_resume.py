"""Training that is interrupted, crashes or is looked at between its steps: it ends with the same bytes."""

from __future__ import annotations

import dataclasses
import signal

import pytest
from loop_trials import BF16, FP32, SETTINGS, Trial, Watcher, loaded

from learnable_rows import learnable_rows
from surefit.errors import Interrupted
from surefit.inference.engine import predict_logits
from surefit.training.checkpoint import CheckpointInterval, Checkpoints


class StopsAfter(Watcher):
    """Sends this process a signal after a step, as a user would."""

    def __init__(self, step, number=signal.SIGINT):
        super().__init__()
        self._step, self._number = step, number

    def step(self, record, total_steps):
        super().step(record, total_steps)
        if record.step == self._step:
            signal.raise_signal(self._number)


@pytest.fixture(scope="module", params=["fast-fp32", "fast-bf16", "plain-fp32", "plain-bf16", "stock-fp32", "stock-bf16"])
def way(request, tiny_bert, tiny_distilbert):
    """A model and how it is computed with: (model, keywords for a trial)."""
    kind, precision = request.param.split("-")
    how = {"hardware": {"fp32": FP32, "bf16": BF16}[precision]} | ({"plain": True} if kind == "plain" else {})
    return tiny_distilbert if kind == "stock" else tiny_bert, how


@pytest.fixture(scope="module")
def whole_of_way(way, tmp_path_factory):
    """Its uninterrupted run and the final state."""
    trial = Trial(way[0], tmp_path_factory.mktemp("way"), **way[1])
    return trial, trial.fit()


@pytest.mark.parametrize("step", [1, 7, 10, 15])
def test_an_interrupted_run_goes_on_to_the_same_bytes(way, whole_of_way, tmp_path, step):
    expected, state = whole_of_way
    model, how = way
    stopped = Trial(model, tmp_path, progress=StopsAfter(step), **how)
    with pytest.raises(Interrupted, match=f"interrupted after step {step} of 15; the run is saved"):
        stopped.fit()
    scores = (0.5, 0.6, 0.7)[len(stopped.weights_seen) :]
    resumed = Trial(model, tmp_path, scores=scores, **how)
    resumed_state = resumed.fit()
    assert [record.step for record in resumed.progress.steps] == list(range(step + 1, 16))
    assert resumed.weights() == expected.weights()
    assert resumed.saved() == expected.saved()
    assert resumed_state.step_losses == state.step_losses
    assert resumed_state.dynamics.given_probabilities.tobytes() == state.dynamics.given_probabilities.tobytes()
    assert (resumed_state.dynamics.right == state.dynamics.right).all()
    assert [epoch.training_loss for epoch in resumed_state.epochs] == [epoch.training_loss for epoch in state.epochs]


class PredictsBetween(Watcher):
    """Predicts after every step, in batches longer and larger than those of training."""

    def begin(self, classifier, encodings):
        self.classifier, self.encodings, self.predicted = classifier, encodings, []

    def step(self, record, total_steps):
        super().step(record, total_steps)
        weights = {name: tensor.clone() for name, tensor in self.classifier.state_dict().items()}
        self.predicted.append((weights, predict_logits(self.classifier, self.encodings)))


def test_predictions_between_steps_change_nothing_and_are_those_of_the_weights(way, whole_of_way, tmp_path):
    expected, state = whole_of_way
    model, how = way
    trial = Trial(model, tmp_path, progress=PredictsBetween(), **how)
    pretrained = loaded(model, **how)
    texts = [" ".join([text] * (1 + 2 * number % 7)) for number, (text, _) in enumerate(learnable_rows(40, seed=5))]
    encodings = pretrained.tokenizer.encode(texts)
    trial.progress.begin(trial.classifier, encodings)
    assert trial.fit().step_losses == state.step_losses
    assert trial.saved() == expected.saved()
    assert trial.weights() == expected.weights()
    for weights, logits in trial.progress.predicted[::7]:
        pretrained.classifier.load_state_dict(weights)
        assert (predict_logits(pretrained.classifier, encodings) == logits).all()


def test_a_complete_run_is_not_trained_again(whole, tiny_bert):
    trial, state = whole
    again = Trial(tiny_bert, trial.directory)
    assert again.fit().to_dict() == state.to_dict()
    assert again.weights() == trial.weights()
    assert again.progress.steps == []


def test_an_epoch_is_reported_before_it_is_saved(tiny_bert, tmp_path):
    seen = []

    class Looks(Watcher):
        def epoch(self, epoch):
            seen.append(len(list(tmp_path.glob("step-*"))))

    Trial(tiny_bert, tmp_path, progress=Looks()).fit()
    assert seen == [0, 1, 2]


class CrashesAt(Watcher):
    """Fails after a step, as where the power goes: nothing is saved any more."""

    def __init__(self, step):
        super().__init__()
        self._step = step

    def step(self, record, total_steps):
        super().step(record, total_steps)
        if record.step == self._step:
            raise SystemError("power cut")


@pytest.mark.parametrize(("every", "first_step"), [("1", 9), ("2", 8), ("3", 9), ("4", 6), ("100", 6), ("10m", 6)])
def test_a_crash_costs_the_steps_since_the_last_checkpoint_and_nothing_else(tiny_bert, tmp_path, whole, every, first_step):
    settings = dataclasses.replace(SETTINGS, checkpoint_every=every)
    with pytest.raises(SystemError, match="power cut"):
        Trial(tiny_bert, tmp_path, settings=settings, progress=CrashesAt(9)).fit()  # five steps an epoch
    again = Trial(tiny_bert, tmp_path, settings=settings, scores=(0.6, 0.7))
    state = again.fit()
    assert again.progress.steps[0].step == first_step
    assert again.weights() == whole[0].weights()
    assert state.step_losses == whole[1].step_losses


def test_checkpoints_are_written_at_the_interval_and_after_each_epoch(tiny_bert, tmp_path, monkeypatch, whole):
    written = []
    save = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, state, *others: written.append(state.step) or save(self, state, *others)
    )
    trial = Trial(tiny_bert, tmp_path, settings=dataclasses.replace(SETTINGS, checkpoint_every="2"))
    trial.fit()
    assert written == [2, 4, 5, 7, 9, 10, 12, 14, 15]  # five steps an epoch
    assert trial.weights() == whole[0].weights()


def test_minutes_are_counted_from_the_last_checkpoint(monkeypatch):
    now = 0.0
    monkeypatch.setattr("surefit.training.checkpoint.time.monotonic", lambda: now)
    interval = CheckpointInterval("2m", 0)
    now = 119.0
    assert not interval.is_over(1_000_000)
    now = 120.0
    assert interval.is_over(1)
    interval.begin(1)
    assert not interval.has_steps(1)
    assert interval.has_steps(2)
    now = 239.0
    assert not interval.is_over(2)
