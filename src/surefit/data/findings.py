"""What an audit has found, each with how much it matters, how many rows it is about and what to do.

The limits from which something is said, and from which it weighs more, stand in `LIMITS`. They are ours,
chosen to be silent on clean data; no finding stops a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from surefit.data import text_checks
from surefit.data.clean import BoolArray
from surefit.data.personal import rows_with_personal_data
from surefit.types import Examples

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing that a reader should know of the data.

    Attributes:
        kind: what it is about, in a few words.
        severity: how much it matters.
        rows: how many rows it is about.
        sentence: what was found.
        advice: what to do about it.
        examples: ids of a few of the rows; no text of them.
    """

    kind: str
    severity: Severity
    rows: int
    sentence: str
    advice: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Limit:
    """Shares of the rows from which something is found, and from which it weighs more.

    Attributes:
        found: it is said where more rows than this share have it.
        weighs: it is of the heavier severity where more than this share have it.
        lighter, heavier: the severities.
    """

    found: float
    weighs: float
    lighter: Severity = "note"
    heavier: Severity = "warning"


LIMITS = {
    "one word": Limit(0.01, 0.2),
    "long texts": Limit(0.0, 0.1),
    "markup": Limit(0.0, 0.01),
    "header lines": Limit(0.0, 0.0, heavier="warning"),
    "boilerplate": Limit(0.0, 0.2),
    "damaged characters": Limit(0.0, 0.0),
    "other scripts": Limit(0.0, 0.01),
    "label in the text": Limit(0.0, 0.01),
    "personal data": Limit(0.0, 0.0),
}
# A class name gives the label away where it stands in this share of its own rows, and in a tenth of it in others.
_GIVEN_AWAY = 0.2
_LONG_WORDS = 350  # about what a BERT reads of a text, 512 tokens
_LEAST_FRAMED = 10
_FRAMED_SHARE = 0.01


def text_findings(examples: Examples, columns: Mapping[str, str]) -> Iterator[Finding]:
    """What is found in the texts.

    Args:
        examples: cleaned, labelled rows, at least one.
        columns: role (text, label, ...) -> name of its column.
    """
    ids = examples.ids
    words = text_checks.words_of(examples)
    pairs = examples.text_pairs is not None
    checks: list[tuple[str, BoolArray, str, str]] = [
        (
            "one word",
            words <= (2 if pairs else 1),
            "texts are a single word",
            "look whether they say enough to be classified by a reader",
        ),
        (
            "long texts",
            words > _LONG_WORDS,
            f"texts have more than {_LONG_WORDS} words",
            "what stands beyond --max-length is not read: put first what matters",
        ),
        ("markup", text_checks.with_markup(examples), "texts hold tags or character references of HTML", "strip them before"),
        ("header lines", text_checks.like_the_header(examples, columns), "rows repeat the header", "remove them"),
        (
            "damaged characters",
            text_checks.damaged(examples),
            "texts were read with a wrong encoding somewhere on their way",
            "export them again as UTF-8, or repair them with ftfy",
        ),
    ]
    for kind, rows, sentence, advice in checks:
        yield from _of(kind, kind, rows, sentence, advice, ids)
    for where, rows in text_checks.framed(examples, max(_LEAST_FRAMED, round(_FRAMED_SHARE * len(examples)))):
        sentence = f"texts share their {where} with many others and differ in the rest"
        advice = "look whether it is a template or signature that says nothing of the class, and remove it"
        yield from _of("boilerplate", "boilerplate", rows, sentence, advice, ids)
    yield from _script_findings(examples)
    yield from _label_findings(examples)
    for name, rows in rows_with_personal_data(examples).items():
        advice = "make sure that you may use them; the model and its reports keep the worst mistakes' texts"
        yield from _of("personal data", f"personal data: {name}", rows, f"texts hold {name}", advice, ids)


def _of(limit: str, kind: str, rows: BoolArray, sentence: str, advice: str, ids: pa.Array) -> Iterator[Finding]:
    """The finding, where more rows than the limit have it."""
    count, bounds = int(rows.sum()), LIMITS[limit]
    if count <= bounds.found * len(rows):
        return
    severity = bounds.heavier if count > bounds.weighs * len(rows) else bounds.lighter
    examples = tuple(ids[row].as_py() for row in np.flatnonzero(rows)[:EXAMPLES].tolist())
    yield Finding(kind, severity, count, f"{count:,} {sentence}", advice, examples)


def _script_findings(examples: Examples) -> Iterator[Finding]:
    scripts = text_checks.scripts_of(examples)
    written = scripts >= 0
    if not written.any():
        return
    usual = int(np.bincount(scripts[written]).argmax())
    others = written & (scripts != usual)
    names = ", ".join(text_checks.SCRIPTS[place] for place in np.unique(scripts[others]).tolist())
    sentence = f"texts are not written in {text_checks.SCRIPTS[usual]} letters, as most are, but in {names}"
    advice = "train on one language, or with a multilingual model, and test each language by itself"
    yield from _of("other scripts", "other scripts", others, sentence, advice, examples.ids)


def _label_findings(examples: Examples) -> Iterator[Finding]:
    """Classes whose name stands in their own texts, and hardly in others."""
    assert examples.labels is not None
    encoded = examples.labels.flatten().dictionary_encode()
    classes = encoded.indices.to_numpy()
    for number, name in enumerate(encoded.dictionary.to_pylist()):
        own = classes == number
        named = text_checks.naming(examples.take(np.flatnonzero(own)), name)
        if named.mean() < _GIVEN_AWAY:
            continue
        everywhere = text_checks.naming(examples, name)
        if own.all() or everywhere[~own].mean() > named.mean() / 10:
            continue
        sentence = f"texts of class {name!r} hold the class name, {named.mean():.0%} of its rows"
        advice = "if labels were derived from the texts, or written into them, figures on such rows mean little: mask the name"
        yield from _of("label in the text", f"label in the text: {name}", own & everywhere, sentence, advice, examples.ids)
