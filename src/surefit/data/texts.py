"""One text a line, as standard input gives them: nothing is quoted, and each line is a record, blank ones too."""

from __future__ import annotations

from collections.abc import Iterator

from surefit.data.columns import RoleCells, Roles
from surefit.data.lines import TextLines, UndecodableRecords
from surefit.data.source import RawRecord, RecordSource

# Of lines and of rows in Python only: what a file or a table holds is read as text.
NOT_A_TEXT = "not a text"

_NEWLINES = "\r\n"


class TextRecords(RecordSource):
    """Lines as texts; one that does not decode keeps its place as what is no text."""

    may_be_empty = True

    def __init__(self, text: TextLines, advice: str) -> None:
        """Reads nothing yet.

        Args:
            text: the lines.
            advice: what to do where too many do not decode, unless the text itself knows.
        """
        self._text = text
        self._advice = text.damage or advice
        super().__init__("lines", ("text",), Roles(text=0, text_pair=None, label=None, id=None), labelled=False)

    def records(self) -> Iterator[RawRecord]:
        undecodable = UndecodableRecords()
        for number, line in enumerate(self._text.lines, start=1):
            try:
                text, reason = line.decode(), ""
            except UnicodeDecodeError:
                # One question mark a byte, as where such a text is an argument.
                text, reason = line.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode(), NOT_A_TEXT
                undecodable.add(number)
            yield number, RoleCells(text.rstrip(_NEWLINES), None, None, None), reason
        undecodable.require_few(len(self._text.lines), self._text.encoding, self._advice)
