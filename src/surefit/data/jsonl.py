"""JSON Lines: one object a line, its keys the columns.

The file is parsed for its keys first and then for its rows, so that only the cells that matter are
kept. A key that an object lacks is a missing cell. An object with one key twice is
rejected, since readers differ on which value counts (RFC 8259, section 4), and so are NaN and
Infinity, which are no JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from surefit.config import ReadSettings
from surefit.data.columns import RoleCells, choose_columns
from surefit.data.lines import TextLines, UndecodableRecords
from surefit.data.reasons import DUPLICATE_KEY, NESTED_VALUE, NOT_AN_OBJECT, NOT_JSON, UNDECODABLE_BYTES
from surefit.data.source import NO_CELLS, RawRecord, RecordSource
from surefit.errors import DataError
from surefit.normalization import normalize_text


class _NotARecord(Exception):  # noqa: N818 - it marks a rejected record, it is not an error of the program
    """A line that is no record, with the reason."""


class JsonlRecords(RecordSource):
    """The records of a JSON Lines file."""

    def __init__(self, text: TextLines, settings: ReadSettings, *, labelled: bool) -> None:
        """Finds the columns.

        Args:
            text: the file.
            settings: columns.
            labelled: whether a label is needed.

        Raises:
            DataError: no line holds an object, or the columns cannot be used.
        """
        self._text = text
        keys = _keys(text)
        columns = tuple(_column_name(key) for key in keys)
        roles = choose_columns(columns, settings, labelled=labelled)
        self._wanted = roles.picker()(keys)
        super().__init__("jsonl", columns, roles, labelled=labelled)

    def records(self) -> Iterator[RawRecord]:
        records, undecodable = 0, UndecodableRecords()
        for number, line in _records(self._text):
            records += 1
            try:
                row = _parse(line)
            except _NotARecord as reason:
                if str(reason) == UNDECODABLE_BYTES:
                    undecodable.add(number)
                yield number, NO_CELLS, str(reason)
            else:
                yield self.typed_record(number, RoleCells(*map(row.get, self._wanted)))
        undecodable.require_few(records, self._text.encoding, self._text.advice)


def _records(text: TextLines) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    return ((number, line) for number, line in enumerate(text.lines, start=1) if not line.isspace())


def _keys(text: TextLines) -> list[str]:
    """All keys, in the order in which they appear first."""
    keys: dict[str, None] = {}
    reasons = set()
    for _, line in _records(text):
        try:
            keys.update(dict.fromkeys(_parse(line)))
        except _NotARecord as reason:
            reasons.add(str(reason))
    if keys:
        return list(keys)
    if UNDECODABLE_BYTES in reasons:
        raise DataError(f"the file is not {text.encoding.upper()}; {text.advice}")
    if not reasons:
        raise DataError("the file is empty")
    raise DataError("no line holds a JSON object with keys; JSON Lines has one object a line, not one array over all")


def _parse(line: bytes) -> dict[Any, Any]:
    try:
        value = _decoder.decode(line.decode())
    except UnicodeDecodeError:
        raise _NotARecord(UNDECODABLE_BYTES) from None
    except ValueError:
        raise _NotARecord(NOT_JSON) from None
    except RecursionError:
        raise _NotARecord(NESTED_VALUE) from None
    if not isinstance(value, dict):
        raise _NotARecord(NOT_AN_OBJECT)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _NotARecord(DUPLICATE_KEY)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Integers stay the digits that they are: their text is wanted, however long they are.
_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_constant=_refuse_constant)


def _column_name(key: str) -> str:
    """A key as a column name; half a surrogate pair, which no output can hold, becomes a question mark."""
    return normalize_text(key.encode("utf-8", "replace").decode())
