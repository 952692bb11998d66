"""The decision rule as `surefit.json` holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from surefit.types import DecisionRule


def rule_to_json(rule: DecisionRule) -> dict[str, Any]:
    """The entry `decision`: temperature, thresholds, costs and abstain_below, null where the rule has none."""
    return asdict(rule)


def rule_from_json(decision: Mapping[str, Any]) -> DecisionRule:
    """Reads the entry again, strictly; costs and abstain_below may be missing, as before there were such rules.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is damaged; OverflowError by a number of
            hundreds of digits.
    """
    temperature, thresholds = _number(decision["temperature"]), _numbers(decision["thresholds"])
    costs = decision.get("costs")
    if costs is not None:
        costs = tuple(_numbers(row) or () for row in _list(costs))
    return DecisionRule(temperature, thresholds, costs, _numbers(decision.get("abstain_below")))


def _numbers(values: object) -> tuple[float, ...] | None:
    return None if values is None else tuple(_number(value) for value in _list(values))


def _list(values: object) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError(f"a value that must be a list, got {type(values).__name__}")
    return values


def _number(value: object) -> float:
    """A finite number as JSON has it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a value that must be a finite number, got {value!r}")
    return float(value)
