"""Tables in and out, without needing pandas where nobody uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from surefit.errors import UsageError
from surefit.types import Prediction


def is_frame(value: object) -> bool:
    """Whether a value is a table with named columns: a pandas DataFrame, or one that Arrow can read."""
    return hasattr(value, "columns") and (hasattr(value, "assign") or hasattr(value, "__arrow_c_stream__"))


def has_no_rows(frame: Any) -> bool:
    """Whether a table has columns only; of one that cannot be read it says no, since reading says more."""
    try:
        return len(frame if hasattr(frame, "__len__") else pa.table(frame)) == 0
    except (pa.ArrowException, TypeError, ValueError):
        return False


def with_predictions(frame: Any, predictions: Sequence[Prediction]) -> Any:
    """The table with the columns prediction, probability, truncated and reason added.

    Args:
        frame: as `is_frame` knows it; it is not changed.
        predictions: one a row.

    Returns:
        A copy of a pandas DataFrame, an Arrow table for any other table.

    Raises:
        UsageError: a column to be added is there already.
    """
    # Arrays, so that the columns are of the same type where there are no rows.
    added: dict[str, Any] = {
        "prediction": [prediction.label for prediction in predictions],
        "probability": np.array([prediction.score for prediction in predictions], dtype=np.float64),
        "truncated": np.array([prediction.truncated for prediction in predictions], dtype=np.bool_),
        "reason": [prediction.reason for prediction in predictions],
    }
    pandas = hasattr(frame, "assign")
    table = frame if pandas else pa.table(frame)
    names = list(table.columns if pandas else table.column_names)
    for name in added:
        if name in names:
            raise UsageError(f"the table has a column {name!r} already, which predictions would replace; rename or drop it")
    if pandas:
        return table.assign(**added)
    for name, values in added.items():
        table = table.append_column(name, pa.array(values, pa.string() if isinstance(values, list) else None))
    return table
