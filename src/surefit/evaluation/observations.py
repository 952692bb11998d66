"""What the figures of the epochs so far mean, in one sentence for the training trace.

The rules, of which the first that holds speaks:

1. *unstable*: a loss is not a finite number, the training loss rose against the epoch before, or
   macro F1 is more than 0.10 under the best so far;
2. *not learning*: macro F1 never left what guessing gives, 1 / classes, by more than 0.05 (by half
   of it, where that is less), and the training loss is at chance or where it began;
3. *overfitting*: the validation loss rose against its lowest point so far;
4. *converging*: macro F1 gained less than 0.01 on the best so far, and the validation loss did
   not fall against its lowest point so far;
5. *learning*: anything else.

A loss "rose" or "fell" when it changed by more than 5% and by more than 0.02 nats; less is noise.
Guessing with the class shares has an expected F1 of its share for each class, so 1 / classes on
average, and answering the majority class alone has less. Loss at chance is the loss of a model
that knows the class shares and nothing else: their entropy, which is at most that of shares that
are equal but for the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from surefit.types import EpochFigures

_NOISE_SHARE = 0.05
_NOISE_NATS = 0.02
_F1_COLLAPSE = 0.10
_F1_GAIN = 0.01
_F1_OVER_CHANCE = 0.05


def observe(epochs: Sequence[EpochFigures], classes: int, majority_share: float) -> str:
    """Says what the epochs so far show.

    Args:
        epochs: all epochs so far, in order, at least one.
        classes: number of classes.
        majority_share: share of the most frequent class among the validation rows.

    Returns:
        One sentence that starts with "unstable", "not learning", "overfitting", "converging" or
        "learning" and a colon, and gives the figures it rests on.

    Raises:
        ValueError: there is no epoch.
    """
    if not epochs:
        raise ValueError("an observation needs at least one epoch")
    return (
        _unstable(epochs)
        or _not_learning(epochs, classes, majority_share)
        or _overfitting(epochs)
        or _converging(epochs)
        or _learning(epochs)
    )


def chance_loss(classes: int, majority_share: float) -> float:
    """Entropy in nats of class shares that are equal but for the largest.

    Args:
        classes: number of classes.
        majority_share: the largest share, from 1 / classes to 1.
    """
    rest = 1 - majority_share
    if rest <= 0 or classes < 2:
        return 0.0
    return -majority_share * math.log(majority_share) - rest * math.log(rest / (classes - 1))


def _rose(before: float, after: float) -> bool:
    return after - before > max(_NOISE_SHARE * before, _NOISE_NATS)


def _fell(before: float, after: float) -> bool:
    return before - after > max(_NOISE_SHARE * before, _NOISE_NATS)


def _unstable(epochs: Sequence[EpochFigures]) -> str:
    last = epochs[-1]
    if not (math.isfinite(last.training_loss) and math.isfinite(last.validation_loss)):
        return "unstable: a loss is not a finite number; lower the learning rate"
    if len(epochs) == 1:
        return ""
    before = epochs[-2]
    if _rose(before.training_loss, last.training_loss):
        return (
            f"unstable: training loss rose from {before.training_loss:.3f} to {last.training_loss:.3f}; "
            "a lower learning rate or a longer warm-up steadies it"
        )
    best_f1 = max(figures.macro_f1 for figures in epochs)
    if best_f1 - last.macro_f1 > _F1_COLLAPSE:
        return f"unstable: macro F1 fell from {best_f1:.3f} to {last.macro_f1:.3f}"
    return ""


def _not_learning(epochs: Sequence[EpochFigures], classes: int, majority_share: float) -> str:
    last = epochs[-1]
    guessing = 1 / classes
    if max(figures.macro_f1 for figures in epochs) > guessing + min(_F1_OVER_CHANCE, guessing / 2):
        return ""
    at_chance = not _fell(chance_loss(classes, majority_share), last.training_loss)
    unmoved = len(epochs) > 1 and not _fell(epochs[0].training_loss, last.training_loss)
    if at_chance or unmoved:
        return (
            f"not learning: macro F1 {last.macro_f1:.3f} is what guessing gives ({guessing:.3f}) and training loss "
            f"is {last.training_loss:.3f}; check the labels, or try another learning rate or more epochs"
        )
    return ""


def _overfitting(epochs: Sequence[EpochFigures]) -> str:
    last = epochs[-1]
    lowest = min(epochs, key=lambda figures: figures.validation_loss)
    if not _rose(lowest.validation_loss, last.validation_loss):
        return ""
    best = max(epochs, key=lambda figures: figures.macro_f1)
    return (
        f"overfitting: validation loss rose from {lowest.validation_loss:.3f} (epoch {lowest.epoch}) to "
        f"{last.validation_loss:.3f} while training loss came to {last.training_loss:.3f}; "
        f"macro F1 is best at epoch {best.epoch} ({best.macro_f1:.3f})"
    )


def _converging(epochs: Sequence[EpochFigures]) -> str:
    *earlier, last = epochs
    if not earlier:
        return ""
    best_f1 = max(figures.macro_f1 for figures in earlier)
    lowest_loss = min(figures.validation_loss for figures in earlier)
    if last.macro_f1 - best_f1 >= _F1_GAIN or _fell(lowest_loss, last.validation_loss):
        return ""
    return (
        f"converging: macro F1 {last.macro_f1:.3f} after {best_f1:.3f} and validation loss "
        f"{last.validation_loss:.3f} after {lowest_loss:.3f}; more epochs would change little"
    )


def _learning(epochs: Sequence[EpochFigures]) -> str:
    last = epochs[-1]
    if len(epochs) == 1:
        return f"learning: accuracy {last.accuracy:.3f} and macro F1 {last.macro_f1:.3f} after the first epoch"
    before = epochs[-2]
    return (
        f"learning: validation loss went from {before.validation_loss:.3f} to {last.validation_loss:.3f} "
        f"and macro F1 from {before.macro_f1:.3f} to {last.macro_f1:.3f}"
    )
