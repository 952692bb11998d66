r"""The bytes of a text file as lines of UTF-8, whatever its encoding was.

A byte order mark decides, as in the WHATWG Encoding Standard; else the encoding that is named; else
UTF-8. Other encodings are rewritten in UTF-8 first, in a temporary file without a name, in which
what could not be decoded stays undecodable, so that readers meet one encoding and reject single
rows. Lines end at \n, \r\n or \r and nowhere else: U+2028, form feeds and the like belong to the
text.
"""

from __future__ import annotations

import codecs
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

from surefit.data.file_lines import FileLines, read_bytes
from surefit.errors import DataError, UsageError

# The mark of UTF-32 LE starts with that of UTF-16 LE, so it comes first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNDECODABLE_SHARE = 0.01
_NUL_SHARE = 0.1
_HEAD_BYTES = 4096
_PIECE_BYTES = 2**18
# Without a mark these mean the machine's own order; decoding piece by piece wants to be told.
_BYTE_ORDERS = {name: f"{name}-{'le' if sys.byteorder == 'little' else 'be'}" for name in ("utf-16", "utf-32")}
# How codecs of escapes, such as unicode_escape and utf-7, spell a newline: inside a text, where none belongs.
_ESCAPED_NEWLINES = (b"\\n", b"\\u000a", b"+AAo-")
_UNDECODED = "surefit.undecoded"


@dataclass(frozen=True, eq=False)
class TextLines:
    """A text file, line by line.

    Attributes:
        lines: UTF-8, each with the newline that ends it; bytes that do not decode mark what could
            not be decoded. They can be read for as long as the file is open.
        encoding: what the file was read as, for messages.
        marked: whether a byte order mark said so.
    """

    lines: Sequence[bytes]
    encoding: str
    marked: bool = False

    @property
    def damage(self) -> str:
        """What to do where lines do not decode and no flag can help, else empty."""
        return "the byte order mark names that encoding, so the file is damaged; export it anew" if self.marked else ""

    @property
    def advice(self) -> str:
        """What to do where lines do not decode."""
        return self.damage or _another_encoding(self.encoding)


@contextmanager
def utf8_lines(file: BinaryIO, encoding: str | None) -> Iterator[TextLines]:
    """Opens the lines of a text file as UTF-8.

    Args:
        file: open for bytes.
        encoding: the encoding named by the user, overruled by a byte order mark.

    Raises:
        DataError: the file looks like UTF-16 or UTF-32 and nothing says so, or cannot be read.
        UsageError: the encoding is unknown or no encoding of text.
    """
    file.seek(0)
    head = read_bytes(file, _HEAD_BYTES)
    mark, name = next(((mark, name) for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), (b"", ""))
    if not mark:
        if encoding is None:
            _refuse_unmarked_utf16(head)
        name = _codec_name("utf-8" if encoding is None else encoding)
    if name == "utf-8":
        yield TextLines(FileLines(file, len(mark)), name, marked=bool(mark))
        return
    with tempfile.TemporaryFile() as rewritten:
        file.seek(len(mark))
        _rewrite(file, name, rewritten)
        yield TextLines(FileLines(rewritten), name, marked=bool(mark))


class UndecodableRecords:
    """Counts the records of a file that could not be decoded."""

    def __init__(self) -> None:
        self._count = 0
        self._first_line = 0

    def add(self, line: int) -> None:
        """Takes one such record, by the line where it starts."""
        self._count += 1
        self._first_line = self._first_line or line

    def require_few(self, records: int, encoding: str, advice: str) -> None:
        """Refuses a file of which more than 1% of the records could not be decoded.

        Args:
            records: all records of the file.
            encoding: what the file was read as.
            advice: what to do.

        Raises:
            DataError: the encoding is the wrong one, or the file is damaged.
        """
        if self._count > _UNDECODABLE_SHARE * records:
            raise DataError(
                f"{self._count:,} of {records:,} rows are not {encoding.upper()}, the first in line "
                f"{self._first_line}; {advice}"
            )


def _another_encoding(encoding: str) -> str:
    """The advice to name another encoding than the one that failed."""
    example = "cp1252" if encoding != "cp1252" else "utf-8"
    return f"name the file's encoding, for instance --encoding {example}"


def _rewrite(file: BinaryIO, encoding: str, rewritten: IO[bytes]) -> None:
    """Writes what is left of a file in UTF-8, piece by piece."""
    decoder = codecs.getincrementaldecoder(_BYTE_ORDERS.get(encoding, encoding))(_UNDECODED)
    try:
        while piece := read_bytes(file, _PIECE_BYTES):
            rewritten.write(decoder.decode(piece).encode("utf-8", "surrogatepass"))
        rewritten.write(decoder.decode(b"", final=True).encode("utf-8", "surrogatepass"))
    except UnicodeError:  # a codec that takes no error handler
        raise DataError(f"the file is not {encoding.upper()}; {_another_encoding(encoding)}") from None


def _mark_undecoded(error: UnicodeError) -> tuple[str, int]:
    """Error handler: half a surrogate pair stands for what did not decode, and UTF-8 refuses it later."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(_UNDECODED, _mark_undecoded)


def _codec_name(encoding: str) -> str:
    try:
        b"a".decode(encoding, "ignore")  # a lookup alone would let hex and other codecs pass
        name = codecs.lookup(encoding).name
        if any("\n" in escape.decode(encoding, "ignore") for escape in _ESCAPED_NEWLINES):
            raise LookupError(encoding)
    except (LookupError, ValueError):
        raise UsageError(f"--encoding {encoding!r} is no text encoding; usual ones are utf-8, cp1252, utf-16-le") from None
    return "utf-8" if name == "utf-8-sig" else name


def _refuse_unmarked_utf16(head: bytes) -> None:
    """UTF-16 of Latin text has a NUL byte in each character; no other text has more than a few."""
    nuls = head.count(0)
    if nuls <= _NUL_SHARE * len(head):
        return
    width = 32 if nuls > len(head) / 2 else 16
    order = "le" if head[0] else "be"
    raise DataError(
        f"the file is full of NUL bytes and has no byte order mark; if it is text, try --encoding utf-{width}-{order}"
    )
