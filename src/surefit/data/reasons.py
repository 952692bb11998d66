"""Why a record of a file is not used: the phrases that stand in `Rejected.reason`."""

from __future__ import annotations

from surefit.normalization import is_blank

EMPTY_TEXT = "empty text"
EMPTY_TEXT_PAIR = "empty second text"
MISSING_LABEL = "missing label"
MISSING_ID = "missing id"
MISSING_TIME = "missing time"
SEVERAL_LABELS = "several labels"

TOO_FEW_CELLS = "too few cells"
TOO_MANY_CELLS = "too many cells"
UNCLOSED_QUOTE = "unclosed quote"
UNDECODABLE_BYTES = "undecodable bytes"

NOT_JSON = "not JSON"
NOT_AN_OBJECT = "not an object"
DUPLICATE_KEY = "duplicate key"

NESTED_VALUE = "nested value"
NOT_FINITE = "number not finite"
UNKNOWN_KIND = "unknown kind of value"


def reason_against_texts(text: str | None, text_pair: str | None, *, pairs: bool) -> str:
    """Why the texts of a row cannot be used; empty where they can.

    Args:
        text: the text, None where it is missing.
        text_pair: the second text likewise.
        pairs: whether rows are pairs of texts.
    """
    if is_empty(text):
        return EMPTY_TEXT
    if pairs and is_empty(text_pair):
        return EMPTY_TEXT_PAIR
    return ""


def is_empty(text: str | None) -> bool:
    """Whether nothing of a text can be seen; its beginning mostly tells."""
    if not text:
        return True
    if "!" <= text[0] <= "~":  # a visible ASCII character, which normalisation never removes
        return False
    return is_blank(text[:64]) and is_blank(text)
