r"""The bytes of a text file as lines of UTF-8, whatever its encoding was.

A byte order mark decides, as in the WHATWG Encoding Standard; else the encoding that is named; else
UTF-8. Other encodings are rewritten in UTF-8 first, in which what could not be decoded stays
undecodable, so that readers meet one encoding and reject single rows. Lines end at \n, \r\n or \r
and nowhere else: U+2028, form feeds and the like belong to the text.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

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
_NUL_SAMPLE_BYTES = 4096
# How codecs of escapes, such as unicode_escape and utf-7, spell a newline: inside a text, where none belongs.
_ESCAPED_NEWLINES = (b"\\n", b"\\u000a", b"+AAo-")
_UNDECODED = "surefit.undecoded"


@dataclass(frozen=True, eq=False)
class TextLines:
    """A text file, line by line.

    Attributes:
        lines: UTF-8, each with the newline that ends it; bytes that do not decode mark what could
            not be decoded.
        encoding: what the file was read as, for messages.
        marked: whether a byte order mark said so.
    """

    lines: list[bytes]
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


def utf8_lines(content: bytes, encoding: str | None) -> TextLines:
    """Splits a file's bytes into lines of UTF-8.

    Args:
        content: the whole file.
        encoding: the encoding named by the user, overruled by a byte order mark.

    Raises:
        DataError: the file looks like UTF-16 or UTF-32 and nothing says so.
        UsageError: the encoding is unknown or no encoding of text.
    """
    for mark, marked in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return TextLines(_to_utf8(content[len(mark) :], marked).splitlines(keepends=True), marked, marked=True)
    if encoding is None:
        _refuse_unmarked_utf16(content)
    named = _codec_name("utf-8" if encoding is None else encoding)
    return TextLines(_to_utf8(content, named).splitlines(keepends=True), named)


def require_decodable(undecodable_lines: Sequence[int], records: int, encoding: str, advice: str) -> None:
    """Refuses a file of which more than 1% of the records could not be decoded.

    Args:
        undecodable_lines: the line of each such record.
        records: all records of the file.
        encoding: what the file was read as.
        advice: what to do.

    Raises:
        DataError: the encoding is the wrong one, or the file is damaged.
    """
    if len(undecodable_lines) > _UNDECODABLE_SHARE * records:
        raise DataError(
            f"{len(undecodable_lines):,} of {records:,} rows are not {encoding.upper()}, the first in line "
            f"{undecodable_lines[0]}; {advice}"
        )


def _another_encoding(encoding: str) -> str:
    """The advice to name another encoding than the one that failed."""
    example = "cp1252" if encoding != "cp1252" else "utf-8"
    return f"name the file's encoding, for instance --encoding {example}"


def _to_utf8(content: bytes, encoding: str) -> bytes:
    if encoding == "utf-8":
        return content
    try:
        text = content.decode(encoding, _UNDECODED)
    except UnicodeError:  # a codec that takes no error handler
        raise DataError(f"the file is not {encoding.upper()}; {_another_encoding(encoding)}") from None
    return text.encode("utf-8", "surrogatepass")


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


def _refuse_unmarked_utf16(content: bytes) -> None:
    """UTF-16 of Latin text has a NUL byte in each character; no other text has more than a few."""
    sample = content[:_NUL_SAMPLE_BYTES]
    nuls = sample.count(0)
    if nuls <= _NUL_SHARE * len(sample):
        return
    width = 32 if nuls > len(sample) / 2 else 16
    order = "le" if sample[0] else "be"
    raise DataError(
        f"the file is full of NUL bytes and has no byte order mark; if it is text, try --encoding utf-{width}-{order}"
    )
