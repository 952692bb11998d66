"""What the figures of the epochs so far mean, in one sentence for the training trace.

The rules, of which the first that holds speaks:

============  ====================================================================================
unstable      a loss is not a finite number
unstable      training loss rose against the epoch before
unstable      macro F1 is more than 0.10 under its best
not learning  macro F1 never left what guessing gives, 1 / classes, by more than 0.05 (by half of
              it, where that is less), and training loss is at chance, or where it began and
              not under half of chance
overfitting   validation loss rose against its lowest
overfitting   validation loss crept up in each of the last three epochs, training loss came down
learning      slowly: validation loss crept down to a new lowest, and in sum it fell
learning      slowly: macro F1 crept up to a new best, and in sum it gained at least 0.01
overfitting   macro F1 is more than 0.02 under its best, since when training loss came down, and
              validation loss did not fall against its lowest
unstable      the same, but training loss did not come down
overfitting   training loss is under half of chance, validation loss rose above chance, and neither
              macro F1 nor validation loss improved on its best, or this is the first epoch
not learning  as for converging, but macro F1 never left what guessing gives
converging    macro F1 gained less than 0.01 on its best, and validation loss did not fall against
              its lowest
learning      anything else
============  ====================================================================================

A loss "rose" or "fell" when it changed by more than 5% and by more than 0.02 nats; less is noise.
A figure "crept" when it moved one way epoch after epoch, over three epochs at most, each time by
less than that (macro F1: by less than 0.01). Training loss, the mean over many rows, "came down"
however little.

Guessing with the class shares has an expected F1 of its share for each class, so 1 / classes on
average, and answering the majority class alone has less. Loss at chance is the loss of a model
that knows the class shares and nothing else: their entropy, which is at most that of shares that
are equal but for the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from surefit.types import EpochFigures

_NOISE_SHARE = 0.05
_NOISE_NATS = 0.02
_F1_COLLAPSE = 0.10
_F1_LOSS = 0.02
_F1_GAIN = 0.01
_F1_OVER_CHANCE = 0.05
_CREEPING_EPOCHS = 3


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
        _loss_is_no_number(epochs)
        or _training_loss_rose(epochs)
        or _f1_collapsed(epochs)
        or _not_learning(epochs, classes, majority_share)
        or _validation_loss_rose(epochs)
        or _validation_loss_crept_up(epochs)
        or _validation_loss_crept_down(epochs)
        or _f1_crept_up(epochs)
        or _f1_fell(epochs)
        or _learned_by_heart(epochs, classes, majority_share)
        or _not_learning_yet(epochs, classes)
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


def _f1_gain(before: EpochFigures, after: EpochFigures) -> float:
    return round(after.macro_f1 - before.macro_f1, 6)  # in floating point 0.87 - 0.85 is more than 0.02


def _best(epochs: Sequence[EpochFigures]) -> EpochFigures:
    return max(epochs, key=lambda figures: figures.macro_f1)


def _lowest(epochs: Sequence[EpochFigures]) -> EpochFigures:
    return min(epochs, key=lambda figures: figures.validation_loss)


def _crept_since(epochs: Sequence[EpochFigures], crept: Callable[[EpochFigures, EpochFigures], bool]) -> EpochFigures:
    """The epoch from which on a figure crept to where it is; the last one where it did not.

    Args:
        epochs: all epochs so far.
        crept: whether it did from one epoch to the next.
    """
    since = epochs[-1]
    for before, after in reversed(list(pairwise(epochs[-_CREEPING_EPOCHS - 1 :]))):
        if not crept(before, after):
            break
        since = before
    return since


def _loss_is_no_number(epochs: Sequence[EpochFigures]) -> str:
    last = epochs[-1]
    if math.isfinite(last.training_loss) and math.isfinite(last.validation_loss):
        return ""
    return "unstable: a loss is not a finite number; lower the learning rate"


def _training_loss_rose(epochs: Sequence[EpochFigures]) -> str:
    before, last = epochs[-2:][0], epochs[-1]
    if not _rose(before.training_loss, last.training_loss):
        return ""
    return (
        f"unstable: training loss rose from {before.training_loss:.3f} to {last.training_loss:.3f}; "
        "a lower learning rate or a longer warm-up steadies it"
    )


def _f1_collapsed(epochs: Sequence[EpochFigures]) -> str:
    best, last = _best(epochs), epochs[-1]
    if -_f1_gain(best, last) <= _F1_COLLAPSE:
        return ""
    return f"unstable: macro F1 fell from {best.macro_f1:.3f} to {last.macro_f1:.3f}"


def _f1_is_guessing(epochs: Sequence[EpochFigures], classes: int) -> bool:
    guessing = 1 / classes
    return _best(epochs).macro_f1 <= guessing + min(_F1_OVER_CHANCE, guessing / 2)


def _not_learning(epochs: Sequence[EpochFigures], classes: int, majority_share: float) -> str:
    last = epochs[-1]
    if not _f1_is_guessing(epochs, classes):
        return ""
    chance = chance_loss(classes, majority_share)
    at_chance = not _fell(chance, last.training_loss)
    # A loss far under chance has come down within the first epoch.
    unmoved = len(epochs) > 1 and last.training_loss >= chance / 2 and not _fell(epochs[0].training_loss, last.training_loss)
    if at_chance or unmoved:
        return (
            f"not learning: macro F1 {last.macro_f1:.3f} is not clearly above guessing ({1 / classes:.3f}) and training loss "
            f"is {last.training_loss:.3f}; check the labels, or try another learning rate or more epochs"
        )
    return ""


def _validation_loss_rose(epochs: Sequence[EpochFigures]) -> str:
    lowest, best, last = _lowest(epochs), _best(epochs), epochs[-1]
    if not _rose(lowest.validation_loss, last.validation_loss):
        return ""
    return (
        f"overfitting: validation loss rose from {lowest.validation_loss:.3f} (epoch {lowest.epoch}) to "
        f"{last.validation_loss:.3f} while training loss came to {last.training_loss:.3f}; "
        f"macro F1 is best at epoch {best.epoch} ({best.macro_f1:.3f})"
    )


def _validation_loss_crept_up(epochs: Sequence[EpochFigures]) -> str:
    # A rise that three decimals do not show is none. One beyond noise has been said by the rule before.
    since = _crept_since(epochs, lambda before, after: round(before.validation_loss, 3) < round(after.validation_loss, 3))
    best, last = _best(epochs), epochs[-1]
    if last.epoch - since.epoch < _CREEPING_EPOCHS or last.training_loss >= since.training_loss:
        return ""
    return (
        f"overfitting: validation loss rose epoch after epoch, from {since.validation_loss:.3f} (epoch {since.epoch}) to "
        f"{last.validation_loss:.3f}, while training loss fell from {since.training_loss:.3f} to {last.training_loss:.3f}; "
        f"macro F1 is best at epoch {best.epoch} ({best.macro_f1:.3f})"
    )


def _validation_loss_crept_down(epochs: Sequence[EpochFigures]) -> str:
    def crept(before: EpochFigures, after: EpochFigures) -> bool:
        return before.validation_loss > after.validation_loss and not _fell(before.validation_loss, after.validation_loss)

    since, last = _crept_since(epochs, crept), epochs[-1]
    if _lowest(epochs) is not last or not _fell(since.validation_loss, last.validation_loss):
        return ""
    return (
        f"learning: slowly, validation loss fell epoch after epoch, from {since.validation_loss:.3f} (epoch {since.epoch}) "
        f"to {last.validation_loss:.3f}, {_f1_moved(since, last)}"
    )


def _f1_crept_up(epochs: Sequence[EpochFigures]) -> str:
    since, last = _crept_since(epochs, lambda before, after: 0 < _f1_gain(before, after) < _F1_GAIN), epochs[-1]
    if _best(epochs) is not last or _f1_gain(since, last) < _F1_GAIN:
        return ""
    return (
        f"learning: slowly, macro F1 rose epoch after epoch, from {since.macro_f1:.3f} (epoch {since.epoch}) to "
        f"{last.macro_f1:.3f}, {_loss_moved(since, last)}"
    )


def _f1_fell(epochs: Sequence[EpochFigures]) -> str:
    lowest, best, last = _lowest(epochs[:-1] or epochs), _best(epochs), epochs[-1]
    if -_f1_gain(best, last) <= _F1_LOSS or _fell(lowest.validation_loss, last.validation_loss):
        return ""
    word = "overfitting" if last.training_loss < best.training_loss else "unstable"
    return (
        f"{word}: macro F1 fell from {best.macro_f1:.3f} (epoch {best.epoch}) to {last.macro_f1:.3f}, validation loss went "
        f"from {best.validation_loss:.3f} to {last.validation_loss:.3f} and training loss from {best.training_loss:.3f} to "
        f"{last.training_loss:.3f}"
    )


def _nothing_gained(epochs: Sequence[EpochFigures]) -> bool:
    """Whether neither macro F1 nor validation loss is better than in an earlier epoch; not so of the first."""
    *earlier, last = epochs
    if not earlier:
        return False
    return _f1_gain(_best(earlier), last) < _F1_GAIN and not _fell(_lowest(earlier).validation_loss, last.validation_loss)


def _learned_by_heart(epochs: Sequence[EpochFigures], classes: int, majority_share: float) -> str:
    last, chance = epochs[-1], chance_loss(classes, majority_share)
    apart = last.training_loss < chance / 2 and _rose(chance, last.validation_loss)
    if not apart or not (len(epochs) == 1 or _nothing_gained(epochs)):
        return ""
    return (
        f"overfitting: training loss came to {last.training_loss:.3f} and validation loss is {last.validation_loss:.3f}, "
        f"more than of a model that knows the class shares alone ({chance:.3f}); macro F1 is {last.macro_f1:.3f}"
    )


def _not_learning_yet(epochs: Sequence[EpochFigures], classes: int) -> str:
    if not (_f1_is_guessing(epochs, classes) and _nothing_gained(epochs)):
        return ""
    last = epochs[-1]
    return (
        f"not learning: macro F1 {last.macro_f1:.3f} is not clearly above guessing ({1 / classes:.3f}) though training loss "
        f"came to {last.training_loss:.3f}; try more epochs, another learning rate or balanced class weights"
    )


def _converging(epochs: Sequence[EpochFigures]) -> str:
    if not _nothing_gained(epochs):
        return ""
    *earlier, last = epochs
    return (
        f"converging: macro F1 {last.macro_f1:.3f} after {_best(earlier).macro_f1:.3f} and validation loss "
        f"{last.validation_loss:.3f} after {_lowest(earlier).validation_loss:.3f}; more epochs would change little"
    )


def _learning(epochs: Sequence[EpochFigures]) -> str:
    *earlier, last = epochs
    if not earlier:
        return f"learning: accuracy {last.accuracy:.3f} and macro F1 {last.macro_f1:.3f} after the first epoch"
    best, lowest = _best(earlier), _lowest(earlier)
    if _fell(lowest.validation_loss, last.validation_loss):
        return (
            f"learning: validation loss went from {lowest.validation_loss:.3f} (epoch {lowest.epoch}) to "
            f"{last.validation_loss:.3f}, {_f1_moved(best, last)}"
        )
    return (
        f"learning: macro F1 rose from {best.macro_f1:.3f} (epoch {best.epoch}) to {last.macro_f1:.3f}, "
        f"{_loss_moved(lowest, last)}"
    )


def _f1_moved(before: EpochFigures, last: EpochFigures) -> str:
    """How macro F1 moved while validation loss fell: "and" where it is better too, else "though"."""
    return _moved("macro F1", before.macro_f1, last.macro_f1, better="rose")


def _loss_moved(before: EpochFigures, last: EpochFigures) -> str:
    """How validation loss moved while macro F1 rose."""
    return _moved("validation loss", before.validation_loss, last.validation_loss, better="fell")


def _moved(name: str, before: float, after: float, better: str) -> str:
    if f"{before:.3f}" == f"{after:.3f}":
        return f"though {name} stayed at {after:.3f}"
    word = "rose" if after > before else "fell"
    return f"{'and' if word == better else 'though'} {name} {word} from {before:.3f} to {after:.3f}"
