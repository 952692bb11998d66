"""What an audit has found: each with how much it matters, how many rows it is about, a few of them, and what to do.

The limits from which something is said, and from which it weighs more, stand in `LIMITS`. They are ours, chosen
to be silent on clean data; no finding stops a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from surefit.data.clean import BoolArray
from surefit.data.personal import PersonalKind, masked, shown_id
from surefit.types import Examples

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")

EXAMPLES = 5
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class FoundExample:
    """One example of what was found.

    Attributes:
        ids: of the row, or of the rows that belong together; empty where it is about a class.
        shown: a piece of the text, its beginning mostly, with personal data left out, or what else it is about.
    """

    ids: tuple[str, ...]
    shown: str


@dataclass(frozen=True)
class Finding:
    """One thing that a reader should know of the data.

    Attributes:
        kind: what it is about, in a few words.
        severity: how much it matters.
        rows: how many rows it is about.
        sentence: what was found.
        advice: what to do about it.
        examples: five at most.
    """

    kind: str
    severity: Severity
    rows: int
    sentence: str
    advice: str
    examples: tuple[FoundExample, ...]


@dataclass(frozen=True)
class Limit:
    """Shares of the rows, or ratios, from which something is found and from which it weighs more.

    Attributes:
        found: it is said where more than this have it.
        warning: it is a warning where more than this have it.
        serious: it is serious where more than this have it.
    """

    found: float
    warning: float
    serious: float = float("inf")

    def severity(self, value: float) -> Severity | None:
        """How much a share or ratio weighs; None where nothing is to be said."""
        if value <= self.found:
            return None
        return "serious" if value > self.serious else "warning" if value > self.warning else "note"


LIMITS = {
    # of the records of the file
    "unusable records": Limit(0.0, 0.01, 0.2),
    # rows of the largest class for each row of the smallest
    "imbalance": Limit(3.0, 10.0, 100.0),
    # shares of the rows used
    "exact duplicates": Limit(0.0, 0.05, 0.5),
    "conflicting labels": Limit(0.0, 0.001, 0.02),
    "near duplicates": Limit(0.0, 0.1),
    "near conflicting labels": Limit(0.001, 0.01),
    "truncated texts": Limit(0.0, 0.1, 0.5),
    "one word": Limit(0.01, 0.2),
    "long texts": Limit(0.0, 0.1),
    "markup": Limit(0.0, 0.01),
    "header lines": Limit(0.0, 0.0),
    "boilerplate": Limit(0.0, 0.2),
    "damaged characters": Limit(0.0, 0.0),
    "other scripts": Limit(0.0, 0.01),
    "other languages": Limit(0.005, 0.03),
    "label in the text": Limit(0.0, 0.01),
    "personal data": Limit(0.0, 0.0),
    # of the validation and test rows
    "leaks": Limit(0.0, 0.0, 0.01),
}


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The serious ones first, and of each severity those about the most rows."""
    return tuple(sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.rows)))


def counted(count: int, one: str, many: str) -> str:
    """A number and what it counts, in the form that agrees with it.

    Args:
        count: how many.
        one, many: what is counted, and its verb where the sentence goes on with it: "row has", "rows have".
    """
    return f"{count:,} {one if count == 1 else many}"


def found_in(
    examples: Examples,
    kind: str,
    rows: BoolArray,
    sentence: tuple[str, str],
    advice: str,
    personal: PersonalKind | None = None,
) -> Iterator[Finding]:
    """The finding, where more rows than its limit have it.

    Args:
        examples: all rows, at least one.
        kind: what it is about, one of `LIMITS`.
        rows: which rows have it, shape (n,).
        sentence: what was found, to be read behind the number of rows: of one row, and of several.
        advice: what to do about it.
        personal: the kind of personal data that it is about, if it is: part of its name, and shown where it stands.
    """
    count = int(rows.sum())
    severity = LIMITS[kind].severity(count / len(rows))
    if severity is not None:
        title = kind if personal is None else f"{kind}: {personal.plural}"
        shown = [(row,) for row in np.flatnonzero(rows)[:EXAMPLES].tolist()]
        around = "" if personal is None else personal.mask
        yield Finding(title, severity, count, counted(count, *sentence), advice, examples_of(examples, shown, around))


def examples_of(examples: Examples, positions: Sequence[Sequence[int]], around: str = "") -> tuple[FoundExample, ...]:
    """A few examples to show.

    Args:
        examples: all rows.
        positions: of each example, the rows that belong together; the text of the first of them is shown.
        around: the mask of personal data, the first of which is to be seen.
    """
    return tuple(
        FoundExample(tuple(shown_id(examples, row) for row in rows), _excerpt(examples, rows[0], around))
        for rows in positions[:EXAMPLES]
    )


def _excerpt(examples: Examples, row: int, around: str) -> str:
    """So much of a row's masked text as is shown: the beginning, or what stands around the first `around`."""
    text = masked(examples.texts[row].as_py())
    if examples.text_pairs is not None:
        text = f"{text} | {masked(examples.text_pairs[row].as_py())}"
    place = text.find(around)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    if place + len(around) < _SHOWN_CHARACTERS:
        return f"{text[: _SHOWN_CHARACTERS - 1]}…"
    # As much before as behind, and no empty space where the text ends.
    room = _SHOWN_CHARACTERS - 2
    start = min(place - (room - len(around)) // 2, len(text) - room - 1)
    end = start + room
    return f"…{text[start:end]}…" if end < len(text) - 1 else f"…{text[start:]}"
