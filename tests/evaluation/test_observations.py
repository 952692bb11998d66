import math

import pytest

from surefit.evaluation.observations import chance_loss, observe
from surefit.types import EpochFigures


def curve(*rows):
    """Epochs from (training loss, validation loss, accuracy, macro F1)."""
    return [EpochFigures(epoch, *figures) for epoch, figures in enumerate(rows, start=1)]


def state(epochs, classes=2, majority_share=0.5):
    return observe(epochs, classes, majority_share).split(":")[0]


def test_falling_losses_and_rising_f1_are_learning():
    assert state(curve((0.55, 0.40, 0.83, 0.83))) == "learning"
    assert state(curve((0.55, 0.40, 0.83, 0.83), (0.35, 0.33, 0.87, 0.87))) == "learning"


def test_a_slow_start_with_many_classes_is_learning_once_f1_leaves_chance():
    assert state(curve((4.95, 4.6, 0.06, 0.03)), classes=150, majority_share=0.01) == "learning"


def test_a_training_loss_that_leaves_chance_is_learning_before_f1_does():
    assert state(curve((4.2, 4.0, 0.02, 0.009)), classes=150, majority_share=0.01) == "learning"


def test_figures_that_hardly_move_are_converging():
    assert state(curve((0.50, 0.35, 0.86, 0.86), (0.30, 0.345, 0.865, 0.865))) == "converging"


def test_tiny_losses_that_double_are_still_converging():
    assert state(curve((0.05, 0.010, 0.99, 0.99), (0.004, 0.020, 0.99, 0.99))) == "converging"


def test_a_fallen_validation_loss_is_learning_even_when_f1_stands():
    assert state(curve((0.50, 0.45, 0.86, 0.86), (0.30, 0.35, 0.86, 0.86))) == "learning"


def test_a_gain_in_f1_is_learning_even_when_the_loss_stands():
    assert state(curve((0.50, 0.35, 0.86, 0.70), (0.30, 0.35, 0.87, 0.75))) == "learning"


def test_a_small_share_of_a_large_loss_is_noise():
    assert state(curve((2.00, 2.00, 0.40, 0.40), (2.05, 2.05, 0.40, 0.40)), classes=10, majority_share=0.1) == "converging"


def test_validation_loss_rising_from_its_lowest_is_overfitting():
    epochs = curve((0.50, 0.36, 0.85, 0.85), (0.30, 0.35, 0.87, 0.87), (0.12, 0.48, 0.86, 0.86))
    assert state(epochs) == "overfitting"
    assert "from 0.350 (epoch 2) to 0.480" in observe(epochs, 2, 0.5)
    assert "best at epoch 2 (0.870)" in observe(epochs, 2, 0.5)


def test_slow_overfitting_is_seen_against_the_lowest_loss_not_the_last():
    assert state(curve((0.5, 0.350, 0.85, 0.85), (0.4, 0.364, 0.85, 0.85), (0.3, 0.378, 0.85, 0.85))) == "overfitting"


def test_memorised_random_labels_are_overfitting():
    epochs = curve((0.70, 0.70, 0.50, 0.48), (0.60, 0.75, 0.51, 0.51), (0.30, 1.2, 0.49, 0.49))
    assert state(epochs) == "overfitting"


def test_a_rising_training_loss_is_unstable():
    assert state(curve((0.40, 0.35, 0.86, 0.86), (0.66, 0.69, 0.50, 0.33))) == "unstable"


def test_a_collapse_of_macro_f1_is_unstable():
    assert state(curve((0.40, 0.35, 0.86, 0.86), (0.39, 0.36, 0.75, 0.70))) == "unstable"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_no_numbers_are_unstable(bad):
    assert state(curve((bad, 0.5, 0.5, 0.3))) == "unstable"
    assert state(curve((0.5, bad, 0.5, 0.3))) == "unstable"


def test_loss_and_f1_at_chance_are_not_learning():
    assert state(curve((0.697, 0.694, 0.50, 0.333))) == "not learning"
    assert state(curve((0.72, 0.694, 0.50, 0.333), (0.695, 0.693, 0.51, 0.36))) == "not learning"


def test_always_answering_the_majority_is_not_learning_however_high_its_accuracy():
    epochs = curve((0.145, 0.140, 0.97, 0.492), (0.138, 0.135, 0.97, 0.492))
    assert state(epochs, majority_share=0.97) == "not learning"


def test_a_good_model_of_rare_classes_is_not_mistaken_for_chance():
    epochs = curve((0.05, 0.05, 0.985, 0.88), (0.045, 0.049, 0.986, 0.885))
    assert state(epochs, majority_share=0.97) == "converging"


def test_a_loss_that_never_moved_is_not_learning_even_under_the_bound_of_chance():
    # The other nine classes are far from equal, so that knowing the shares gives 0.35, not 0.54.
    epochs = curve((0.36, 0.35, 0.90, 0.095), (0.35, 0.35, 0.90, 0.095))
    assert chance_loss(10, 0.9) > 0.5
    assert state(epochs, classes=10, majority_share=0.9) == "not learning"


def test_chance_loss_is_the_entropy_of_the_shares():
    assert chance_loss(4, 0.25) == pytest.approx(math.log(4))
    assert chance_loss(2, 0.9) == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1))
    assert chance_loss(2, 1.0) == 0.0


def test_an_observation_is_one_line_with_figures():
    sentence = observe(curve((0.55, 0.40, 0.83, 0.82)), 2, 0.5)
    assert "\n" not in sentence
    assert "0.830" in sentence
    assert "0.820" in sentence


def test_no_epoch_is_refused():
    with pytest.raises(ValueError, match="at least one epoch"):
        observe([], 2, 0.5)
