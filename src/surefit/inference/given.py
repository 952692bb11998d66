"""What callers in Python give to be classified: a text, a sequence of texts, or something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from surefit.data.frames import as_table
from surefit.data.reasons import reason_against_texts
from surefit.errors import UsageError

# Of rows in Python only: what a file or a table holds is read as text.
NOT_A_TEXT = "not a text"


def rows_of(texts: Any, columns: dict[str, str | None]) -> list[Any]:
    """One entry a row: of a text, a sequence or an Arrow array."""
    if columns:
        raise UsageError(f"{min(columns)}= names a column of a DataFrame, and no DataFrame was given")
    if isinstance(texts, str):
        return [texts]
    if _is_no_list(texts):
        raise UsageError(f"give a text, a list of texts or a pandas DataFrame, not {type(texts).__name__}")
    return texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)


def _is_no_list(texts: Any) -> bool:
    """Whether something is no sequence of texts; a set is none because its order is not defined."""
    if isinstance(texts, bytes | Mapping | set | frozenset) or hasattr(texts, "columns") or hasattr(texts, "column_names"):
        return True
    # A numpy array of no dimension has the methods of a sequence, but no rows.
    return not isinstance(texts, Iterable) or getattr(texts, "ndim", 1) == 0


def pairs_of(text_pairs: Any) -> list[Any] | None:
    if text_pairs is not None and as_table(text_pairs) is not None:
        raise UsageError(f"give the second texts of a list of texts as a list too, not as {type(text_pairs).__name__}")
    return None if text_pairs is None else rows_of(text_pairs, {})


def reason_against(text: Any, text_pair: Any, *, pairs: bool) -> str:
    """Why a row cannot be classified; empty where it can."""
    text, text_pair = (None if _is_missing(part) else part for part in (text, text_pair))
    if not all(part is None or _is_text(part) for part in (text, text_pair)):
        return NOT_A_TEXT
    return reason_against_texts(text, text_pair, pairs=pairs)


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # half of a surrogate pair: no tokenizer reads it
        return False


def _is_missing(value: object) -> bool:
    """None, NaN, and what pandas has for them, told by name so that pandas is not needed."""
    return value is None or (isinstance(value, Real) and value != value) or type(value).__name__ in ("NAType", "NaTType")
