"""The loop: gradients, best weights, early stopping, determinism, interruption, divergence."""

from __future__ import annotations

import dataclasses
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from learnable_rows import learnable_rows
from surefit.config import ModelSettings, TrainingSettings
from surefit.errors import Interrupted, TrainingError
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.text.packing import epoch_order, lengths_of, pack, step_rows
from surefit.training.checkpoint import CheckpointInterval, Checkpoints
from surefit.training.loop import Plan, ValidationFigures, _accumulate_gradients, fit
from surefit.training.optimizer import learning_rate_at
from surefit.training.state import TrainingRows
from surefit.types import SINGLE_LABEL, LabelSchema
from tiny_models import write_tiny_bert

SCHEMA = LabelSchema(SINGLE_LABEL, ("bad", "good"))
SETTINGS = TrainingSettings(epochs=3, learning_rate=1e-3, batch_size=4, patience=3)
FP32 = Hardware(torch.device("cpu"), "fp32", 1)


class Watcher(Progress):
    def __init__(self):
        self.steps, self.epochs, self.notes = [], [], []

    def step(self, record, total_steps):
        self.steps.append(record)

    def epoch(self, epoch):
        self.epochs.append(epoch)

    def note(self, sentence):
        self.notes.append(sentence)


class StopsAfter(Watcher):
    """Sends this process a signal after a step, as a user would."""

    def __init__(self, step, number=signal.SIGINT):
        super().__init__()
        self._step, self._number = step, number

    def step(self, record, total_steps):
        super().step(record, total_steps)
        if record.step == self._step:
            signal.raise_signal(self._number)


def loaded(model):
    return load_pretrained(str(model), SCHEMA, ModelSettings(), seed=0)


def rows_for(tokenizer, n=20, weights=None):
    texts, labels = zip(*learnable_rows(n), strict=True)
    targets = np.array([SCHEMA.label2id[label] for label in labels])
    return TrainingRows(tuple(tokenizer.encode(texts)), targets, np.ones(n) if weights is None else weights)


class Trial:
    """One training run of the tiny BERT; `scores` are the macro F1 that its validations are to find."""

    def __init__(self, model, directory, *, settings=SETTINGS, seed=0, scores=(0.5, 0.6, 0.7), progress=None, hardware=FP32):
        self.directory = directory
        pretrained = loaded(model)
        self.classifier = pretrained.classifier
        self.progress = progress or Watcher()
        self.weights_seen = []
        self._scores = iter(scores)
        self.rows = rows_for(pretrained.tokenizer, weights=np.linspace(0.5, 2.0, 20))
        self._plan = Plan(settings, seed, hardware, majority_share=0.5)
        self._checkpoints = Checkpoints(directory, self.progress)

    def _validate(self):
        self.weights_seen.append(self.weights())
        return ValidationFigures(0.5, 0.5, next(self._scores))

    def weights(self):
        return {name: tensor.numpy().tobytes() for name, tensor in self.classifier.state_dict().items()}

    def fit(self):
        return fit(
            self.classifier,
            self.rows,
            self._plan,
            evaluate=self._validate,
            checkpoints=self._checkpoints,
            progress=self.progress,
        )


@pytest.fixture(scope="module")
def plain_bert(tmp_path_factory):
    """A tiny BERT without dropout."""
    directory = tmp_path_factory.mktemp("plain-bert")
    return write_tiny_bert(directory, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="module")
def whole(tiny_bert, tmp_path_factory):
    """An uninterrupted run and its final state."""
    trial = Trial(tiny_bert, tmp_path_factory.mktemp("whole"))
    return trial, trial.fit()


def gradients(classifier):
    return {name: parameter.grad for name, parameter in classifier.named_parameters() if parameter.grad is not None}


UNEVEN = np.array([0.1, 5.0, 1.0, 0.3, 2.0, 0.01])


