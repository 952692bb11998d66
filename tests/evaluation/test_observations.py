import math

import pytest

from surefit.evaluation.observations import chance_loss, observe
from surefit.types import EpochFigures


def curve(*rows):
    """Epochs from (training loss, validation loss, accuracy, macro F1)."""
    return [EpochFigures(epoch, *figures) for epoch, figures in enumerate(rows, start=1)]


def curve_of(training=(), validation=(), f1=()):
    """Epochs of which only some figures move; the others stand, training loss comes down slowly."""
    count = max(map(len, (training, validation, f1)))
    training = training or [0.40 - 0.01 * epoch for epoch in range(count)]
    return curve(*zip(training, validation or [0.40] * count, [0.85] * count, f1 or [0.85] * count, strict=True))


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


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        (
            [(0.50, 0.500, 0.80, 0.80), (0.40, 0.520, 0.83, 0.83)],
            "learning: macro F1 rose from 0.800 (epoch 1) to 0.830, though validation loss rose from 0.500 to 0.520",
        ),
        (
            [(0.50, 0.500, 0.80, 0.80), (0.40, 0.500, 0.83, 0.83)],
            "learning: macro F1 rose from 0.800 (epoch 1) to 0.830, though validation loss stayed at 0.500",
        ),
        (
            [(0.50, 0.500, 0.80, 0.80), (0.40, 0.400, 0.76, 0.75)],
            "learning: validation loss went from 0.500 (epoch 1) to 0.400, though macro F1 fell from 0.800 to 0.750",
        ),
        (
            [(0.50, 0.500, 0.80, 0.80), (0.40, 0.400, 0.83, 0.83)],
            "learning: validation loss went from 0.500 (epoch 1) to 0.400, and macro F1 rose from 0.800 to 0.830",
        ),
    ],
)
def test_learning_says_what_improved_and_what_did_not(epochs, said):
    assert observe(curve(*epochs), 2, 0.5) == said


def test_slow_learning_says_what_did_not_improve():
    sentence = observe(curve_of(validation=(0.40, 0.39, 0.38, 0.37), f1=(0.870, 0.86, 0.85, 0.84)), 2, 0.5)
    assert sentence.endswith("though macro F1 fell from 0.870 to 0.840")
    sentence = observe(curve_of(validation=(0.400, 0.403, 0.401, 0.405), f1=(0.830, 0.834, 0.838, 0.842)), 2, 0.5)
    assert sentence.endswith("though validation loss rose from 0.400 to 0.405")


def test_a_first_epoch_that_knows_its_rows_by_heart_and_no_others_is_overfitting():
    epochs = curve((0.05, 2.0, 0.55, 0.55))
    assert state(epochs) == "overfitting"
    assert "came to 0.050 and validation loss is 2.000" in observe(epochs, 2, 0.5)
    assert state(curve((0.05, 2.0, 0.55, 0.55), (0.04, 2.0, 0.55, 0.55))) == "overfitting"
    assert state(curve((0.05, 2.0, 0.55, 0.55), (0.04, 1.0, 0.75, 0.75))) == "learning"
    assert state(curve((0.05, 0.70, 0.80, 0.80))) == "learning"  # not beyond chance by more than noise
    assert state(curve((0.40, 0.80, 0.60, 0.60))) == "learning"  # the training rows are hardly known better


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


@pytest.mark.parametrize(
    ("validation", "word"),
    [
        ((0.400, 0.390, 0.380, 0.370), "learning"),  # 0.03 in three falls, none of them beyond 0.02
        ((0.400, 0.385, 0.370), "learning"),  # two falls do when they come to as much
        ((0.450, 0.410, 0.395, 0.380), "learning"),  # after a fall that was no small one
        ((0.400, 0.394, 0.387, 0.381), "converging"),  # 0.019 in sum, which is noise
        ((0.406, 0.400, 0.394, 0.388, 0.382), "converging"),  # 0.024, but over four epochs
        ((0.410, 0.395, 0.396, 0.385), "converging"),  # not epoch after epoch
        ((0.450, 0.380, 0.370), "converging"),  # slow only since it got low
        ((0.450, 0.380, 0.375, 0.372), "converging"),
        ((2.00, 1.95, 1.90, 1.85), "learning"),  # 5% of a large loss
        ((2.00, 1.97, 1.94, 1.91), "converging"),
    ],
)
def test_a_validation_loss_that_falls_slowly_but_steadily_is_learning(validation, word):
    assert state(curve_of(validation=validation)) == word


