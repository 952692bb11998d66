"""Which epoch is kept, and when training ends."""

import pytest

from surefit.trace import EpochTrace
from surefit.training.early_stopping import best_epoch, should_stop


def epochs(*macro_f1s):
    return [
        EpochTrace(number, 0.5, 0.5, 0.5, macro_f1, observation="", seconds=0.0) for number, macro_f1 in enumerate(macro_f1s, 1)
    ]


@pytest.mark.parametrize(
    ("macro_f1s", "best"), [((0.5,), 1), ((0.5, 0.7, 0.6), 2), ((0.5, 0.7, 0.7), 2), ((0.0, 0.0), 1), ((0.1, 0.2, 0.3), 3)]
)
def test_the_best_epoch_is_the_first_with_the_highest_macro_f1(macro_f1s, best):
    assert best_epoch(epochs(*macro_f1s)) == best


@pytest.mark.parametrize(
    ("macro_f1s", "patience", "stops"),
    [
        ((), 1, False),
        ((0.5,), 1, False),
        ((0.5, 0.4), 1, True),
        ((0.5, 0.5), 1, True),
        ((0.5, 0.4), 2, False),
        ((0.5, 0.4, 0.5), 2, True),
        ((0.5, 0.4, 0.6), 2, False),
        ((0.5, 0.4, 0.6, 0.5), 2, False),
        ((0.5, 0.4, 0.6, 0.5, 0.6), 2, True),
    ],
)
def test_training_ends_after_patience_epochs_without_a_better_one(macro_f1s, patience, stops):
    assert should_stop(epochs(*macro_f1s), patience) == stops


def test_of_equal_scores_the_lower_validation_loss_is_better():
    epochs = [
        EpochTrace(number, 0.5, loss, 0.8, 0.44, observation="", seconds=1.0) for number, loss in enumerate([0.6, 0.5, 0.55], 1)
    ]
    assert best_epoch(epochs) == 2
    assert not should_stop(epochs, patience=2)
