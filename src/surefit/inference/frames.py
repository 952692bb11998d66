"""Data frames in and out, without needing pandas where nobody uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from surefit.types import Prediction


def is_frame(value: object) -> bool:
    """Whether a value is a table with named columns, such as a pandas DataFrame."""
    return hasattr(value, "columns") and hasattr(value, "assign")


def with_predictions(frame: Any, predictions: Sequence[Prediction]) -> Any:
    """A copy of the frame with the columns prediction, probability, truncated and reason added."""
    return frame.assign(
        prediction=[prediction.label for prediction in predictions],
        probability=[prediction.score for prediction in predictions],
        truncated=[prediction.truncated for prediction in predictions],
        reason=[prediction.reason for prediction in predictions],
    )
