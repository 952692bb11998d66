"""Texts that may stand on a terminal or a page."""

from __future__ import annotations

import re

# Control characters other than tab and newline, which could move the cursor or recolour the
# terminal, and marks of writing direction, which could show a line in another order.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A text that changes nothing around it: no control characters, no marks of writing direction."""
    return _UNPRINTABLE.sub("\ufffd", text)
