"""What is asked of a decision rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from surefit.errors import UsageError
from surefit.types import MULTI_LABEL, LabelSchema


@dataclass(frozen=True)
class DecisionRequest:
    """What a decision rule is to reach; with nothing asked for, the most probable class is answered.

    Attributes:
        positive: the class that precision, recall or F1 are asked for; without one they are for
            every class.
        min_precision: least share of the rows answered with a class that are of it. Without a
            positive class the model abstains where it is not to be had.
        min_recall: least share of the rows of the positive class that are answered with it.
        costs: costs[i][j] is what answering class j costs where i is true.
        max_error: largest share of wrong answers; the model abstains from the other rows.
        best_f1: the best F1 of the positive class, without one the best macro F1.
    """

    positive: str | None = None
    min_precision: float | None = None
    min_recall: float | None = None
    costs: tuple[tuple[float, ...], ...] | None = None
    max_error: float | None = None
    best_f1: bool = False

    def __post_init__(self) -> None:
        for name in ("min_precision", "min_recall", "max_error"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be over 0 and under 1, got {value:g}")
        bounded = self.min_precision is not None or self.min_recall is not None
        if self.positive is None and self.min_recall is not None:
            raise UsageError("--min-recall is for one class; name it with --positive")
        if self.positive is not None and not (bounded or self.best_f1):
            raise UsageError("--positive needs --min-precision, --min-recall or --best-f1: what is to be reached for the class")
        if self.best_f1 and bounded:
            raise UsageError("--best-f1 goes with neither --min-precision nor --min-recall; leave one of them out")
        if self.costs is not None and (bounded or self.best_f1):
            raise UsageError("--costs decide by themselves; leave --min-precision, --min-recall and --best-f1 out")
        if self.max_error is not None and self.min_precision is not None and self.positive is None:
            raise UsageError(
                "--max-error and --min-precision without --positive both say when to abstain; leave one of them out"
            )
        if self.costs is not None:
            _require_costs(self.costs)

    def require_fit(self, schema: LabelSchema) -> None:
        """Refuses classes that the request is not for.

        Raises:
            UsageError: the positive class is none of them, or the costs are for others.
        """
        if schema.problem_type == MULTI_LABEL and self != DecisionRequest():
            raise UsageError("decision rules are fitted for rows of exactly one class only")
        if self.positive is not None and self.positive not in schema.id2label:
            raise UsageError(f"--positive {self.positive!r} is none of the classes: {_listed(schema.id2label)}")
        if self.costs is not None and len(self.costs) != len(schema):
            raise UsageError(
                f"--costs must have a row and a column for each of the {len(schema)} classes, got {len(self.costs)}"
            )


def _require_costs(costs: tuple[tuple[float, ...], ...]) -> None:
    if any(len(row) != len(costs) for row in costs):
        raise UsageError("--costs must have as many columns as rows, one for each class")
    for true, row in enumerate(costs):
        if not all(math.isfinite(cost) for cost in row):
            raise UsageError(f"--costs must be finite numbers; row {true + 1} has another")
        if min(row) < row[true]:
            raise UsageError(f"--costs: in row {true + 1} a wrong answer costs less than the right one; rows are the truth")


def _listed(names: tuple[str, ...], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
