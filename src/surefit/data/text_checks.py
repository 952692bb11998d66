"""What may be wrong with single texts: markup, damage, another script, boilerplate, a label that is given away.

Each check says which rows it is about; whether that matters is decided in `surefit.data.text_findings`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ftfy.badness import is_bad

from surefit.data.clean import BoolArray
from surefit.data.columns import LABEL_NAMES, TEXT_NAMES
from surefit.types import TEXT_TYPE, Examples, Int64Array

SCRIPTS = (
    *("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Han", "Hiragana", "Katakana", "Hangul", "Thai"),
    *("Devanagari", "Bengali", "Tamil", "Telugu", "Gujarati", "Georgian", "Armenian", "Ethiopic", "Khmer", "Myanmar"),
)
# Written beside each other in one language.
_JAPANESE = ("Hiragana", "Katakana")

_MARKUP = r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--|&(?:[A-Za-z]{2,8}|#\d{2,6});"
_REPLACED = "\ufffd"  # what decoders put where they could not read
_FRAME_WORDS = 6
_SHORTEST_NAME = 3


def texts_of(examples: Examples) -> list[pa.Array]:
    """The columns of texts: one, or two where rows are pairs."""
    return [examples.texts] if examples.text_pairs is None else [examples.texts, examples.text_pairs]


def in_any(examples: Examples, pattern: str) -> BoolArray:
    """Which rows have a match of an RE2 pattern in one of their texts, shape (n,)."""
    found = [pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False) for column in texts_of(examples)]
    return np.asarray(np.logical_or.reduce(found), dtype=np.bool_)


def words_of(examples: Examples) -> Int64Array:
    """Words of each row's texts together, separated by white space, shape (n,)."""
    return np.asarray(sum(pc.count_substring(column, " ").to_numpy() + 1 for column in texts_of(examples)), dtype=np.int64)


def with_markup(examples: Examples) -> BoolArray:
    """Which rows hold tags or character references of HTML or XML, shape (n,)."""
    return in_any(examples, _MARKUP)


def like_the_header(examples: Examples, columns: Mapping[str, str]) -> BoolArray:
    """Which rows hold names of columns instead of a text and a label, shape (n,).

    Args:
        examples: labelled rows.
        columns: role (text, label, ...) -> name of its column.
    """
    assert examples.labels is not None
    first_labels = pc.list_element(examples.labels, 0)
    own = _is_one_of(examples.texts, [columns.get("text", "")])
    usual = _is_one_of(examples.texts, TEXT_NAMES) & _is_one_of(first_labels, [*LABEL_NAMES, columns.get("label", "")])
    return own | usual


def _is_one_of(column: pa.Array, names: Collection[str]) -> BoolArray:
    lowered = pa.array([name.lower() for name in names], TEXT_TYPE)
    return np.asarray(pc.is_in(pc.utf8_lower(column), lowered).to_numpy(zero_copy_only=False), dtype=np.bool_)


def damaged(examples: Examples) -> BoolArray:
    """Which rows were decoded with a wrong encoding somewhere on their way, shape (n,).

    Source: the ftfy library's measure of how improbable sequences of characters are.
    """
    found = in_any(examples, _REPLACED)
    suspects = in_any(examples, r"[^\x00-\x7f]") & ~found
    for column in texts_of(examples):
        for row in np.flatnonzero(suspects).tolist():
            found[row] |= is_bad(column[row].as_py())
    return found


def scripts_of(examples: Examples) -> Int64Array:
    """The script of most letters of each row as a place in `SCRIPTS`, -1 where there is none, shape (n,)."""
    counts = np.stack(
        [
            sum(pc.count_substring_regex(column, rf"\p{{{script}}}").to_numpy() for column in texts_of(examples))
            for script in SCRIPTS
        ]
    )
    han = SCRIPTS.index("Han")
    japanese = counts[[SCRIPTS.index(script) for script in _JAPANESE]].sum(axis=0)
    counts[SCRIPTS.index("Hiragana")] += np.where(japanese > 0, counts[han], 0)  # a Japanese text has both
    counts[han] = np.where(japanese > 0, 0, counts[han])
    return np.where(counts.max(axis=0) > 0, counts.argmax(axis=0), -1)


def naming(examples: Examples, name: str) -> BoolArray:
    """Which rows hold a class name as a word of its own, in any case, shape (n,)."""
    if len(name) < _SHORTEST_NAME:
        return np.zeros(len(examples), dtype=np.bool_)
    spaced = re.sub(r"[\W_]+", r"[\\W_]+", name.strip())
    return in_any(examples, rf"(?i)\b{spaced}\b")


def framed(examples: Examples, least: int) -> list[tuple[str, BoolArray]]:
    """Beginnings and endings that many rows share though their texts differ: greetings, signatures, templates.

    Args:
        examples: the rows.
        least: rows that must share one.

    Returns:
        For the beginnings, and then for the endings that are found, where they stand and which rows have them,
        shape (n,).
    """
    found = []
    words = f"(?:[^ ]+ ){{{_FRAME_WORDS - 1}}}[^ ]+"
    for where, pattern in (("beginning", f"^(?P<frame>{words}) "), ("end", f" (?P<frame>{words})$")):
        frames = pc.struct_field(pc.extract_regex(examples.texts, pattern), "frame")
        counted = pc.value_counts(frames.drop_null())
        frequent = counted.field("values").filter(pc.greater_equal(counted.field("counts"), least))
        if len(frequent):
            rows = pc.is_in(frames, value_set=frequent).to_numpy(zero_copy_only=False)
            distinct = pc.count_distinct(examples.texts.filter(pa.array(rows))).as_py()
            if distinct >= least:  # else they are duplicates, which are told of elsewhere
                found.append((where, np.asarray(rows, dtype=np.bool_)))
    return found
