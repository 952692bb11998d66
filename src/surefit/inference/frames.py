"""Tables in and out, without needing pandas where nobody uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from surefit.errors import UsageError
from surefit.types import Prediction


def with_predictions(table: Any, predictions: Sequence[Prediction]) -> Any:
    """The table with the columns prediction, probability, truncated and reason added.

    Args:
        table: a pandas DataFrame or an Arrow table; it is not changed.
        predictions: one a row.

    Returns:
        A table of the same kind.

    Raises:
        UsageError: a column to be added is there already.
    """
    added = pa.table(
        {
            "prediction": pa.array([prediction.label for prediction in predictions], pa.string()),
            "probability": np.array([prediction.score for prediction in predictions], dtype=np.float64),
            "truncated": np.array([prediction.truncated for prediction in predictions], dtype=np.bool_),
            "reason": pa.array([prediction.unanswered for prediction in predictions], pa.string()),
        }
    )
    arrow = isinstance(table, pa.Table)
    taken = list(table.column_names if arrow else table.columns)
    for name in added.column_names:
        if name in taken:
            raise UsageError(f"the table has a column {name!r} already, which predictions would replace; rename or drop it")
    if not arrow:
        return table.assign(**{name: column.array for name, column in added.to_pandas().items()})
    for name, column in zip(added.column_names, added.columns, strict=True):
        table = table.append_column(name, column)
    return table
