"""The loop: gradients, best weights, early stopping, determinism, interruption, divergence, fast and plain computation."""

from __future__ import annotations

import copy
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
from surefit.inference.engine import predict_logits
from surefit.model.dropout import StepDropout
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.text.packing import ROWS_PER_GROUP, cut_by_tokens, epoch_order, lengths_of, pack, step_rows
from surefit.training.checkpoint import CheckpointInterval, Checkpoints
from surefit.training.loop import Plan, ValidationFigures, _Trainer, fit
from surefit.training.optimizer import learning_rate_at
from surefit.training.state import TrainingRows
from surefit.types import SINGLE_LABEL, LabelSchema
from tiny_models import write_tiny_stock

SCHEMA = LabelSchema(SINGLE_LABEL, ("bad", "good"))
SETTINGS = TrainingSettings(epochs=3, learning_rate=1e-3, batch_size=4, patience=3)
FP32 = Hardware(torch.device("cpu"), "fp32", 1)
BF16 = Hardware(torch.device("cpu"), "bf16", 1)


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


def loaded(model, hardware=FP32, **how):
    """The checkpoint, ready to compute; `plain=True` for the plain modules."""
    pretrained = load_pretrained(str(model), SCHEMA, ModelSettings(), seed=0)
    pretrained.classifier.prepare(hardware, **how)
    return pretrained


def rows_for(tokenizer, n=20):
    """Learnable rows, each of another weight."""
    texts, labels = zip(*learnable_rows(n), strict=True)
    targets = np.array([SCHEMA.label2id[label] for label in labels])
    return TrainingRows(tuple(tokenizer.encode(texts)), targets, np.linspace(0.5, 2.0, n))


def weights_of(classifier):
    return {name: tensor.numpy().tobytes() for name, tensor in classifier.state_dict().items()}


class Trial:
    """One training run of a tiny model; `scores` are the macro F1 that its validations are to find."""

    def __init__(
        self, model, directory, *, settings=SETTINGS, seed=0, scores=(0.5, 0.6, 0.7), progress=None, hardware=FP32, n=20, **how
    ):
        self.directory = directory
        pretrained = loaded(model, hardware, **how)
        self.classifier = pretrained.classifier
        self.progress = progress or Watcher()
        self.weights_seen = []
        self._scores = iter(scores)
        self.rows = rows_for(pretrained.tokenizer, n)
        self._plan = Plan(settings, seed, majority_share=0.5)
        self._checkpoints = Checkpoints(directory, self.progress)

    def _validate(self):
        self.weights_seen.append(self.weights())
        return ValidationFigures(0.5, 0.5, next(self._scores))

    def weights(self):
        return weights_of(self.classifier)

    def saved(self):
        """The bytes of the tensors in the newest checkpoint."""
        newest = max(self.directory.glob("step-*"))
        return {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}

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
def tiny_distilbert(tmp_path_factory):
    """A tiny encoder that Hugging Face's classes compute."""
    return write_tiny_stock(tmp_path_factory.mktemp("distilbert"), "distilbert")


@pytest.fixture(scope="module")
def whole(tiny_bert, tmp_path_factory):
    """An uninterrupted run and its final state."""
    trial = Trial(tiny_bert, tmp_path_factory.mktemp("whole"))
    return trial, trial.fit()


WAYS = pytest.mark.parametrize("how", [{}, {"plain": True}], ids=["fast", "plain"])


def gradients(classifier):
    """Of all parameters, those of keys' biases left out: they cancel out, and what is left is rounding."""
    return {name: parameter.grad.clone() for name, parameter in classifier.named_parameters() if "key.bias" not in name}


def trainer_of(pretrained, rows, **settings):
    return _Trainer(pretrained.classifier, rows, Plan(TrainingSettings(**settings), 3, 0.5), total_steps=10)


EVEN, UNEVEN = np.ones(18), np.geomspace(0.01, 5.0, 18)


