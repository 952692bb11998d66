"""Personal data in texts, counted by kind and never shown.

Patterns find what may be personal data; what has a check digit is counted only where it is right, so
that order numbers and the like are not. Sources: Luhn's check of card numbers, ISO/IEC 7812-1, annex B;
that of account numbers, ISO 13616-1 with ISO/IEC 7064, MOD 97-10; lengths of phone numbers, ITU-T E.164.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from surefit.types import Examples


@dataclass(frozen=True)
class PersonalKind:
    """A kind of personal data.

    Attributes:
        name: what it is called.
        pattern: what may be it, in a syntax that Arrow's RE2 and Python share.
        is_real: whether what the pattern found is it.
    """

    name: str
    pattern: str
    is_real: Callable[[str], bool] = bool

    @property
    def plural(self) -> str:
        return f"{self.name}es" if self.name.endswith("s") else f"{self.name}s"


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
    PersonalKind("e-mail address", r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}"),
    PersonalKind("card number", r"\b\d(?:[ \-]?\d){12,18}\b", _is_card),
    PersonalKind("bank account number", r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?\b", _is_account),
    PersonalKind("social security number", r"\b(?:00[1-9]|0[1-9]\d|[1-8]\d{2})-\d{2}-\d{4}\b"),
    PersonalKind("IP address", r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),
    # With a plus, a leading zero or bracket, or written 555-123-4567; other long numbers are something else mostly.
    PersonalKind(
        "phone number",
        r"(?:\+|\b00?|\(0?)[1-9](?:[ ./()\-]{0,2}\d){6,13}\b|(?:\(\d{3}\) ?|\b\d{3}[ .\-])\d{3}[ .\-]\d{4}\b",
        _is_phone,
    ),
)

_PATTERNS = [re.compile(kind.pattern, re.ASCII) for kind in KINDS]


def rows_with_personal_data(examples: Examples) -> NDArray[np.bool_]:
    """Which rows have which of `KINDS` in one of their texts, shape (kinds, n)."""
    columns = [examples.texts] if examples.text_pairs is None else [examples.texts, examples.text_pairs]
    return np.asarray(np.logical_or.reduce([_found(column) for column in columns]), dtype=np.bool_)


def masked(text: str) -> str:
    """A text with the name of its kind in place of all personal data that is found in it."""
    return _masked(text, range(len(KINDS)))[0]


def shown_id(examples: Examples, row: int) -> str:
    """A row's id where it is printed: its record's number where the id itself is personal data, such as an address."""
    given: str = examples.ids[row].as_py()
    return given if masked(given) == given else f"record {examples.records[row]}"


def _found(texts: pa.Array) -> NDArray[np.bool_]:
    """Which texts have which kind, shape (kinds, n)."""
    matched = np.stack([pc.match_substring_regex(texts, kind.pattern).to_numpy(zero_copy_only=False) for kind in KINDS])
    found = np.zeros_like(matched)
    for row in np.flatnonzero(matched.any(axis=0)).tolist():
        found[_masked(texts[row].as_py(), np.flatnonzero(matched[:, row]).tolist())[1], row] = True
    return found


def _masked(text: str, kinds: Iterable[int]) -> tuple[str, list[int]]:
    """The text without what is found of some kinds, by their places in `KINDS`, and the places of those found."""
    found = []
    for place in kinds:
        kind, pieces, end = KINDS[place], [], 0
        for match in _PATTERNS[place].finditer(text):
            if kind.is_real(match.group()):
                pieces += [text[end : match.start()], f"[{kind.name}]"]
                end = match.end()
        if pieces:
            found.append(place)
            text = "".join([*pieces, text[end:]])
    return text, found
