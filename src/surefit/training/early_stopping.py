"""Which epoch is the best so far, and when it is no use to go on."""

from __future__ import annotations

from collections.abc import Sequence

from surefit.trace import EpochTrace


def best_epoch(epochs: Sequence[EpochTrace]) -> int:
    """Number of the epoch with the highest validation macro F1; the earlier one of equals.

    An earlier epoch of the same score has fitted the training rows less.
    """
    return max(epochs, key=lambda epoch: (epoch.macro_f1, -epoch.epoch)).epoch


def should_stop(epochs: Sequence[EpochTrace], patience: int) -> bool:
    """Whether `patience` epochs have passed without a better one."""
    return bool(epochs) and epochs[-1].epoch - best_epoch(epochs) >= patience
