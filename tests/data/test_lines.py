"""Encodings of text files."""

import pytest

from surefit.data.lines import require_decodable, utf8_lines
from surefit.errors import DataError, UsageError

TEXT = "größe\r\n漢字\r😀\u2028x\n"
LINES = [line.encode() for line in ("größe\r\n", "漢字\r", "😀\u2028x\n")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_or_utf8_needs_no_flag(encoding):
    assert utf8_lines(TEXT.encode(encoding), None).lines == LINES


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-be", "gb18030"])
def test_other_encodings_are_named(encoding):
    assert utf8_lines(TEXT.encode(encoding), encoding).lines == LINES


def test_a_byte_order_mark_overrules_the_flag():
    assert utf8_lines("ä".encode("utf-8-sig"), "cp1252").lines == ["ä".encode()]


def test_what_does_not_decode_stays_undecodable_in_its_line():
    lines = utf8_lines(b"a\n\x81b\nc", "cp1252").lines
    assert [lines[0], lines[2]] == [b"a\n", b"c"]
    with pytest.raises(UnicodeDecodeError):
        lines[1].decode()


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
    require_decodable([7], 100, "utf-8", "do this")
    with pytest.raises(DataError, match=r"^2 of 199 rows are not UTF-8, the first in line 7; do this$"):
        require_decodable([7, 9], 199, "utf-8", "do this")


def test_the_advice_names_another_encoding_unless_a_byte_order_mark_overrules_it():
    assert "--encoding cp1252" in utf8_lines(b"a", None).advice
    assert "--encoding utf-8" in utf8_lines(b"a", "cp1252").advice
    for encoding in ("utf-8-sig", "utf-16"):
        assert utf8_lines("a".encode(encoding), "cp1252").advice.endswith("so the file is damaged; export it anew")
