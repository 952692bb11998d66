"""What may be wrong with single texts: markup, damage, another script, boilerplate, a label that is given away.

Each check says which rows it is about; whether that matters is decided in `surefit.data.text_findings`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ftfy.badness import is_bad

from surefit.data.clean import BoolArray
from surefit.data.columns import LABEL_NAMES, TEXT_NAMES
from surefit.data.near_duplicates import UNSPACED
from surefit.types import TEXT_TYPE, Examples, Int64Array

SCRIPTS = (
    *("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Han", "Hiragana", "Katakana", "Hangul", "Thai"),
    *("Devanagari", "Bengali", "Tamil", "Telugu", "Gujarati", "Georgian", "Armenian", "Ethiopic", "Khmer", "Myanmar"),
)
# Written beside each other in one language.
_JAPANESE = ("Hiragana", "Katakana")

# HTML and XML; BBCode; links, emphasis and headings of Markdown.
_MARKUP = (
    r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--|&(?:[A-Za-z]{2,8}|#\d{2,6});"
    r"|(?i:\[/(?:b|i|u|s|url|img|quote|code|size|color|list)\])"
    r"|\[[^\[\]]+\]\((?:https?://|/)[^\s()]*\)|(?:^| )\*\*[^\s*][^*]*\*\*|^#{1,6} |```"
)
# What decoders put where they could not read, and characters of Windows that were read as Latin-1.
_REPLACED = r"[\x{fffd}\x{80}-\x{9f}]"
# Russian, Chinese and others that were read as Latin-1: no language sets so many accented letters in a row.
_ACCENTED = re.compile("(?:([\u00c0-\u00ff])(?!\\1)){5}")
# Words of a beginning or an end: short ones are shared by chance, so many more rows must have them.
_FRAME_WORDS = 6
_SHORT_FRAME_WORDS = 3
_SHORT_FRAME_SHARE = 0.2
# A class name stands for itself, as a tag, or as one word of a hashtag.
_NO_NAME = r"[^\p{L}\p{N}\p{M}]"


def texts_of(examples: Examples) -> list[pa.Array]:
    """The columns of texts: one, or two where rows are pairs."""
    return [examples.texts] if examples.text_pairs is None else [examples.texts, examples.text_pairs]


def in_any(examples: Examples, pattern: str) -> BoolArray:
    """Which rows have a match of an RE2 pattern in one of their texts, shape (n,)."""
    found = [pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False) for column in texts_of(examples)]
    return np.asarray(np.logical_or.reduce(found), dtype=np.bool_)


def words_of(examples: Examples) -> Int64Array:
    """Words of each row's texts together, shape (n,): those between white space, or characters where no spaces are set."""
    counts = [
        np.maximum(pc.count_substring(column, " ").to_numpy() + 1, pc.count_substring_regex(column, UNSPACED).to_numpy())
        for column in texts_of(examples)
    ]
    return np.asarray(sum(counts), dtype=np.int64)


def with_markup(examples: Examples) -> BoolArray:
    """Which rows hold tags or character references of HTML or XML, BBCode or Markdown, shape (n,)."""
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

    Args:
        examples: rows as they stand in the file, since cleaning takes away the control characters that damage leaves.
    """
    found = in_any(examples, _REPLACED)
    suspects = in_any(examples, r"[^\x00-\x7f]") & ~found
    for column in texts_of(examples):
        for row in np.flatnonzero(suspects).tolist():
            text = column[row].as_py()
            found[row] |= is_bad(text) or _ACCENTED.search(text) is not None
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
    """Which rows hold a class name as a word of its own, or its words as one, in any case and script, shape (n,)."""
    spaced = "".join(letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " " for letter in name)
    if not spaced.strip():
        return np.zeros(len(examples), dtype=np.bool_)
    pattern = f"{_NO_NAME}*".join(map(re.escape, spaced.split()))
    if not pc.match_substring_regex(pa.scalar(name), UNSPACED).as_py():  # else what stands beside it is no other word's end
        pattern = f"(?:^|{_NO_NAME}){pattern}(?:{_NO_NAME}|$)"
    return in_any(examples, f"(?i){pattern}")


def framed(examples: Examples, least: int) -> list[tuple[str, BoolArray]]:
    """Beginnings and endings that many rows share though their texts differ: greetings, signatures, templates.

    Args:
        examples: the rows.
        least: rows that must share one of six words; of three words, a fifth of all rows must.

    Returns:
        For the beginnings, and then for the endings that are found, where they stand and which rows have them,
        shape (n,).
    """
    found = []
    short = max(least, round(_SHORT_FRAME_SHARE * len(examples)))
    for where, pattern in (("beginning", "^(?P<frame>{}) "), ("end", " (?P<frame>{})$")):
        rows = np.zeros(len(examples), dtype=np.bool_)
        for words, enough in ((_FRAME_WORDS, least), (_SHORT_FRAME_WORDS, short)):
            rows |= _sharing(examples, pattern.format(f"(?:[^ ]+ ){{{words - 1}}}[^ ]+"), enough)
        if rows.any():
            found.append((where, rows))
    return found


def _sharing(examples: Examples, pattern: str, least: int) -> BoolArray:
    """Which rows have a frame, as the pattern names it, that so many rows with different texts have, shape (n,)."""
    frames = pc.struct_field(pc.extract_regex(examples.texts, pattern), "frame")
    counted = pc.value_counts(frames.drop_null())
    frequent = counted.field("values").filter(pc.greater_equal(counted.field("counts"), least))
    rows = pc.is_in(frames, value_set=frequent).to_numpy(zero_copy_only=False)
    # Else they are duplicates, which are told of elsewhere.
    several = pc.count_distinct(examples.texts.filter(pa.array(rows))).as_py() >= least
    return np.asarray(rows & several, dtype=np.bool_)
