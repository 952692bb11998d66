"""Which epoch is the best so far, and when it is no use to go on."""

from __future__ import annotations

from collections.abc import Sequence

from surefit.trace import EpochTrace


def best_epoch(epochs: Sequence[EpochTrace]) -> int:
    """Number of the epoch with the highest validation macro F1; of equals, the lowest validation loss.

    Where classes are lopsided, macro F1 stands still at first, on the plateau of the largest class,
    while the loss shows that the model learns.
    """
    return max(epochs, key=lambda epoch: (epoch.macro_f1, -epoch.validation_loss, -epoch.epoch)).epoch


def should_stop(epochs: Sequence[EpochTrace], patience: int) -> bool:
    """Whether `patience` epochs have passed without a better one."""
    return bool(epochs) and epochs[-1].epoch - best_epoch(epochs) >= patience
