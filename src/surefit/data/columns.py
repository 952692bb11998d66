"""Which column holds the text, the second text, the label, the id, the group and the time.

A flag names a column exactly (spaces around names do not count), else without regard to case where
that leaves one. Where no flag is given, the column of the same name as in the training data comes
first, where those are known. Else text and label are found by their usual names, but only if exactly
one column fits: a guess would train on the wrong thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Generic, NamedTuple, TypeVar

from surefit.config import ReadSettings
from surefit.errors import DataError
from surefit.normalization import normalize_text

TEXT_NAMES = (
    *("text", "sentence", "review", "comment", "content", "message", "body", "utterance", "query", "question"),
    *("tweet", "sms", "post", "phrase", "document", "input", "review_text", "input_text"),
)
LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "intent", "topic", "emotion", "tag", "label_name")

# In the order in which they are looked for.
_USUAL_NAMES: Mapping[str, Sequence[str]] = {"text_pair": ("text_pair",), "text": TEXT_NAMES, "label": LABEL_NAMES}

_FLAGS = {role: f"--{role.replace('_', '-')}" for role in ("text", "text_pair", "label", "id", "group", "time")}
_WORDS = {role: role for role in _FLAGS} | {"text_pair": "second text"}
# What only the split of the training data needs.
_OF_SPLIT = ("group", "time")
_SHOWN_NAMES = 20
_SHOWN_CHARACTERS = 30
_COMPARED_NAMES = 1000
_NEAR = 0.8  # so alike are "lable" and "label"

Cell = TypeVar("Cell")


class NoLabelColumnError(DataError):
    """A file has no column, or more than one, that is likely to be the label, and none was named."""


@dataclass(frozen=True)
class AsTrained(ReadSettings):
    """Settings for a file that goes with training data.

    Attributes:
        trained: role (text, text_pair, label, id) -> column of the training data; empty where that
            is not known.
        given_beside: whether the file is given beside the training data, for validation or test. It
            needs a column for each of their roles, and a flag holds for both.
    """

    trained: Mapping[str, str] = field(default_factory=dict)
    given_beside: bool = False

    @classmethod
    def of(cls, settings: ReadSettings, trained: Mapping[str, str], *, given_beside: bool = False) -> AsTrained:
        """The same settings, with the columns of the training data."""
        return cls(**asdict(settings), trained=trained, given_beside=given_beside)


class RoleCells(NamedTuple, Generic[Cell]):
    """The cells of one record that matter; None where the cell is missing or nothing plays the role."""

    text: Cell | None
    text_pair: Cell | None
    label: Cell | None
    id: Cell | None
    group: Cell | None = None
    time: Cell | None = None


@dataclass(frozen=True)
class Roles:
    """The position of the column that plays each role, or None.

    Attributes:
        text: the text to classify.
        text_pair: the second text of a pair.
        label: the class name.
        id: what names the row in the outputs.
        group: rows of the same value belong together.
        time: when the row came to be.
    """

    text: int
    text_pair: int | None
    label: int | None
    id: int | None
    group: int | None = None
    time: int | None = None

    @property
    def present(self) -> dict[str, int]:
        """Role -> position, for the roles that a column plays."""
        return {role: place for role, place in asdict(self).items() if place is not None}

    def picker(self) -> Callable[[Sequence[Cell]], RoleCells[Cell]]:
        """A function from all cells of a record, in the order of the columns, to those that matter."""
        text, pair, label, id_, group, time = self.text, self.text_pair, self.label, self.id, self.group, self.time

        def pick(cells: Sequence[Cell]) -> RoleCells[Cell]:
            return RoleCells(
                cells[text],
                None if pair is None else cells[pair],
                None if label is None else cells[label],
                None if id_ is None else cells[id_],
                None if group is None else cells[group],
                None if time is None else cells[time],
            )

        return pick


def choose_columns(columns: Sequence[str], settings: ReadSettings, *, labelled: bool, from_first_line: bool = False) -> Roles:
    """Finds the column of each role.

    Args:
        columns: the names of all columns of the file, trimmed.
        settings: the flags, and the training data's columns where they are known; `settings.header`
            says whether the names come from the file.
        labelled: whether a label is needed. Where it is not, a label column that is absent or
            uncertain is no error.
        from_first_line: whether the names are the first line of the file, which may be data after all.

    Raises:
        NoLabelColumnError: the text is certain, and the label, which no flag names, is not.
        DataError: a flag names no column or two, no column is certain, or two roles meet in one.
    """
    known = settings if isinstance(settings, AsTrained) else AsTrained.of(settings, {})
    asked = {role: _matches(columns, name) for role in _FLAGS if (name := getattr(settings, role)) is not None}
    for role in (*(() if labelled else ("label",)), *(_OF_SPLIT if known.given_beside else ())):
        if asked.get(role) == []:
            del asked[role]
    found = {role: places[0] for role, places in asked.items() if len(places) == 1}
    _add_trained(columns, known, found, labelled=labelled)
    _add_usual(columns, known, found, labelled=labelled)
    for role, places in asked.items():
        if len(places) != 1:
            raise _unfit(columns, role, places, found, known)
    needed = {"text": True, "text_pair": known.given_beside and "text_pair" in known.trained, "label": labelled}
    for role in needed:
        if needed[role] and role not in found:
            error = NoLabelColumnError if role == "label" else DataError
            raise error(_uncertain(columns, role, found, known, from_first_line=from_first_line))
    _refuse_shared(columns, found)
    text = found.pop("text")
    others = {role: found.get(role) for role in ("text_pair", "label", "id", "group", "time")}
    return Roles(text, **others)


def usual_second_text(columns: Sequence[str]) -> str | None:
    """The column that is read as the second text where nothing else is known, if there is one."""
    places = _candidates(columns, _USUAL_NAMES["text_pair"], ())
    return columns[places[0]] if len(places) == 1 else None


def _add_trained(columns: Sequence[str], settings: AsTrained, found: dict[str, int], *, labelled: bool) -> None:
    """Adds the columns of the training data that no role has yet."""
    for role in ("text", "text_pair", "label") if labelled else ("text", "text_pair"):
        # Who names the text names the second text too.
        named = getattr(settings, role) is not None or (role == "text_pair" and settings.text is not None)
        if role in settings.trained and not named:
            free = [place for place in _matches(columns, settings.trained[role]) if place not in found.values()]
            if len(free) == 1:
                found[role] = free[0]


def _add_usual(columns: Sequence[str], settings: AsTrained, found: dict[str, int], *, labelled: bool) -> None:
    """Adds the columns that their names make certain; a second text only where training may have had one."""
    for role, names in _USUAL_NAMES.items():
        candidates = _candidates(columns, names, found.values())
        if role == "text_pair" and (settings.text is not None or (settings.trained and role not in settings.trained)):
            continue
        if role == "text" and len(columns) == 1 and not settings.header and not labelled:
            candidates = [0]  # a plain list of texts
        if role not in found and len(candidates) == 1:
            found[role] = candidates[0]


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


def _unfit(
    columns: Sequence[str], role: str, places: Sequence[int], found: Mapping[str, int], settings: AsTrained
) -> DataError:
    """What to say of a flag that names no column, or several; `found` are the columns of all roles."""
    name = getattr(settings, role)
    flag, shown = f"{_FLAGS[role]} {shown_name(name)}", f"(columns: {shown_names(columns)})"
    if places:
        return DataError(f"{flag} fits {len(places)} columns ({shown_names(columns)}); column names must differ")
    problem = f"{flag} names no column {shown}"
    if settings.given_beside:
        return DataError(f"{problem}; {_renaming(role, settings)}")
    taken = {place for other, place in found.items() if other != role}
    free = {column.casefold(): column for place, column in enumerate(columns[:_COMPARED_NAMES]) if place not in taken}
    near = difflib.get_close_matches(normalize_text(name).casefold(), free, n=1)
    return DataError(f"{problem}; did you mean {shown_name(free[near[0]])}?" if near else problem)


def _renaming(role: str, settings: AsTrained) -> str:
    """What to do with a file that is given beside the training data, since a flag would hold for both."""
    return f"rename the column to {shown_name(settings.trained[role])}, as in the training data"


def _candidates(columns: Sequence[str], names: Sequence[str], taken: Collection[int]) -> list[int]:
    return [place for place, column in enumerate(columns) if _plain(column) in names and place not in taken]


def _plain(column: str) -> str:
    return column.casefold().replace(" ", "_").replace("-", "_")


def _uncertain(
    columns: Sequence[str], role: str, found: Mapping[str, int], settings: AsTrained, *, from_first_line: bool
) -> str:
    """What to say where not exactly one column fits a role; `found` are the columns of other roles."""
    flag, names, shown = _FLAGS[role], _USUAL_NAMES[role], f"(columns: {shown_names(columns)})"
    several = bool(_candidates(columns, names, found.values()))
    problem = f"{'more than one column could' if several else 'no column is certain to'} be the {_WORDS[role]} {shown}"
    if settings.given_beside:
        return f"{problem}; {_renaming(role, settings)}"
    if several:
        same = len({columns[place] for place in _candidates(columns, names, found.values())}) == 1
        return f"{problem}; {'column names must differ: rename all but one' if same else f'name it with {flag}'}"
    for other, place in found.items():
        if _candidates([columns[place]], names, ()):
            return f"{problem}, since {shown_name(columns[place])} is the {_WORDS[other]}; name another with {flag}"
    free = [column for place, column in enumerate(columns[:_COMPARED_NAMES]) if place not in found.values()]
    near = [column for column in free if difflib.get_close_matches(_plain(column), names, n=1, cutoff=_NEAR)]
    hints = [f"perhaps {flag} {shown_name(near[0])}" if near else f"name it with {flag}"]
    if len(columns) == 1 and any(character in columns[0] for character in ",;|"):
        hints.append("if it is several columns, name the character between them with --delimiter")
    if from_first_line:  # a word of a text may look like a name too
        hints.append("if the first line is data, add --no-header")
    return "; ".join([problem, *hints])


def _refuse_shared(columns: Sequence[str], found: dict[str, int]) -> None:
    flags: dict[int, str] = {}
    for role, place in found.items():
        if place in flags:
            raise DataError(f"{flags[place]} and {_FLAGS[role]} are the same column, {shown_name(columns[place])}")
        flags[place] = _FLAGS[role]
