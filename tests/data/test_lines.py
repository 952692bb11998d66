"""Encodings of text files."""

import codecs
import dataclasses
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from surefit.data import lines
from surefit.data.lines import UndecodableRecords
from surefit.errors import DataError, UsageError

TEXT = "größe\r\n漢字\r😀\u2028x\n"
LINES = [line.encode() for line in ("größe\r\n", "漢字\r", "😀\u2028x\n")]


def utf8_lines(content, encoding):
    with lines.utf8_lines(io.BytesIO(content), encoding) as text:
        return dataclasses.replace(text, lines=list(text.lines))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_or_utf8_needs_no_flag(encoding):
    assert utf8_lines(TEXT.encode(encoding), None).lines == LINES


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-be", "gb18030"])
def test_other_encodings_are_named(encoding):
    assert utf8_lines(TEXT.encode(encoding), encoding).lines == LINES


def test_a_byte_order_mark_overrules_the_flag():
    assert utf8_lines("ä".encode("utf-8-sig"), "cp1252").lines == ["ä".encode()]


def test_what_does_not_decode_stays_undecodable_in_its_line():
    first, second, third = utf8_lines(b"a\n\x81b\nc", "cp1252").lines
    assert [first, third] == [b"a\n", b"c"]
    with pytest.raises(UnicodeDecodeError):
        second.decode()


@pytest.mark.parametrize(("encoding", "advice"), [("utf-16-le", "16-le"), ("utf-16-be", "16-be"), ("utf-32-le", "32-le")])
def test_unmarked_utf16_is_recognised(encoding, advice):
    with pytest.raises(DataError, match=f"try --encoding utf-{advice}"):
        utf8_lines("text,label\ngood,pos\n".encode(encoding), None)


@pytest.mark.parametrize(
    "encoding", ["utf-9", "hex", "rot13", "a\0b", "undefined", " ", "", "unicode_escape", "raw_unicode_escape", "utf-7"]
)
def test_unknown_encodings_are_refused(encoding):
    with pytest.raises(UsageError, match="--encoding"):
        utf8_lines(b"a", encoding)


def test_one_undecodable_row_in_a_hundred_is_borne_and_more_are_not():
    undecodable = UndecodableRecords()
    undecodable.add(7)
    undecodable.require_few(100, "utf-8", "do this")
    undecodable.add(9)
    with pytest.raises(DataError, match=r"^2 of 199 rows are not UTF-8, the first in line 7; do this$"):
        undecodable.require_few(199, "utf-8", "do this")


def test_the_advice_names_another_encoding_unless_a_byte_order_mark_overrules_it():
    assert "--encoding cp1252" in utf8_lines(b"a", None).advice
    assert "--encoding utf-8" in utf8_lines(b"a", "cp1252").advice
    for encoding in ("utf-8-sig", "utf-16"):
        assert utf8_lines("a".encode(encoding), "cp1252").advice.endswith("so the file is damaged; export it anew")


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-be", "utf-32", "gb18030", "euc_jp", "shift_jis", "iso2022_jp", "cp1252"]
)
@pytest.mark.parametrize("shift", range(4))
def test_long_files_are_decoded_piece_by_piece_as_they_would_be_at_once(encoding, shift):
    text = "x" * shift + ("été\r\n" if encoding == "cp1252" else "表示かな\r\n") * 60_000
    content = text.encode(encoding).removeprefix(codecs.BOM_UTF16 if encoding == "utf-16" else codecs.BOM_UTF32)
    assert utf8_lines(content, encoding).lines == text.encode().splitlines(keepends=True)


@given(
    st.binary(max_size=200), st.sampled_from(["cp1252", "gb18030", "shift_jis", "utf-16", "utf-16-be", "utf-32-le", "euc_kr"])
)
def test_any_bytes_are_decoded_as_they_would_be_at_once(content, encoding):
    assume(not content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)))
    expected = content.decode(encoding, "surefit.undecoded").encode("utf-8", "surrogatepass")
    assert utf8_lines(content, encoding).lines == expected.splitlines(keepends=True)
