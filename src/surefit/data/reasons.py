"""Why a record of a file is not used: the phrases that stand in `Rejected.reason`."""

from __future__ import annotations

EMPTY_TEXT = "empty text"
EMPTY_TEXT_PAIR = "empty second text"
MISSING_LABEL = "missing label"
MISSING_ID = "missing id"
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
