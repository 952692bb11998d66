"""Personal data in texts, counted by kind and never shown.

Patterns find what may be personal data; what has a check digit is counted only where it is right, so
that order numbers and the like are not. Sources: Luhn's check of card numbers, ISO/IEC 7812-1, annex B;
that of account numbers, ISO 13616-1 with ISO/IEC 7064, MOD 97-10; lengths of phone numbers, ITU-T E.164;
check digits of national id numbers: Spain, Real Decreto 1553/2005; France, NIR (key of 97); Brazil, CPF (MOD 11);
China, GB 11643-1999 (ISO/IEC 7064, MOD 11-2).
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
        is_real: whether what the pattern found is it, given what stands before.
    """

    name: str
    pattern: str
    is_real: Callable[[str, str], bool] = lambda _found, _before: True

    @property
    def plural(self) -> str:
        return f"{self.name}es" if self.name.endswith("s") else f"{self.name}s"

    @property
    def mask(self) -> str:
        """What stands in the place of it where a text is shown."""
        return f"[{self.name}]"


def _is_card(found: str, _before: str) -> bool:
    digits = [int(letter) for letter in found if letter.isdigit()]
    doubled = [digit if place % 2 == 0 else 2 * digit - 9 * (digit > 4) for place, digit in enumerate(digits[::-1])]
    return digits[0] in range(2, 7) and sum(doubled) % 10 == 0  # what banks' cards begin with


def _is_account(found: str, _before: str) -> bool:
    plain = found.replace(" ", "").upper()
    numbers = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(numbers) % 97 == 1


def _is_national_id(found: str, _before: str) -> bool:
    plain = re.sub(r"[ .\-]", "", found).upper()
    if len(plain) == 9 and plain[-1].isalpha() and plain[1:-1].isdigit():  # Spain, with a letter in front for foreigners
        number = plain[:-1].translate(str.maketrans("XYZ", "012"))
        return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]
    if len(plain) == 11 and plain.isdigit():  # Brazil
        sums = [sum(int(digit) * weight for digit, weight in zip(plain, range(n + 1, 1, -1), strict=False)) for n in (9, 10)]
        return [str(10 * total % 11 % 10) for total in sums] == list(plain[9:])
    if len(plain) == 15:  # France
        return 97 - int(plain[:13]) % 97 == int(plain[13:])
    if len(plain) == 18:  # China
        total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(plain[:17]))
        return "10X98765432"[total % 11] == plain[17]
    return True  # the other forms are like nothing else


def _is_phone(found: str, before: str) -> bool:
    digits = sum(map(str.isdigit, found))
    return 8 <= digits <= 15 and not _DATE.match(found) and not _WITHIN_A_NUMBER.search(before)


def _is_ip_address(_found: str, before: str) -> bool:
    return not _NO_IP_ADDRESS.search(before)


# 05/11/2012 or 05.11.12 18, and what follows the first number of 31.05.2012.
_DATE = re.compile(r"0\d[./-](?:(?:19|20)\d\d(?!\d)|\d\d[./-](?:(?:19|20)\d\d(?!\d)|\d\d(?: \d\d?)?$))")
_WITHIN_A_NUMBER = re.compile(r"\d\d[./-]$")
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_NO_IP_ADDRESS = re.compile(r"\d\.$|\bv(?:er|ersion)?[. ]{0,2}$", re.IGNORECASE)  # within more numbers, or a version
_MOST_BEFORE = 10

# What neither the name nor the host of an address holds.
_NO_ADDRESS = r'\s@<>()\[\]{},;:"|!?/\\'
# Of the United States, Great Britain, Italy, Spain, France, Brazil and China.
_NATIONAL_IDS = (
    *(r"(?:00[1-9]|0[1-9]\d|[1-8]\d{2})-\d{2}-\d{4}", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d{2}){3} ?[A-D]"),
    *(r"[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", r"(?:\d{8}|[XYZ]\d{7})-?[A-HJ-NP-TV-Z]"),
    *(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2}", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]",
)

# In the order in which they are looked for: what one has is not looked at for the next.
KINDS = (
    PersonalKind("e-mail address", rf"[^{_NO_ADDRESS}]{{1,64}}@(?:[^{_NO_ADDRESS}.]{{1,63}}\.)+[^{_NO_ADDRESS}.0-9]{{2,63}}"),
    # Whole, or in the groups in which cards have it: a date or a check number beside it is not part of it.
    PersonalKind(
        "card number",
        r"\b(?:\d{13,19}|\d{4}(?:[ .\-]\d{4}){2}[ .\-]\d{3,4}|\d{4}[ .\-]\d{6}[ .\-]\d{4,5})\b",
        _is_card,
    ),
    PersonalKind("bank account number", r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?\b", _is_account),
    PersonalKind("national id number", rf"\b(?:{'|'.join(_NATIONAL_IDS)})\b", _is_national_id),
    PersonalKind("IP address", rf"\b(?:{_BYTE}\.){{3}}{_BYTE}\b", _is_ip_address),
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
        match = _PATTERNS[place].search(text)
        while match:
            start = match.start()
            after = _real_end(place, text, *match.span())
            if after:
                pieces += [text[end:start], kind.mask]
                end = after
            else:
                after = start + 1  # what is real may begin within what is not
            match = _PATTERNS[place].search(text, after)
        if pieces:
            found.append(place)
            text = "".join([*pieces, text[end:]])
    return text, found


def _real_end(place: int, text: str, start: int, end: int) -> int:
    """Where what is real of a match ends, 0 where nothing is: the word behind a number may look like a part of it."""
    before = text[max(start - _MOST_BEFORE, 0) : start]
    while end > start:
        if _PATTERNS[place].fullmatch(text, start, end) and KINDS[place].is_real(text[start:end], before):
            return end
        end = text.rfind(" ", start, end)
    return 0
