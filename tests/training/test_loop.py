"""The loop: gradients, best weights, early stopping, determinism, divergence, fast and plain computation."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from loop_trials import BF16, FP32, SETTINGS, Trial, Watcher, loaded, rows_for
from safetensors.torch import load_file, save_file
from torch.nn import functional

from surefit.config import TrainingSettings
from surefit.errors import TrainingError
from surefit.inference.engine import predict_logits
from surefit.model.dropout import StepDropout
from surefit.text.packing import ROWS_PER_GROUP, cut_by_tokens, epoch_order, lengths_of, pack, step_rows
from surefit.training.loop import Plan, _Trainer
from surefit.training.optimizer import learning_rate_at

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
    loss_sum, answers, word_rows = trainer._gradients(batch, 2)
    logits = reference(pack(rows.encodings, batch), StepDropout(3, 2))
    losses = functional.cross_entropy(logits, torch.from_numpy(rows.targets[batch]), reduction="none")
    mean = (losses * torch.from_numpy(weights[batch]).float()).sum() / weights.sum()
    mean.backward()
    assert loss_sum / weights.sum() == pytest.approx(mean.item(), rel=1e-5)
    np.testing.assert_allclose(answers, logits.detach().numpy(), rtol=1e-4, atol=1e-5)
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


def test_an_encoder_of_another_family_learns_and_predicts(tiny_distilbert, tmp_path):
    settings = TrainingSettings(epochs=8, learning_rate=1e-3, batch_size=4)
    trial = Trial(tiny_distilbert, tmp_path, settings=settings, n=160, scores=np.linspace(0.1, 0.8, 8).tolist())
    state = trial.fit()
    assert state.epochs[-1].training_loss < 0.2 < 0.5 < state.epochs[0].training_loss
    predicted = predict_logits(trial.classifier, trial.rows.encodings).argmax(1)
    assert (predicted == trial.rows.targets).mean() > 0.95


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
