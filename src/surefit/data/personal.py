"""Personal data in texts, counted by kind and never shown.

Patterns find what may be personal data; what has a check digit is counted only where it is right, so
that order numbers and the like are not. Sources: Luhn's check of card numbers, ISO/IEC 7812-1, annex B;
that of account numbers, ISO 13616-1 with ISO/IEC 7064, MOD 97-10; lengths of phone numbers, ITU-T E.164.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from surefit.data.clean import BoolArray
from surefit.types import Examples


@dataclass(frozen=True)
class PersonalKind:
    """A kind of personal data.

    Attributes:
        name: what it is called, in the plural.
        pattern: what may be it, in a syntax that Arrow's RE2 and Python share.
        is_real: whether what the pattern found is it.
    """

    name: str
    pattern: str
    is_real: Callable[[str], bool] = bool


def _is_card(found: str) -> bool:
    digits = [int(letter) for letter in found if letter.isdigit()]
    doubled = [digit if place % 2 == 0 else 2 * digit - 9 * (digit > 4) for place, digit in enumerate(digits[::-1])]
    return digits[0] in range(2, 7) and sum(doubled) % 10 == 0  # what banks' cards begin with


def _is_account(found: str) -> bool:
    plain = found.replace(" ", "").upper()
    numbers = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(numbers) % 97 == 1


def _is_phone(found: str) -> bool:
    digits = sum(map(str.isdigit, found))
    return 8 <= digits <= 15


# In the order in which they are looked for: what one has is not looked at for the next.
KINDS = (
    PersonalKind("e-mail addresses", r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}"),
    PersonalKind("card numbers", r"\b\d(?:[ \-]?\d){12,18}\b", _is_card),
    PersonalKind("bank account numbers", r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?\b", _is_account),
    PersonalKind("social security numbers", r"\b(?:00[1-9]|0[1-9]\d|[1-8]\d{2})-\d{2}-\d{4}\b"),
    PersonalKind("IP addresses", r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),
    # With a plus, a leading zero or bracket, or written 555-123-4567; other long numbers are something else mostly.
    PersonalKind(
        "phone numbers",
        r"(?:\+|\b00?|\(0?)[1-9](?:[ ./()\-]{0,2}\d){6,13}\b|(?:\(\d{3}\) ?|\b\d{3}[ .\-])\d{3}[ .\-]\d{4}\b",
        _is_phone,
    ),
)

_PATTERNS = [re.compile(kind.pattern, re.ASCII) for kind in KINDS]


def rows_with_personal_data(examples: Examples) -> dict[str, BoolArray]:
    """For each kind by its name, which rows have it in one of their texts, shape (n,)."""
    columns = [examples.texts] if examples.text_pairs is None else [examples.texts, examples.text_pairs]
    found = [_found(column) for column in columns]
    return {kind.name: np.logical_or.reduce([of_column[place] for of_column in found]) for place, kind in enumerate(KINDS)}


def _found(texts: pa.Array) -> NDArray[np.bool_]:
    """Which texts have which kind, shape (kinds, n)."""
    matched = np.stack([pc.match_substring_regex(texts, kind.pattern).to_numpy(zero_copy_only=False) for kind in KINDS])
    found = np.zeros_like(matched)
    for row in np.flatnonzero(matched.any(axis=0)).tolist():
        text = texts[row].as_py()
        for place, (kind, pattern) in enumerate(zip(KINDS, _PATTERNS, strict=True)):
            if matched[place, row]:
                real = [match.span() for match in pattern.finditer(text) if kind.is_real(match.group())]
                found[place, row] = bool(real)
                for start, end in real:
                    text = text[:start] + "|" * (end - start) + text[end:]
    return found