@WAYS
@pytest.mark.parametrize("weights", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize(("budget", "cuts"), [(8192, 1), (100, 2), (16, 5)])
def test_a_step_however_cut_has_the_gradient_of_its_weighted_mean_loss(tiny_bert, budget, cuts, weights, how):
    """What is dropped goes by a value's place in the step, whatever the cut."""
    pretrained, reference = loaded(tiny_bert, **how), loaded(tiny_bert, plain=True).classifier
    rows = dataclasses.replace(rows_for(pretrained.tokenizer, 18), weights=weights)
    trainer = trainer_of(pretrained, rows, batch_size=18, max_batch_tokens=budget)
    (batch,) = trainer.epoch_steps(1)
    assert len(cut_by_tokens(batch, lengths_of(rows.encodings), budget, ROWS_PER_GROUP)) == cuts
    loss_sum, word_rows = trainer._gradients(batch, 2)
    logits = reference(pack(rows.encodings, batch), StepDropout(3, 2))
    losses = functional.cross_entropy(logits, torch.from_numpy(rows.targets[batch]), reduction="none")
    mean = (losses * torch.from_numpy(weights[batch]).float()).sum() / weights.sum()
    mean.backward()
    assert loss_sum / weights.sum() == pytest.approx(mean.item(), rel=1e-5)
    torch.testing.assert_close(gradients(pretrained.classifier), gradients(reference), rtol=1e-4, atol=1e-7)
    assert word_rows.tolist() == sorted({word for encoding in rows.encodings for word in encoding.input_ids.tolist()})


@pytest.mark.parametrize("hardware", [FP32, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("model", ["tiny_bert", "plain", "tiny_distilbert"])
def test_the_gradient_of_a_step_owes_nothing_to_the_step_before(request, model, hardware):
    how = {"plain": True} if model == "plain" else {}
    model = request.getfixturevalue("tiny_bert" if how else model)
    used, fresh = loaded(model, hardware, **how), loaded(model, hardware, **how)
    rows = rows_for(used.tokenizer, 30)
    trainers = [trainer_of(each, rows, batch_size=12, max_batch_tokens=60) for each in (used, fresh)]
    first, second, _ = trainers[0].epoch_steps(1)
    trainers[0].make_step(first, 1, 1)
    assert not used.classifier.flat.word_gradients.any()
    fresh.classifier.load_state_dict(used.classifier.state_dict())
    losses = [trainer._gradients(second, 2)[0] for trainer in trainers]
    assert losses[0] == losses[1]
    torch.testing.assert_close(gradients(used.classifier), gradients(fresh.classifier), rtol=0, atol=0)


@WAYS
def test_a_token_budget_changes_no_loss(tiny_bert, tmp_path, how):
    """Over an epoch with dropout; twelve rows a step, cut into three."""
    losses = []
    for budget in (8192, 16):
        settings = TrainingSettings(epochs=1, learning_rate=1e-4, batch_size=12, max_batch_tokens=budget)
        state = Trial(tiny_bert, tmp_path / str(budget), settings=settings, n=120, **how).fit()
        losses.append(state.step_losses)
    assert len(losses[0]) == 10
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def differences(found, expected):
    """The largest of each parameter, keys' biases left out: their gradient is rounding, which AdamW makes large."""
    others = dict(expected.state_dict())
    return {
        name: (tensor - others[name]).abs().max().item()
        for name, tensor in found.state_dict().items()
        if "key.bias" not in name
    }


def test_fast_and_plain_computation_train_alike(tiny_bert, tmp_path):
    """Fifteen steps with dropout: losses within 1e-4, weights within a hundredth of what the rates add up to."""
    fast, plain = (Trial(tiny_bert, tmp_path / name, plain=name == "plain") for name in ("fast", "plain"))
    before = loaded(tiny_bert).classifier
    states = fast.fit(), plain.fit()
    np.testing.assert_allclose(states[0].step_losses, states[1].step_losses, rtol=0, atol=1e-4)
    way = sum(record.learning_rate for record in plain.progress.steps)
    assert max(differences(fast.classifier, plain.classifier).values()) < way / 100
    assert min(differences(fast.classifier, before).values()) > way / 10


def test_training_is_that_of_torch_s_own_adamw(tiny_bert, tmp_path):
    """The loop written again with autograd, torch's clipping and AdamW, whose moves of unused word rows are taken back."""
    settings = TrainingSettings(epochs=1, learning_rate=1e-3, batch_size=8, weight_decay=0.1, max_grad_norm=0.5)
    trial = Trial(tiny_bert, tmp_path, settings=settings, n=80)
    losses = trial.fit().step_losses
    model, rows, norms = loaded(tiny_bert, plain=True).classifier, trial.rows, []
    groups = [[p for p in model.parameters() if (p.ndim > 1) == matrices] for matrices in (True, False)]
    optimizer = torch.optim.AdamW([{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}])
    words = model.word_embeddings
    for step, batch in enumerate(step_rows(epoch_order(80, seed=0, epoch=1), lengths_of(rows.encodings), 8), 1):
        packed, weights = pack(rows.encodings, batch), torch.from_numpy(rows.weights[batch]).float()
        logits = model(packed, StepDropout(0, step))
        each = functional.cross_entropy(logits, torch.from_numpy(rows.targets[batch]), reduction="none")
        loss = (each * weights).sum() / weights.sum()
        assert losses[step - 1] == pytest.approx(loss.item(), abs=1e-4)
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, 10, 1e-3, settings.warmup_share)
        before = {"weights": words.detach().clone()} | copy.deepcopy(optimizer.state[words])
        optimizer.step()
        after = {"weights": words.detach()} | optimizer.state[words]
        unused = np.setdiff1d(np.arange(len(words)), packed.input_ids)
        for name in before.keys() - {"step"}:
            after[name][unused] = before[name][unused]
    assert min(norms) > 0.5  # so that each was shortened
    way = sum(record.learning_rate for record in trial.progress.steps)
    assert max(differences(trial.classifier, model).values()) < way / 100


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
    weights = [
        trial.rows.weights[rows].sum()
        for rows in step_rows(epoch_order(20, seed=0, epoch=1), lengths_of(trial.rows.encodings), 7)
    ]
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


def test_an_encoder_of_another_family_learns_and_predicts(tiny_distilbert, tmp_path):
    settings = TrainingSettings(epochs=8, learning_rate=1e-3, batch_size=4)
    trial = Trial(tiny_distilbert, tmp_path, settings=settings, n=160, scores=np.linspace(0.1, 0.8, 8).tolist())
    state = trial.fit()
    assert state.epochs[-1].training_loss < 0.2 < 0.5 < state.epochs[0].training_loss
    predicted = predict_logits(trial.classifier, trial.rows.encodings).argmax(1)
    assert (predicted == trial.rows.targets).mean() > 0.95


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


@WAYS
def test_long_gradients_are_shortened_to_the_length_asked_for_those_of_words_included(tiny_bert, how):
    pretrained = loaded(tiny_bert, **how)
    with torch.no_grad():  # small embeddings have large gradients, since their sum is normalised
        for name, parameter in pretrained.classifier.named_parameters():
            parameter *= 0.01 if "_embeddings." in name else 1
    trainer = trainer_of(pretrained, rows_for(pretrained.tokenizer), batch_size=20, max_grad_norm=0.01)
    (batch,) = trainer.epoch_steps(1)
    trainer.make_step(batch, 1, 1)
    moments = trainer.optimizer.tensors()  # a tenth of the first step's gradients
    of_words = torch.linalg.vector_norm(moments.pop("mean of words")).item()
    means = torch.cat([moment for name, moment in moments.items() if name.startswith("mean of")])
    lengths = [torch.linalg.vector_norm(means).item(), of_words]
    assert np.hypot(*lengths) == pytest.approx(0.001, rel=1e-4)
    assert lengths[1] > 0.0003


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
