"""Typed cells (Excel, Parquet, JSON, DataFrames) become text by one rule.

Integers are digits, whole floats have no ".0", other floats are the shortest text that reads back
the same, booleans are true and false, dates and times are ISO 8601. Null, NaN and NaT are missing.
Cells of CSV and TSV files never come here: they are text already, "null", "NA" and "1.0" included.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np

from surefit.data.reasons import NESTED_VALUE, NOT_FINITE, UNDECODABLE_BYTES, UNKNOWN_KIND

NESTED_KINDS = (list, tuple, dict, set, frozenset, np.ndarray)

# From here on whole floats are written with an exponent, as ECMAScript's Number::toString does.
_LARGEST_PLAIN_FLOAT = 1e21


class UnreadableCell(Exception):  # noqa: N818 - it marks a rejected record, it is not an error of the program
    """A cell that cannot become text.

    Attributes:
        reason: one of the phrases of `surefit.data.reasons`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def text_of(value: object) -> str | None:
    """The text of one typed cell, or None where the cell is missing.

    Raises:
        UnreadableCell: the value is nested, is an infinite number, does not decode, or is of a
            kind that has no text.
    """
    if value is None or isinstance(value, str):
        return _checked(value)
    if isinstance(value, np.generic):
        value = _plain_scalar(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, float):
        return _float_text(value)
    return _other_text(value)


def _checked(value: str | None) -> str | None:
    """Refuses half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    if value is not None and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UnreadableCell(UNDECODABLE_BYTES) from None
    return value


def _plain_scalar(value: np.generic) -> object:
    # A 32-bit 0.1 must not become 0.10000000149011612: its own shortest text comes first.
    return float(str(value)) if isinstance(value, np.floating) else value.item()


def _float_text(value: float) -> str | None:
    if value != value:
        return None
    if value in (float("inf"), float("-inf")):
        raise UnreadableCell(NOT_FINITE)
    if value.is_integer() and abs(value) < _LARGEST_PLAIN_FLOAT:
        return str(int(value))
    return repr(value)


def _other_text(value: object) -> str | None:
    if isinstance(value, (date, time)):
        # pandas' NaT is a datetime that differs from itself.
        return None if value != value else str(value.isoformat())
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise UnreadableCell(UNDECODABLE_BYTES) from None
    if isinstance(value, (timedelta, UUID)):
        return str(value)
    raise UnreadableCell(NESTED_VALUE if isinstance(value, NESTED_KINDS) else UNKNOWN_KIND)


def _decimal_text(value: Decimal) -> str | None:
    if value.is_nan():
        return None
    if value.is_infinite():
        raise UnreadableCell(NOT_FINITE)
    return format(value, "f")
