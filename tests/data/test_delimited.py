"""CSV and TSV: the delimiter, the header, and which lines are records."""

import pytest

from surefit.config import ReadSettings
from surefit.data.delimited import find_dialect, read_delimited
from surefit.errors import DataError


def dialect(text, **settings):
    return find_dialect(text.encode().splitlines(keepends=True), ReadSettings(**settings)).delimiter


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_from_the_header(delimiter):
    assert dialect(f"text{delimiter}label\na, b; c | d{delimiter}x\n") == delimiter


def test_of_two_delimiters_in_the_header_the_one_that_rows_agree_on_is_taken():
    assert dialect("id,nr;text;label\n1;a, b, c;x\n2;d;y\n") == ";"


def test_delimiters_inside_quotes_do_not_count():
    assert dialect('"a;b;c","d"\n"e;f;g","h"\n') == ","


def test_without_a_header_most_rows_must_agree():
    assert dialect("one, two\nthree\nfour\n", header=False) == "\n"
    assert dialect("one, two\nthree,four\nfive\n", header=False) == ","


def test_a_named_delimiter_is_taken():
    assert dialect("a,b\n", delimiter="tab") == "\t"


def test_cells_that_look_like_nothing_stay_text():
    result = read_delimited(b"text,label\nnull,NA\n1.0,007\n", ReadSettings(), labelled=True)
    assert result.examples.texts.to_pylist() == ["null", "1.0"]
    assert result.examples.labels.to_pylist() == [["NA"], ["007"]]


def test_lines_and_records_are_counted_apart():
    content = b'\ntext,label\n\n"a\n\nb",x\n\nc,y\n'
    examples = read_delimited(content, ReadSettings(), labelled=True).examples
    assert examples.records.tolist() == [1, 2]
    assert examples.lines.tolist() == [4, 8]


def test_without_a_header_columns_are_numbered_and_the_first_line_is_a_row():
    result = read_delimited(b"x,a\ny,b\n", ReadSettings(header=False, text="2", label="1"), labelled=True)
    assert result.columns == ("1", "2")
    assert result.examples.texts.to_pylist() == ["a", "b"]


def test_the_usual_width_counts_where_the_first_row_is_broken():
    result = read_delimited(b"a\nb,x\nc,y\n", ReadSettings(header=False, text="1", label="2"), labelled=True)
    assert [(record.line, record.reason) for record in result.rejected] == [(1, "too few cells")]


def test_each_line_of_a_list_of_texts_gets_a_record():
    result = read_delimited(b"a, b\n\nc\n\n", ReadSettings(header=False), labelled=False)
    assert result.examples.texts.to_pylist() == ["a, b", "c"]
    assert [record.line for record in result.rejected] == [2, 4]


def test_nothing_but_broken_rows_is_an_error():
    with pytest.raises(DataError, match="none of the first lines"):
        read_delimited(b'"a"b\n"c"d\n', ReadSettings(header=False), labelled=True)