@pytest.mark.parametrize("weights", [np.ones(6), UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("cuts", [[[0, 1, 2, 3, 4, 5]], [[0, 1, 2, 3], [4, 5]], [[0], [1], [2], [3], [4], [5]]], ids=len)
def test_a_step_however_cut_has_the_gradient_of_its_weighted_mean_loss(plain_bert, cuts, weights):
    pretrained = loaded(plain_bert)
    rows = rows_for(pretrained.tokenizer, 6, weights)
    classifier = pretrained.classifier.train()
    loss_sum = _accumulate_gradients(classifier, rows, [np.array(cut) for cut in cuts], Plan(SETTINGS, 0, FP32, 0.5))
    found = gradients(classifier)
    classifier.zero_grad()
    losses = functional.cross_entropy(
        classifier(pack(rows.encodings, np.arange(6))), torch.from_numpy(rows.targets), reduction="none"
    )
    mean = (losses * torch.from_numpy(weights).float()).sum() / weights.sum()
    mean.backward()
    assert loss_sum / weights.sum() == pytest.approx(mean.item(), rel=1e-5)
    torch.testing.assert_close(found, gradients(classifier), rtol=1e-4, atol=1e-7)


def test_a_token_budget_changes_no_loss(plain_bert, tmp_path):
    losses = []
    for budget in (8192, 16):
        settings = TrainingSettings(epochs=1, learning_rate=1e-4, batch_size=5, max_batch_tokens=budget)
        state = Trial(plain_bert, tmp_path / str(budget), settings=settings).fit()
        losses.append(state.step_losses)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_dropout_has_another_seed_at_every_step(tiny_bert, tmp_path):
    seeds = []

    class Looks(Watcher):
        def step(self, record, total_steps):
            seeds.append(torch.initial_seed())

    for number in (0, 1):
        Trial(tiny_bert, tmp_path / str(number), seed=number, progress=Looks()).fit()
    assert len(seeds) == len(set(seeds)) == 30


def test_the_same_seed_gives_the_same_weights(whole, tiny_bert, tmp_path):
    trial, state = whole
    again = Trial(tiny_bert, tmp_path)
    assert again.fit().step_losses == state.step_losses
    assert again.weights() == trial.weights()


def test_another_seed_gives_other_weights(whole, tiny_bert, tmp_path):
    other = Trial(tiny_bert, tmp_path, seed=1)
    other.fit()
    assert other.weights() != whole[0].weights()


def test_training_learns(whole):
    _, state = whole
    assert state.epochs[-1].training_loss < state.epochs[0].training_loss


def test_the_global_generator_is_left_alone(tiny_bert, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3).tolist()
    torch.manual_seed(5)
    Trial(tiny_bert, tmp_path, settings=TrainingSettings(epochs=1)).fit()
    assert torch.rand(3).tolist() == expected


def test_every_step_is_reported(whole):
    trial, state = whole
    steps = trial.progress.steps
    lengths = lengths_of(trial.rows.encodings)
    assert [record.step for record in steps] == list(range(1, 16))
    assert [record.epoch for record in steps] == [1] * 5 + [2] * 5 + [3] * 5
    assert [record.loss for record in steps] == state.step_losses
    assert [record.learning_rate for record in steps] == [
        learning_rate_at(step, 15, 1e-3, SETTINGS.warmup_share) for step in range(1, 16)
    ]
    assert all(record.rows == 4 and record.seconds > 0 for record in steps)
    assert sum(record.tokens for record in steps) == 3 * lengths.sum()


def test_the_loss_of_an_epoch_is_the_weighted_mean_over_its_rows(tiny_bert, tmp_path):
    trial = Trial(tiny_bert, tmp_path, settings=TrainingSettings(epochs=1, batch_size=7))
    state = trial.fit()
    assert [record.rows for record in trial.progress.steps] == [7, 7, 6]
    weights = [trial.rows.weights[rows].sum() for rows in step_rows(epoch_order(20, seed=0, epoch=1), 7)]
    assert state.epochs[0].training_loss == pytest.approx(np.average(state.step_losses, weights=weights))


def test_the_best_epoch_s_weights_are_in_the_model_at_the_end(tiny_bert, tmp_path):
    trial = Trial(tiny_bert, tmp_path, scores=(0.5, 0.9, 0.6))
    trial.fit()
    assert trial.weights() == trial.weights_seen[1]
    assert len({str(weights) for weights in trial.weights_seen}) == 3


def test_training_stops_early_after_patience_epochs(tiny_bert, tmp_path):
    settings = TrainingSettings(epochs=5, learning_rate=1e-3, batch_size=4, patience=2)
    trial = Trial(tiny_bert, tmp_path, settings=settings, scores=(0.5, 0.6, 0.6, 0.4))
    assert len(trial.fit().epochs) == 4
    assert trial.weights() == trial.weights_seen[1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("step", [1, 7, 10, 15])
def test_an_interrupted_run_goes_on_to_the_same_weights(tiny_bert, tmp_path, step, precision):
    hardware = Hardware(torch.device("cpu"), precision, 1)
    expected = Trial(tiny_bert, tmp_path / "whole", hardware=hardware)
    state = expected.fit()
    stopped = Trial(tiny_bert, tmp_path / "stopped", progress=StopsAfter(step), hardware=hardware)
    with pytest.raises(Interrupted, match=f"interrupted after step {step} of 15; the run is saved"):
        stopped.fit()
    scores = (0.5, 0.6, 0.7)[len(stopped.weights_seen) :]
    resumed = Trial(tiny_bert, tmp_path / "stopped", scores=scores, hardware=hardware)
    resumed_state = resumed.fit()
    assert [record.step for record in resumed.progress.steps] == list(range(step + 1, 16))
    assert resumed.weights() == expected.weights()
    assert resumed_state.step_losses == state.step_losses
    assert [epoch.training_loss for epoch in resumed_state.epochs] == [epoch.training_loss for epoch in state.epochs]


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


def overflowing(model, directory, factor):
    """The checkpoint with one weight scaled so far that its products leave fp32."""
    directory.mkdir()
    for file in model.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    tensors = load_file(directory / "model.safetensors")
    for name in ("encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.output.dense.weight"):
        tensors[name] *= factor
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def test_a_loss_that_is_no_number_is_a_sentence_and_leaves_the_weights(tiny_bert, tmp_path):
    trial = Trial(overflowing(tiny_bert, tmp_path / "model", 1e30), tmp_path / "checkpoints")
    before = trial.weights()
    with pytest.raises(TrainingError, match=r"no longer a number at step 1 \(epoch 1\).*--learning-rate") as refused:
        trial.fit()
    assert "\n" not in str(refused.value)
    assert trial.weights() == before
    assert trial.progress.steps == []


def test_long_gradients_are_shortened(tiny_bert, tmp_path):
    """So short that AdamW's epsilon outweighs them, and nothing moves."""
    settings = TrainingSettings(epochs=1, learning_rate=1e-3, batch_size=4, weight_decay=0.0, max_grad_norm=1e-12)
    trial = Trial(tiny_bert, tmp_path, settings=settings)
    before = {name: tensor.clone() for name, tensor in trial.classifier.state_dict().items()}
    trial.fit()
    torch.testing.assert_close(dict(trial.classifier.state_dict()), before, atol=1e-6, rtol=0)


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
    now = 239.0
    assert not interval.is_over(2)
