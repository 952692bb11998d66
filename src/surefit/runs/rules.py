"""What is asked of the decision rule, from the settings of a run."""

from __future__ import annotations

from pathlib import Path

from surefit.config import DecisionSettings
from surefit.data.costs import read_costs
from surefit.evaluation.requests import DecisionRequest
from surefit.normalization import normalize_text
from surefit.types import LabelSchema


def request_of(settings: DecisionSettings, schema: LabelSchema | None = None) -> DecisionRequest:
    """What the settings ask for.

    Args:
        settings: of the decision rule.
        schema: the classes. Before they are known, what does not hang on them is checked.

    Raises:
        UsageError: settings do not go together, or do not fit the classes.
        DataError: the table of costs cannot be used.
    """
    request = DecisionRequest(
        positive=None if settings.positive is None else normalize_text(settings.positive),  # as the classes are
        min_precision=settings.min_precision,
        min_recall=settings.min_recall,
        costs=None if settings.costs is None else _costs(Path(settings.costs), schema),
        max_error=settings.max_error,
        best_f1=settings.best_f1,
    )
    if schema is not None:
        request.require_fit(schema)
    return request


def _costs(path: Path, schema: LabelSchema | None) -> tuple[tuple[float, ...], ...]:
    return () if schema is None else read_costs(path, schema.id2label)
