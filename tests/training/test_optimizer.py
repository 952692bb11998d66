"""AdamW's steps and the course of the learning rate."""

import numpy as np
import pytest
import torch
from torch import nn

from surefit.config import ModelSettings, TrainingSettings
from surefit.model.hardware import Hardware
from surefit.model.parameters import FlatParameters
from surefit.model.pretrained import load_pretrained
from surefit.training.optimizer import AdamW, learning_rate_at, peak_learning_rate
from surefit.types import SINGLE_LABEL, Encoding, LabelSchema, PackedBatch
from tiny_models import write_tiny_stock

WORDS = "0.weight"
# The rows of the word embeddings that the steps use: some in each, some now and then, row 5 in none.
STEPS = (((0, 1, 4), 0.1), ((0, 2), 0.02), ((0, 1, 3), 0.05), ((4,), 0.01))


class AdamWByHand:
    """Loshchilov and Hutter 2019, algorithm 2, in float64; of some rows only where these are named."""

    def __init__(self, weights, weight_decay):
        self.weights, self.weight_decay = weights.astype(np.float64), weight_decay
        self.first, self.second, self.step = np.zeros_like(self.weights), np.zeros_like(self.weights), 0

    def make_step(self, gradient, rate, rows=...):
        self.step += 1
        self.first[rows] = 0.9 * self.first[rows] + 0.1 * gradient[rows]
        self.second[rows] = 0.999 * self.second[rows] + 0.001 * gradient[rows] ** 2
        mean, variance = self.first[rows] / (1 - 0.9**self.step), self.second[rows] / (1 - 0.999**self.step)
        self.weights[rows] -= rate * (mean / (np.sqrt(variance) + 1e-8) + self.weight_decay * self.weights[rows])


class Small:
    """A model with word embeddings, vectors and matrices, its optimizer, and gradients drawn at random."""

    def __init__(self, weight_decay):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Embedding(6, 3), nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
        nn.init.normal_(self.model[2].weight)
        self.flat = FlatParameters(self.model, self.model[0].weight)
        self.optimizer = AdamW(self.flat, weight_decay)
        self._source = np.random.default_rng(0)

    def draw_gradients(self, rows):
        """Gives each parameter a gradient, the word embeddings in some rows only; name -> the same in float64."""
        drawn = {}
        for name, parameter in self.model.named_parameters():
            gradient = self._source.normal(size=parameter.shape)
            if name == WORDS:
                gradient[np.setdiff1d(np.arange(6), rows)] = 0
            parameter.grad.copy_(torch.from_numpy(gradient))
            drawn[name] = gradient
        return drawn

    def weights(self):
        return {name: parameter.detach().numpy() for name, parameter in self.model.named_parameters()}

    def state_of_words(self):
        """What a row of the word embeddings has: its weights and both moments, shape (rows, 3, width)."""
        tensors = self.optimizer.tensors()
        return torch.stack([self.flat.words.detach(), tensors["mean of words"], tensors["variance of words"]], 1).numpy()


def test_steps_are_those_of_adamw_with_bias_correction_and_decay_of_matrices_only():
    """Of the word embeddings the rows that a step used move so, with the number of the step in the run."""
    small = Small(weight_decay=0.5)
    decays = {WORDS: 0.5, "1.weight": 0.5, "3.weight": 0.5}
    by_hand = {name: AdamWByHand(weights, decays.get(name, 0.0)) for name, weights in small.weights().items()}
    for rows, rate in STEPS:
        gradients = small.draw_gradients(rows)
        for name, gradient in gradients.items():
            by_hand[name].make_step(gradient, rate, list(rows) if name == WORDS else ...)
        small.optimizer.step(rate, torch.tensor(rows))
        for name, weights in small.weights().items():
            np.testing.assert_allclose(weights, by_hand[name].weights, rtol=1e-5, atol=1e-6, err_msg=name)
    words = small.state_of_words()
    np.testing.assert_allclose(words[:, 1], by_hand[WORDS].first, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(words[:, 2], by_hand[WORDS].second, rtol=1e-5, atol=1e-7)


def test_word_rows_that_a_step_does_not_use_stand_still():
    small = Small(weight_decay=0.5)
    for rows, rate in STEPS:
        before = small.state_of_words()
        small.draw_gradients(rows)
        small.optimizer.step(rate, torch.tensor(rows))
        moved = (small.state_of_words() != before).reshape(6, -1)
        assert np.flatnonzero(moved.any(1)).tolist() == list(rows)
        assert moved[list(rows)].all()


def test_word_rows_move_as_with_torch_s_sparse_adam():
    small = Small(weight_decay=0.0)
    words = nn.Parameter(small.flat.words.detach().clone())
    sparse = torch.optim.SparseAdam([words])
    for rows, rate in STEPS:
        gradient = torch.from_numpy(small.draw_gradients(rows)[WORDS][list(rows)]).float()
        words.grad = torch.sparse_coo_tensor(torch.tensor([rows]), gradient, words.shape, check_invariants=True)
        sparse.param_groups[0]["lr"] = rate
        sparse.step()
        small.optimizer.step(rate, torch.tensor(rows))
        torch.testing.assert_close(small.flat.words, words, rtol=1e-5, atol=1e-6)


def test_dense_weights_move_as_with_torch_s_adamw():
    small = Small(weight_decay=0.3)
    others = {name: nn.Parameter(p.detach().clone()) for name, p in small.model.named_parameters() if name != WORDS}
    matrices, vectors = ([p for p in others.values() if (p.ndim > 1) == wanted] for wanted in (True, False))
    dense = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}])
    for rows, rate in STEPS:
        gradients = small.draw_gradients(rows)
        for name, parameter in others.items():
            parameter.grad = torch.from_numpy(gradients[name]).float()
        for group in dense.param_groups:
            group["lr"] = rate
        dense.step()
        small.optimizer.step(rate, torch.tensor(rows))
        found = dict(small.model.named_parameters())
        torch.testing.assert_close({name: found[name] for name in others}, others, rtol=1e-5, atol=1e-6)


