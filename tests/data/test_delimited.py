"""CSV and TSV: the delimiter, the header, and which lines are records."""

from functools import partial

import pytest
from file_builders import read_content

from surefit.config import ReadSettings
from surefit.data.delimited import find_dialect
from surefit.errors import DataError

read_delimited = partial(read_content, ".csv")


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


@pytest.mark.parametrize(("broken", "closing"), [(2, 900), (500, 504), (3, 1001), (17, 829)])
@pytest.mark.parametrize("wide", [False, True])
def test_a_row_that_breaks_off_in_a_stray_quote_is_the_only_one_lost(broken, closing, wide):
    rows = [f"text {line},{'pos' if line % 3 else 'neg'}" for line in range(2, 1002)]
    rows[broken - 2] = '"text that breaks off'
    rows[closing - 2] = 'a pipe of 5",pos'
    head = "text,label"
    if wide:
        head, rows = f"nr,{head}", [f"{number},{row}" for number, row in enumerate(rows)]
    result = read_delimited("\n".join([head, *rows]).encode(), ReadSettings(), labelled=True)
    assert (result.records, len(result.examples)) == (1000, 999)
    assert [(record.line, record.reason) for record in result.rejected] == [(broken, "unclosed quote")]
    assert result.notes == ()


class TestNotes:
    """Rows that are quoted over many lines: long texts, or the work of a stray quote."""

    NOTE = "the row that starts in line {} is quoted over {} lines{}; if a stray quote opened it, read with --quote none"

    def notes(self, content, *, labelled=False, **settings):
        return read_delimited(content.encode(), ReadSettings(**settings), labelled=labelled).notes

    @staticmethod
    def quoted(lines):
        return '"' + "secret\n" * (lines - 1) + 'secret"'

    def test_a_list_of_texts_joined_by_a_stray_quote(self):
        content = "good\n" * 16 + '"broken\n' + "bad\n" * 1234 + 'it is 5"\ngood\n'
        note = self.NOTE.format(17, "1,236", "")
        assert self.notes(content, header=False) == (note,)
        assert self.notes(f"text\n{content}") == (note.replace("17", "18"),)
        assert self.notes(content, header=False, quote="none") == ()

    @pytest.mark.parametrize(("lines", "expected"), [(1, ()), (20, ()), (21, (NOTE.format(3, 21, ""),))])
    def test_twenty_lines_are_usual(self, lines, expected):
        assert self.notes(f"text,label\ngood,pos\n{self.quoted(lines)},neg\n", labelled=True) == expected

    @pytest.mark.parametrize(("lengths", "more"), [((25, 3, 40, 20), 1), ((25, 3, 40, 40, 20, 21), 3)])
    def test_the_longest_is_named_and_the_others_are_counted(self, lengths, more):
        content = "\n".join(["text", *map(self.quoted, lengths)])
        assert self.notes(content) == (self.NOTE.format(30, 40, f" ({more} more over more than 20)"),)

    def test_rejected_rows_and_the_header_count(self):
        assert self.notes(f"text,label\na,pos\n{self.quoted(22)},neg,\n", labelled=True) == (self.NOTE.format(3, 22, ""),)
        assert self.notes(f"\ntext,{self.quoted(23)}\na,b\n") == (self.NOTE.format(2, 23, ""),)

    def test_rows_that_were_told_apart_are_not_named(self):
        content = 'text,label\ng,pos\n"broken\n' + "bad,neg\nfine,pos\n" * 50 + 'a 5",pos\n'
        assert self.notes(content, labelled=True) == ()


def test_nothing_but_broken_rows_is_an_error():
    with pytest.raises(DataError, match="none of the first lines"):
        read_delimited(b'"a"b\n"c"d\n', ReadSettings(header=False), labelled=True)
