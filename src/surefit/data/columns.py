"""Which column holds the text, the second text, the label and the id.

A flag names a column exactly (spaces around names do not count), else without regard to case where
that leaves one. Text and label are found by their usual names when no flag is given, but only if
exactly one column fits: a guess would train on the wrong thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from surefit.config import ReadSettings
from surefit.errors import DataError
from surefit.normalization import normalize_text

TEXT_NAMES = (
    *("text", "sentence", "review", "comment", "content", "message", "body", "utterance", "query", "question"),
    *("tweet", "sms", "post", "phrase", "document", "input", "review_text", "input_text"),
)
LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "intent", "topic", "emotion", "tag", "label_name")

_PAIR_NAME = "text_pair"

_FLAGS = {"text": "--text", "text_pair": "--text-pair", "label": "--label", "id": "--id"}
_SHOWN_NAMES = 20
_SHOWN_CHARACTERS = 30
_COMPARED_NAMES = 1000
_WORDS_OF_A_NAME = 4
_CHARACTERS_OF_A_NAME = 40

Cell = TypeVar("Cell")


class UnknownColumnError(DataError):
    """A flag names a column that is not there.

    Attributes:
        role: what the column was named for: text, text_pair, label or id.
    """

    def __init__(self, message: str, role: str) -> None:
        super().__init__(message)
        self.role = role


class RoleCells(NamedTuple, Generic[Cell]):
    """The cells of one record that matter; None where the cell is missing or nothing plays the role."""

    text: Cell | None
    text_pair: Cell | None
    label: Cell | None
    id: Cell | None


@dataclass(frozen=True)
class Roles:
    """The position of the column that plays each role, or None.

    Attributes:
        text: the text to classify.
        text_pair: the second text of a pair.
        label: the class name.
        id: what names the row in the outputs.
    """

    text: int
    text_pair: int | None
    label: int | None
    id: int | None

    @property
    def present(self) -> dict[str, int]:
        """Role -> position, for the roles that a column plays."""
        places = {"text": self.text, "text_pair": self.text_pair, "label": self.label, "id": self.id}
        return {role: place for role, place in places.items() if place is not None}

    def picker(self) -> Callable[[Sequence[Cell]], RoleCells[Cell]]:
        """A function from all cells of a record, in the order of the columns, to those that matter."""
        text, pair, label, id_ = self.text, self.text_pair, self.label, self.id

        def pick(cells: Sequence[Cell]) -> RoleCells[Cell]:
            return RoleCells(
                cells[text],
                None if pair is None else cells[pair],
                None if label is None else cells[label],
                None if id_ is None else cells[id_],
            )

        return pick


def choose_columns(columns: Sequence[str], settings: ReadSettings, *, labelled: bool) -> Roles:
    """Finds the column of each role.

    Args:
        columns: the names of all columns of the file, trimmed.
        settings: the flags; `settings.header` says whether the names come from the file.
        labelled: whether a label is needed. Where it is not, a label column that is absent or
            uncertain is no error.

    Raises:
        DataError: a flag names no column or two, no column is certain, or two roles meet in one.
    """
    named = {role: getattr(settings, role) for role in _FLAGS}
    if not labelled and named["label"] is not None and not _matches(columns, named["label"]):
        named["label"] = None
    found = {role: _named_column(columns, role, name) for role, name in named.items() if name is not None}
    taken = set(found.values())
    if named["text"] is None and named["text_pair"] is None and len(pairs := _candidates(columns, (_PAIR_NAME,), taken)) == 1:
        found["text_pair"] = pairs[0]
        taken.add(pairs[0])
    if "text" not in found:
        found["text"] = _text_column(columns, taken, settings, labelled=labelled)
    if "label" not in found:
        candidates = _candidates(columns, LABEL_NAMES, taken)
        if len(candidates) == 1:
            found["label"] = candidates[0]
        elif labelled:
            raise _uncertain(columns, "label", candidates, settings)
    _refuse_shared(columns, found)
    return Roles(found["text"], found.get("text_pair"), found.get("label"), found.get("id"))


def shown_names(columns: Sequence[str]) -> str:
    """The names for a message: on one line, each shortened, since a missing header shows data."""
    shown = ", ".join(shown_name(name) for name in columns[:_SHOWN_NAMES])
    return shown + (f" and {len(columns) - _SHOWN_NAMES:,} more" if len(columns) > _SHOWN_NAMES else "")


def shown_name(name: str) -> str:
    """One name for a message, quoted, printable and at most about 30 characters long."""
    plain = "".join(character if character.isprintable() else "?" for character in name)
    return '"' + (plain if len(plain) <= _SHOWN_CHARACTERS else plain[:_SHOWN_CHARACTERS] + "...") + '"'


def _matches(columns: Sequence[str], name: str) -> list[int]:
    wanted = normalize_text(name)
    exact = [place for place, column in enumerate(columns) if column == wanted]
    return exact or [place for place, column in enumerate(columns) if column.casefold() == wanted.casefold()]


def _named_column(columns: Sequence[str], role: str, name: str) -> int:
    places = _matches(columns, name)
    if len(places) == 1:
        return places[0]
    flag = f"{_FLAGS[role]} {shown_name(name)}"
    if places:
        raise DataError(f"{flag} fits {len(places)} columns ({shown_names(columns)}); column names must differ")
    lowered = {column.casefold(): column for column in columns[:_COMPARED_NAMES]}
    near = difflib.get_close_matches(normalize_text(name).casefold(), lowered, n=1)
    hint = f"; did you mean {shown_name(lowered[near[0]])}?" if near else ""
    raise UnknownColumnError(f"{flag} names no column{hint} (columns: {shown_names(columns)})", role)


def _text_column(columns: Sequence[str], taken: set[int], settings: ReadSettings, *, labelled: bool) -> int:
    if len(columns) == 1 and not settings.header and not labelled:
        return 0  # a plain list of texts
    candidates = _candidates(columns, TEXT_NAMES, taken)
    if len(candidates) != 1:
        raise _uncertain(columns, "text", candidates, settings)
    return candidates[0]


def _candidates(columns: Sequence[str], names: Sequence[str], taken: set[int]) -> list[int]:
    plain = [column.casefold().replace(" ", "_").replace("-", "_") for column in columns]
    return [place for place, name in enumerate(plain) if name in names and place not in taken]


def _uncertain(columns: Sequence[str], role: str, candidates: list[int], settings: ReadSettings) -> DataError:
    what = f"more than one column could be the {role}" if candidates else f"no column is certain to be the {role}"
    return DataError(f"{what} (columns: {shown_names(columns)}); name it with {_FLAGS[role]}{_hint(columns, settings)}")


def _hint(columns: Sequence[str], settings: ReadSettings) -> str:
    """What else may be wrong where no column fits."""
    if settings.header and _look_like_data(columns):
        return "; if the first line is data, add --no-header"
    if len(columns) == 1 and any(character in columns[0] for character in ",;|"):
        return "; if it is several columns, name the character between them with --delimiter"
    return ""


def _look_like_data(columns: Sequence[str]) -> bool:
    def is_data(name: str) -> bool:
        number = name.replace(".", "", 1).removeprefix("-").isdecimal()
        return number or len(name) > _CHARACTERS_OF_A_NAME or len(name.split()) > _WORDS_OF_A_NAME

    return any(is_data(name) for name in columns)


def _refuse_shared(columns: Sequence[str], found: dict[str, int]) -> None:
    flags: dict[int, str] = {}
    for role, place in found.items():
        if place in flags:
            raise DataError(f"{flags[place]} and {_FLAGS[role]} are the same column, {shown_name(columns[place])}")
        flags[place] = _FLAGS[role]
