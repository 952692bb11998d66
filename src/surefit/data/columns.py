"""Which column holds the text, the second text, the label and the id.

A flag names a column exactly (spaces around names do not count), else without regard to case where
that leaves one. Text and label are found by their usual names when no flag is given, but only if
exactly one column fits: a guess would train on the wrong thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
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
_NEAR = 0.8  # so alike are "lable" and "label"

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


def choose_columns(columns: Sequence[str], settings: ReadSettings, *, labelled: bool, from_first_line: bool = False) -> Roles:
    """Finds the column of each role.

    Args:
        columns: the names of all columns of the file, trimmed.
        settings: the flags; `settings.header` says whether the names come from the file.
        labelled: whether a label is needed. Where it is not, a label column that is absent or
            uncertain is no error.
        from_first_line: whether the names are the first line of the file, which may be data after all.

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
        candidates = _candidates(columns, TEXT_NAMES, taken)
        if len(columns) == 1 and not settings.header and not labelled:
            candidates = [0]  # a plain list of texts
        if len(candidates) != 1:
            raise _uncertain(columns, "text", TEXT_NAMES, found, from_first_line=from_first_line)
        found["text"] = candidates[0]
    if "label" not in found:
        candidates = _candidates(columns, LABEL_NAMES, taken)
        if len(candidates) == 1:
            found["label"] = candidates[0]
        elif labelled:
            raise _uncertain(columns, "label", LABEL_NAMES, found, from_first_line=from_first_line)
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


def _candidates(columns: Sequence[str], names: Sequence[str], taken: Collection[int]) -> list[int]:
    return [place for place, column in enumerate(columns) if _plain(column) in names and place not in taken]


def _plain(column: str) -> str:
    return column.casefold().replace(" ", "_").replace("-", "_")


def _uncertain(
    columns: Sequence[str], role: str, names: Sequence[str], found: Mapping[str, int], *, from_first_line: bool
) -> DataError:
    """What to say where not exactly one column fits a role; `found` are the columns of other roles."""
    flag, shown = _FLAGS[role], f"(columns: {shown_names(columns)})"
    if _candidates(columns, names, found.values()):
        return DataError(f"more than one column could be the {role} {shown}; name it with {flag}")
    nothing = f"no column is certain to be the {role} {shown}"
    for other, place in found.items():
        if _candidates([columns[place]], names, ()):
            return DataError(f"{nothing}, since {_FLAGS[other]} takes {shown_name(columns[place])}; name another with {flag}")
    free = [column for place, column in enumerate(columns[:_COMPARED_NAMES]) if place not in found.values()]
    near = [column for column in free if difflib.get_close_matches(_plain(column), names, n=1, cutoff=_NEAR)]
    hints = [f"perhaps {flag} {shown_name(near[0])}" if near else f"name it with {flag}"]
    if len(columns) == 1 and any(character in columns[0] for character in ",;|"):
        hints.append("if it is several columns, name the character between them with --delimiter")
    if from_first_line:  # a word of a text may look like a name too
        hints.append("if the first line is data, add --no-header")
    return DataError("; ".join([nothing, *hints]))


def _refuse_shared(columns: Sequence[str], found: dict[str, int]) -> None:
    flags: dict[int, str] = {}
    for role, place in found.items():
        if place in flags:
            raise DataError(f"{flags[place]} and {_FLAGS[role]} are the same column, {shown_name(columns[place])}")
        flags[place] = _FLAGS[role]