def test_a_step_leaves_no_gradients():
    small = Small(weight_decay=0.5)
    for rows, rate in STEPS:
        small.draw_gradients(rows)
        small.optimizer.step(rate, torch.tensor(rows))
        assert all(not parameter.grad.any() for parameter in small.model.parameters())


def classifier_of(model):
    schema = LabelSchema(SINGLE_LABEL, ("a", "b"))
    classifier = load_pretrained(str(model), schema, ModelSettings(), seed=0).classifier
    classifier.prepare(Hardware(torch.device("cpu"), "fp32", 1))
    return classifier


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_decay_spares_biases_and_layer_norms(tiny_bert, tmp_path, family):
    """All gradients are 1, so that a first step of 0.5 brings every weight from 1 to 0.5, and decay to 0.45."""
    classifier = classifier_of(tiny_bert if family == "bert" else write_tiny_stock(tmp_path / family, family))
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.fill_(1.0)
    flat = classifier.flat
    optimizer = AdamW(flat, weight_decay=0.1)
    flat.gradients.fill_(1.0)
    flat.word_gradients.fill_(1.0)
    optimizer.step(0.5, torch.arange(len(flat.words)))
    spared = {name for name, parameter in classifier.named_parameters() if (parameter > 0.49).all()}
    decayed = {name for name, parameter in classifier.named_parameters() if (parameter < 0.46).all()}
    names = {name for name, _ in classifier.named_parameters()}
    assert spared == {name for name in names if name.endswith("bias") or "norm" in name.lower()}
    assert decayed == names - spared


def test_weights_without_a_gradient_stay_until_they_get_one_as_with_torch_s_adamw():
    """As where the optimizer is loaded before each step, as a resumed run does."""
    small, again = Small(weight_decay=0.3), Small(weight_decay=0.3)
    late = nn.Parameter(small.model[3].weight.detach().clone())
    first = late.detach().clone()
    dense = torch.optim.AdamW([late], weight_decay=0.3)
    for number, (rows, rate) in enumerate(STEPS):
        gradient = torch.from_numpy(small.draw_gradients(rows)["3.weight"]).float()
        if number in (0, 1, 3):
            small.model[3].weight.grad.zero_()
        late.grad = None if number < 2 else gradient if number == 2 else torch.zeros_like(late)
        dense.param_groups[0]["lr"] = rate
        dense.step()
        again.model.load_state_dict(small.model.state_dict())
        again.optimizer.load_tensors({name: tensor.clone() for name, tensor in small.optimizer.tensors().items()})
        again.flat.gradients.copy_(small.flat.gradients)
        again.flat.word_gradients.copy_(small.flat.word_gradients)
        for each in (small, again):
            each.optimizer.step(rate, torch.tensor(rows))
        assert all((weights == again.weights()[name]).all() for name, weights in small.weights().items())
        if number < 2:
            assert torch.equal(small.model[3].weight, late)
            assert torch.equal(late, first)
    assert small.model[3].weight.ne(first).all()


