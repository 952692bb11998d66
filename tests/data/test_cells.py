"""Typed cells become text by one rule."""

import datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from surefit.data.cells import UnreadableCell, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        ("", ""),
        (7, "7"),
        (-(10**30), "-1000000000000000000000000000000"),
        (True, "true"),
        (False, "false"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (2.5e-8, "2.5e-08"),
        (np.float32(0.1), "0.1"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.str_("a"), "a"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05"),
        (datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), "2024-01-02T00:00:00+00:00"),
        (datetime.time(3, 4), "03:04:00"),
        (pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("ä".encode(), "ä"),
    ],
)
def test_text_of(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan"), Decimal("nan"), pd.NaT])
def test_missing_values(value):
    assert text_of(value) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1], "nested value"),
        ({"a": 1}, "nested value"),
        (np.array([1]), "nested value"),
        (float("inf"), "number not finite"),
        (np.float32("-inf"), "number not finite"),
        (Decimal("inf"), "number not finite"),
        (b"\xff", "undecodable bytes"),
        ("\ud83d", "undecodable bytes"),
        (object(), "unknown kind of value"),
    ],
)
def test_unreadable_values(value, reason):
    with pytest.raises(UnreadableCell, match=reason):
        text_of(value)
