"""SureFit: from a labelled file to a fine-tuned, evaluated BERT text classifier.

The public names, imported only when they are first used so that `import surefit` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surefit.errors import (
        DataError,
        Interrupted,
        MissingExtraError,
        ModelError,
        RunError,
        SureFitError,
        TrainingError,
        UsageError,
    )
    from surefit.inference.classifier import TextClassifier, load
    from surefit.runs.train import TrainedRun, train
    from surefit.types import Prediction

__version__ = "0.1.0"

_HOMES = {
    "DataError": "surefit.errors",
    "Interrupted": "surefit.errors",
    "MissingExtraError": "surefit.errors",
    "ModelError": "surefit.errors",
    "RunError": "surefit.errors",
    "SureFitError": "surefit.errors",
    "TrainingError": "surefit.errors",
    "UsageError": "surefit.errors",
    "Prediction": "surefit.types",
    "TextClassifier": "surefit.inference.classifier",
    "load": "surefit.inference.classifier",
    "TrainedRun": "surefit.runs.train",
    "train": "surefit.runs.train",
}

__all__ = [
    "DataError",
    "Interrupted",
    "MissingExtraError",
    "ModelError",
    "Prediction",
    "RunError",
    "SureFitError",
    "TextClassifier",
    "TrainedRun",
    "TrainingError",
    "UsageError",
    "__version__",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surefit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