def test_parts_of_an_encoder_that_a_classifier_does_not_use_stay_as_they_were(tmp_path):
    classifier = classifier_of(write_tiny_stock(tmp_path / "big_bird", "big_bird"))
    before = {name: parameter.detach().clone() for name, parameter in classifier.network.named_parameters()}
    optimizer = AdamW(classifier.flat, weight_decay=0.1)
    ids = torch.arange(5, 10)
    rows = PackedBatch.from_encodings([Encoding(ids.int().numpy(), np.zeros(5, dtype=np.int32), 0)], np.arange(1))
    for _ in range(3):
        with torch.random.fork_rng(devices=[]):
            classifier.loss(classifier(rows), torch.tensor([1]), torch.ones(1)).backward()
        optimizer.step(0.01, ids)
    stay = {name for name, parameter in classifier.network.named_parameters() if torch.equal(parameter, before[name])}
    assert stay == {"bert.pooler.weight", "bert.pooler.bias"}


def test_tensors_are_loaded_as_they_were_given():
    small, again = Small(weight_decay=0.5), Small(weight_decay=0.5)
    for rows, rate in STEPS:
        small.draw_gradients(rows)
        small.optimizer.step(rate, torch.tensor(rows))
    given = {name: tensor.clone() for name, tensor in small.optimizer.tensors().items()}
    again.optimizer.load_tensors(given)
    torch.testing.assert_close(again.optimizer.tensors(), given, rtol=0, atol=0)
    again.model.load_state_dict(small.model.state_dict())
    for each in (small, again):
        each.flat.gradients.fill_(0.3)
        each.flat.word_gradients[1:3] = 0.2
        each.optimizer.step(0.1, torch.tensor([1, 2]))
    assert all((weights == again.weights()[name]).all() for name, weights in small.weights().items())
    assert torch.equal(given["step"], torch.tensor(len(STEPS)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors: tensors.pop("mean of words"),
        lambda tensors: tensors.update(more=torch.zeros(1)),
        lambda tensors: tensors.update({"variance of 1.weight": tensors["variance of 1.weight"][:-1]}),
        lambda tensors: tensors.update({"variance of words": tensors["variance of words"].t()}),
    ],
    ids=["missing", "more", "shorter", "turned"],
)
def test_tensors_of_another_model_are_refused_and_nothing_is_changed(damage):
    small = Small(weight_decay=0.5)
    small.draw_gradients((0, 1))
    small.optimizer.step(0.1, torch.tensor([0, 1]))
    before = {name: tensor.clone() for name, tensor in small.optimizer.tensors().items()}
    tensors = {name: torch.ones_like(tensor) for name, tensor in before.items()}
    damage(tensors)
    with pytest.raises(ValueError, match="another model"):
        small.optimizer.load_tensors(tensors)
    torch.testing.assert_close(small.optimizer.tensors(), before, rtol=0, atol=0)


def test_a_new_optimizer_owes_nothing_to_gradients_that_were_left_behind():
    small = Small(weight_decay=0.5)
    small.draw_gradients((0, 1))
    AdamW(small.flat, 0.5)
    assert small.flat.gradients.count_nonzero() == small.flat.word_gradients.count_nonzero() == 0


def rates(total, learning_rate, warmup_share):
    return np.array([learning_rate_at(step, total, learning_rate, warmup_share) for step in range(1, total + 1)])


@pytest.mark.parametrize(
    ("config", "rate"),
    [({"hidden_size": 384}, 2e-4), ({"hidden_size": 768}, 5e-5), ({"dim": 768}, 5e-5), ({"hidden_size": 32}, 2e-4), ({}, 5e-5)],
)
def test_usual_rate_goes_by_the_width_of_the_model(config, rate):
    assert peak_learning_rate(TrainingSettings(), config) == pytest.approx(rate)
    assert peak_learning_rate(TrainingSettings(learning_rate=3e-5), config) == 3e-5


def test_rate_rises_linearly_to_its_peak_and_falls_linearly():
    course = rates(100, learning_rate=1e-3, warmup_share=0.1)
    np.testing.assert_allclose(np.diff(course[:10]), 1e-4)
    assert course[9] == course.max() == 1e-3
    np.testing.assert_allclose(np.diff(course[9:]), -1e-3 / 91)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 100, 1001])
@pytest.mark.parametrize("warmup_share", [0.0, 0.1, 0.5, 0.99])
def test_every_step_moves_the_weights(total, warmup_share):
    course = rates(total, learning_rate=1e-3, warmup_share=warmup_share)
    assert course.min() > 0
    assert course.max() <= 1e-3


def test_without_warm_up_the_rate_only_falls():
    course = rates(50, learning_rate=1e-3, warmup_share=0.0)
    assert (np.diff(course) < 0).all()
    assert course[0] > 0.95e-3
