"""AdamW against its formula, and the course of the learning rate."""

import numpy as np
import pytest
import torch
from torch import nn

from surefit.config import ModelSettings, TrainingSettings
from surefit.model.pretrained import load_pretrained
from surefit.training.optimizer import build_optimizer, learning_rate_at, peak_learning_rate, set_learning_rate
from surefit.types import SINGLE_LABEL, LabelSchema


class AdamWByHand:
    """Loshchilov and Hutter 2019, algorithm 2, in float64."""

    def __init__(self, weights, weight_decay):
        self.weights, self.weight_decay = weights.astype(np.float64), weight_decay
        self.first, self.second, self.step = np.zeros_like(self.weights), np.zeros_like(self.weights), 0

    def make_step(self, gradient, rate):
        self.step += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean, variance = self.first / (1 - 0.9**self.step), self.second / (1 - 0.999**self.step)
        self.weights = self.weights - rate * (mean / (np.sqrt(variance) + 1e-8) + self.weight_decay * self.weights)


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def test_steps_are_those_of_adamw_with_bias_correction_and_decay_of_matrices_only():
    model = small_model()
    nn.init.normal_(model[1].weight)
    optimizer = build_optimizer(model, TrainingSettings(weight_decay=0.5))
    decays = {"0.weight": 0.5, "2.weight": 0.5}
    by_hand = {name: AdamWByHand(p.detach().numpy(), decays.get(name, 0.0)) for name, p in model.named_parameters()}
    source = np.random.default_rng(0)
    for rate in (0.1, 0.02, 0.05):
        set_learning_rate(optimizer, rate)
        for name, parameter in model.named_parameters():
            gradient = source.normal(size=parameter.shape)
            parameter.grad = torch.tensor(gradient, dtype=torch.float32)
            by_hand[name].make_step(gradient, rate)
        optimizer.step()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), by_hand[name].weights, rtol=1e-5, atol=1e-6)


def test_decay_spares_the_biases_and_layer_norms_of_a_bert(tiny_bert):
    schema = LabelSchema(SINGLE_LABEL, ("a", "b"))
    model = load_pretrained(str(tiny_bert), schema, ModelSettings(), seed=0).classifier
    optimizer = build_optimizer(model, TrainingSettings(weight_decay=0.1))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = ({names[id(p)] for p in group["params"]} for group in optimizer.param_groups)
    assert spared == {name for name in names.values() if name.endswith("bias") or "LayerNorm" in name}
    assert decayed | spared == set(names.values())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


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


def test_the_rate_is_set_for_all_parameters():
    optimizer = build_optimizer(small_model(), TrainingSettings())
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