def test_slow_learning_is_called_slow_with_the_figures_of_its_epochs():
    epochs = curve_of(validation=(0.450, 0.400, 0.390, 0.380, 0.370), f1=(0.80, 0.851, 0.852, 0.853, 0.854))
    sentence = observe(epochs, 2, 0.5)
    assert sentence.startswith("learning: slowly, validation loss fell epoch after epoch, from 0.400 (epoch 2) to 0.370")
    assert sentence.endswith("and macro F1 rose from 0.851 to 0.854")
    sentence = observe(curve_of(f1=(0.830, 0.834, 0.838, 0.842)), 2, 0.5)
    assert sentence.startswith("learning: slowly, macro F1 rose epoch after epoch, from 0.830 (epoch 1) to 0.842")


def test_a_validation_loss_that_only_gets_back_to_its_lowest_is_not_learning():
    assert state(curve_of(validation=(0.390, 0.415, 0.408, 0.400, 0.391))) == "converging"
    assert state(curve_of(validation=(0.390, 0.415, 0.408, 0.400, 0.389))) == "learning"


@pytest.mark.parametrize(
    ("f1", "word"),
    [
        ((0.830, 0.834, 0.838, 0.842), "learning"),
        ((0.830, 0.835, 0.840), "learning"),  # 0.01
        ((0.830, 0.833, 0.836, 0.839), "converging"),  # 0.009
        ((0.830, 0.833, 0.836, 0.839, 0.842), "converging"),  # 0.012, but over four epochs
        ((0.830, 0.836, 0.835, 0.841), "converging"),  # not epoch after epoch
        ((0.850, 0.835, 0.840, 0.845, 0.849), "converging"),  # it was better before
        ((0.800, 0.830, 0.835), "converging"),  # slow only since it got high
        ((0.800, 0.830, 0.835, 0.836), "converging"),
    ],
)
def test_a_macro_f1_that_rises_slowly_but_steadily_is_learning(f1, word):
    assert state(curve_of(f1=f1)) == word


def test_three_typical_epochs():
    epochs = curve((0.55, 0.45, 0.80, 0.80), (0.41, 0.38, 0.83, 0.83), (0.33, 0.37, 0.84, 0.835))
    assert [state(epochs[:count]) for count in (1, 2, 3)] == ["learning", "learning", "converging"]


@pytest.mark.parametrize(
    ("training", "validation", "word"),
    [
        ((0.40, 0.35, 0.30, 0.25), (0.350, 0.353, 0.356, 0.359), "overfitting"),
        ((0.40, 0.35, 0.30, 0.25), (0.350, 0.351, 0.352, 0.353), "overfitting"),
        ((0.50, 0.40, 0.35, 0.30, 0.25), (0.450, 0.350, 0.353, 0.356, 0.359), "overfitting"),
        ((0.40, 0.35, 0.30), (0.350, 0.353, 0.356), "converging"),  # two epochs
        ((0.40, 0.35, 0.30, 0.25), (0.350, 0.353, 0.353, 0.356), "converging"),  # it stood in one of the three
        ((0.40, 0.35, 0.30, 0.25), (0.3501, 0.3502, 0.3503, 0.3504), "converging"),  # nothing that would be shown
        ((0.30, 0.30, 0.30, 0.30), (0.350, 0.353, 0.356, 0.359), "converging"),  # the training loss stood
    ],
)
def test_a_validation_loss_that_rises_for_three_epochs_is_overfitting_within_noise_too(training, validation, word):
    assert state(curve_of(training, validation)) == word


