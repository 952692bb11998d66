"""One text a line, through a pipe."""

import io

import pytest

from surefit.data.passes import check, read_all, windows
from surefit.data.read import open_texts
from surefit.errors import DataError


def read(content):
    with open_texts(io.BytesIO(content), "standard input", "do this") as source:
        assert check(source) == sum(part.records for part in windows(source, 2))
        return read_all(source)


def test_nothing_is_quoted_and_blank_lines_keep_their_place():
    result = read(b'"good\r\n\r a, b \n')
    assert result.examples.texts.to_pylist() == ['"good', " a, b "]
    assert result.examples.ids.to_pylist() == ["1", "3"]
    assert [(record.line, record.id, record.reason) for record in result.rejected] == [(2, "2", "empty text")]


def test_no_line_is_no_error():
    assert read(b"").records == 0


def test_a_line_that_does_not_decode_shows_a_question_mark_for_each_byte():
    result = read(b"good\n" * 150 + b"caf\xe9\xff\n")
    assert [(record.record, record.reason) for record in result.rejected] == [(151, "not a text")]
    assert result.rejected_cells[0].text == "caf??"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\ncaf\xe9\n", "standard input: 1 of 2 rows are not UTF-8, the first in line 2; do this"),
        ("good\n".encode("utf-16-le"), "standard input is not UTF-8; do this"),
        ("good\n".encode("utf-16") + b"x", "standard input: 1 of 2 rows are not UTF-16-LE, .* the file is damaged"),
    ],
)
def test_what_is_wrong_is_said_with_its_name(content, message):
    with pytest.raises(DataError, match=f"^{message}"):
        read(content)
