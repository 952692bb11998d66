"""Text normalisation: the one rule that training data, prediction input and tokenizer share.

In this order:

1. characters that cannot be seen and carry no meaning are removed: control characters other than
   white space, zero-width spaces, soft hyphens, direction marks, byte order marks. The zero-width
   joiner and non-joiner (U+200D, U+200C) stay: emoji, Persian and Indic scripts need them;
2. the text is brought to Unicode normal form C (Unicode Standard Annex 15);
3. each run of white space becomes one space, and none stays at the ends.

The rule is idempotent. It stands here in Python for whole columns, and `surefit.text.tokenizer`
writes the same steps, from the same two patterns, into `tokenizer.json`, so that stock Hugging
Face tools treat raw text alike. A test holds the two together.
"""

from __future__ import annotations

import re
import unicodedata

# Regular-expression character classes made of the characters themselves, so that Python and the
# tokenizers library cannot read them differently.
_REMOVED = [
    *((0x00, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F)),  # control characters (category Cc)
    *((0xAD, 0xAD), (0x061C, 0x061C), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F)),  # soft hyphen, marks
    *((0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F), (0xFEFF, 0xFEFF)),  # directions, word joiner, BOM
    (0xFFF9, 0xFFFB),  # interlinear annotation
]
_WHITE_SPACE = [
    *((0x09, 0x0D), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680)),
    *((0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
]
_JOINERS = "\u200c\u200d"


def _character_class(ranges: list[tuple[int, int]]) -> str:
    return "[" + "".join(chr(first) if first == last else f"{chr(first)}-{chr(last)}" for first, last in ranges) + "]"


REMOVED_PATTERN = _character_class(_REMOVED)
WHITE_SPACE_PATTERN = _character_class(_WHITE_SPACE) + "+"

_removed = re.compile(REMOVED_PATTERN)
_white_space = re.compile(WHITE_SPACE_PATTERN)


def normalize_text(text: str) -> str:
    """Applies the rule above to one text."""
    if not text.isascii() or not text.isprintable():
        text = unicodedata.normalize("NFC", _removed.sub("", text))
        text = _white_space.sub(" ", text)
    elif "  " in text:
        text = _white_space.sub(" ", text)
    return text.strip(" ")


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: joiners stay in a text, but alone they show nothing."""
    return not normalize_text(text).strip(_JOINERS + " ")