def test_slow_overfitting_gives_the_figures_of_its_epochs():
    epochs = curve_of((0.50, 0.40, 0.35, 0.30, 0.25), (0.450, 0.350, 0.353, 0.356, 0.359), (0.80, 0.84, 0.85, 0.845, 0.85))
    sentence = observe(epochs, 2, 0.5)
    assert "from 0.350 (epoch 2) to 0.359, while training loss fell from 0.400 to 0.250" in sentence
    assert "best at epoch 3 (0.850)" in sentence


@pytest.mark.parametrize(
    ("training", "validation", "f1", "word"),
    [
        ((0.40, 0.30), (0.35, 0.36), (0.870, 0.849), "overfitting"),
        ((0.40, 0.40), (0.35, 0.36), (0.870, 0.849), "unstable"),  # the training loss stood
        ((0.40, 0.41), (0.35, 0.36), (0.870, 0.849), "unstable"),  # it rose within noise
        ((0.40, 0.30), (0.35, 0.36), (0.870, 0.850), "converging"),  # 0.02 is no more than 0.02
        ((0.40, 0.30), (0.35, 0.34), (0.870, 0.849), "overfitting"),  # a fall within noise is none
        ((0.40, 0.30), (0.35, 0.32), (0.870, 0.849), "learning"),
        ((0.40, 0.38, 0.36, 0.34), (0.40, 0.39, 0.38, 0.37), (0.870, 0.86, 0.85, 0.84), "learning"),  # it falls slowly
        ((0.40, 0.30, 0.20), (0.35, 0.36, 0.35), (0.870, 0.88, 0.857), "overfitting"),  # against the best, not the last
        ((0.40, 0.30, 0.20), (0.35, 0.36, 0.35), (0.870, 0.840, 0.847), "overfitting"),  # regaining, still under it
        ((0.40, 0.30), (0.35, 0.36), (0.870, 0.769), "unstable"),  # a collapse, whatever the losses
        ((0.40, 0.30), (0.35, 0.36), (0.870, 0.770), "overfitting"),
    ],
)
def test_a_macro_f1_well_under_its_best_is_not_converging(training, validation, f1, word):
    assert state(curve_of(training, validation, f1)) == word


def test_a_fallen_macro_f1_is_told_with_the_losses():
    sentence = observe(curve_of((0.40, 0.35, 0.30), (0.35, 0.36, 0.355), (0.86, 0.87, 0.84)), 2, 0.5)
    assert "macro F1 fell from 0.870 (epoch 2) to 0.840" in sentence
    assert "validation loss went from 0.360 to 0.355 and training loss from 0.350 to 0.300" in sentence


def test_loss_and_f1_at_chance_are_not_learning():
    assert state(curve((0.697, 0.694, 0.50, 0.333))) == "not learning"
    assert state(curve((0.72, 0.694, 0.50, 0.333), (0.695, 0.693, 0.51, 0.36))) == "not learning"


def test_always_answering_the_majority_is_not_learning_however_high_its_accuracy():
    epochs = curve((0.145, 0.140, 0.97, 0.492), (0.138, 0.135, 0.97, 0.492))
    assert state(epochs, majority_share=0.97) == "not learning"


def test_answering_the_majority_is_not_learning_yet_though_training_loss_falls():
    majority = 2 * 0.9 / 1.9 / 2
    epochs = curve((0.30, 0.30, 0.90, majority), (0.25, 0.295, 0.90, majority))
    assert state(epochs, majority_share=0.9) == "not learning"
    assert "macro F1 0.474 is not clearly above guessing (0.500) though training loss came to 0.250" in observe(epochs, 2, 0.9)
    falling = curve((0.30, 0.30, 0.90, majority), (0.25, 0.20, 0.90, majority))
    assert state(falling, majority_share=0.9) == "learning"


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
