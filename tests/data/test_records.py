"""Lines become records: quotes, mistakes with quotes, and the promise of linear time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surefit.data.records import NO_DELIMITER, Dialect, RecordReader, RowShape

COMMAS = Dialect(",", '"')
READS_PER_LINE = 6


class CountedLines(list):
    """Lines that count how often one is looked at."""

    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def records(text, dialect=COMMAS, shape=None):
    return [tuple(record) for record in RecordReader(text.encode().splitlines(keepends=True), dialect, shape=shape)]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", ""]),
        (",", ["", ""]),
        ('"a","b"', ["a", "b"]),
        ('"a",', ["a", ""]),
        ('"",b', ["", "b"]),
        ('"a ""b"" c",d', ['a "b" c', "d"]),
        ('"a,b",c', ["a,b", "c"]),
        ('a"b"c,d', ['a"b"c', "d"]),
        ('a "b, c"', ['a "b', ' c"']),
        (' "a"', [' "a"']),
        ('""""', ['"']),
    ],
)
def test_cells_of_a_line(line, cells):
    assert records(line) == [(1, cells, "")]
    assert records(line + "\r\n") == [(1, cells, "")]


def test_a_blank_line_is_a_record_without_cells_and_a_quoted_nothing_is_not():
    assert records('a\n\n""\n') == [(1, ["a"], ""), (2, [], ""), (3, [""], "")]


def test_newlines_in_quotes_stay_as_they_are():
    assert records('"a\r\nb\rc\nd",e\nf,g') == [(1, ["a\r\nb\rc\nd", "e"], ""), (5, ["f", "g"], "")]


def test_two_cells_over_several_lines():
    assert records('"a\nb","c\nd",e\n') == [(1, ["a\nb", "c\nd", "e"], "")]


@pytest.mark.parametrize("line", ['"a', 'x,"a', '"a"b,c', '"a" ,b', '"a""', 'x,"a,""b""'])
def test_after_an_unclosed_quote_reading_goes_on_at_the_next_line(line):
    assert records(f"{line}\nb,c\nd,e\n") == [(1, [], "unclosed quote"), (2, ["b", "c"], ""), (3, ["d", "e"], "")]


def test_quotes_can_be_plain_characters():
    assert records('"a,b"\n', Dialect(",", "")) == [(1, ['"a', 'b"'], "")]


def test_without_a_delimiter_each_line_is_one_cell():
    one = Dialect(NO_DELIMITER, '"')
    assert records('a,b;c\n"d ""e""",\n"f"\n', one) == [(1, ["a,b;c"], ""), (2, [], "unclosed quote"), (3, ["f"], "")]


def test_bytes_that_do_not_decode_reject_the_record_only():
    lines = [b"a\xff,b\n", b'"c\n', b'\xff",d\n', b"e,f\n"]
    read = [tuple(record) for record in RecordReader(lines, COMMAS)]
    assert read == [(1, [], "undecodable bytes"), (2, [], "undecodable bytes"), (4, ["e", "f"], "")]


def test_rows_joined_by_a_stray_quote_are_told_from_a_text():
    shape = RowShape(2, 1)
    shape.learn(["x", "pos"])
    joined = records('"a,pos\nb,pos\nc",pos\n', shape=shape)
    assert joined == [(1, [], "unclosed quote"), (2, ["b", "pos"], ""), (3, ['c"', "pos"], "")]
    assert records('"a, my\nb, your\nc",pos\n', shape=shape) == [(1, ["a, my\nb, your\nc", "pos"], "")]


class TestRowsJoinedAfterARowThatBreaksOff:
    ROWS = "b,pos\nc,neg\nd,pos\n"

    def read(self, text, columns=2):
        shape = RowShape(columns, columns - 1)
        for name in ("pos", "neg"):
            shape.learn(["x"] * (columns - 1) + [name])
        return records(text, shape=shape)

    def count(self, text):
        return len(self.read(text))

    def test_they_are_rows_of_their_own(self):
        read = self.read(f'"a\n{self.ROWS}e 5",pos\n')
        assert read[0] == (1, [], "unclosed quote")
        assert [cells for _, cells, _ in read[1:]] == [["b", "pos"], ["c", "neg"], ["d", "pos"], ['e 5"', "pos"]]

    def test_behind_a_first_cell(self):
        assert len(self.read('7,"a\n8,b,pos\n9,c,neg\n10,d,pos\n11,e 5",pos\n', columns=3)) == 5

    def test_whose_class_is_not_that_of_the_last(self):
        assert self.count('"a\n' + "b,neg\n" * 3 + 'e 5",pos\n') == 5

    def test_in_the_first_row_of_a_file(self):
        assert len(records(f'"a\n{self.ROWS * 2}e 5",neg\n', shape=RowShape(2, 1))) == 8

    @pytest.mark.parametrize(("lines", "count"), [("b,pos\n" * 2, 1), ("b,pos\n" * 3, 5), ("b,pos\n\n" * 3, 8), ("\n" * 9, 1)])
    def test_three_lines_between_are_needed_and_blank_ones_do_not_count(self, lines, count):
        assert self.count(f'"a\n{lines}e",pos\n') == count

    @pytest.mark.parametrize(("whole", "count"), [(8, 1), (9, 12)])
    def test_nine_tenths_must_be_complete(self, whole, count):
        assert self.count('"a\n' + "b,pos\n" * whole + 'no row\ne",pos\n') == count

    def test_the_last_line_must_be_a_row_too(self):
        assert self.count(f'"a\n{self.ROWS}yours, Bob",pos\n') == 1

    @pytest.mark.parametrize("last", ['e 5",of,pos', 'e 5"'])
    def test_the_last_line_is_not_asked_where_the_record_is_no_row_either(self, last):
        assert self.count(f'"a\n{self.ROWS}{last}\n') == 5

    @pytest.mark.parametrize(("last", "count"), [("pos", 1), ("INFO", 6)])
    def test_classes_that_neither_an_earlier_row_nor_the_last_line_has_are_of_something_else(self, last, count):
        assert self.count(f'"a\n1,INFO\n2,INFO\n3,ERROR\n4,ERROR\ne",{last}\n') == count

    def test_a_first_line_with_cells_enough_does_not_break_off(self):
        assert self.count(f'"Dear Ann,\n{self.ROWS}Bob",pos\n') == 1

    def test_without_labels_nothing_is_certain(self):
        assert len(records('"a\n' + "b,1\n" * 9 + 'c",2\n', shape=RowShape(2, None))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Dear Ann\n\nI am well, and you?\n\nYours\nBob",
        "I wrote\n\ngood,pos\nbad,neg\nso so,pos\n\nand what I meant, really,\nwas\nbad,neg\nBob",
        "text,label\ngood,pos\nbad,neg\nso so,pos\nwell,neg",
        "the table\ngood,pos\nbad,neg\nso so,pos\nwell,neg",
        "the table\ngood,pos\nbad,neg\nso so,pos\nwell,neg\n",
        "the log\n12:01 up,INFO\n12:02 down,ERROR\n12:03 up,INFO\n12:04 down,ERROR\nplease help",
        "1,pos\n2,neg",
    ],
)
@pytest.mark.parametrize("earlier", [[], ["pos", "neg"]])
def test_a_text_that_quotes_rows_or_holds_a_table_is_a_text(text, earlier):
    shape = RowShape(2, 1)
    for name in earlier:
        shape.learn(["x", name])
    assert records(f'"{text}",neg\n', shape=shape) == [(1, [text, "neg"], "")]


def test_classes_that_nobody_has_seen_join_nothing():
    assert records('"a,one\nb,two\nc",three\n', shape=RowShape(2, 1)) == [(1, ["a,one\nb,two\nc", "three"], "")]


def test_blank_lines_do_not_hide_joined_rows():
    shape = RowShape(2, 1)
    shape.learn(["x", "pos"])
    assert len(records('"a,pos\n\n\n\nb,pos\n\nc",pos\n', shape=shape)) == 7


def test_a_text_that_begins_like_a_row_is_a_text():
    shape = RowShape(2, 1)
    shape.learn(["x", "pos"])
    assert len(records('"a,pos\nand then it goes on\nfor a while, and on\nto the end",pos\n', shape=shape)) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('1,"roses\n' + "violets,blue\n" * 2 + 'sugar,sweet"\n', 1),
        ('1,"roses\n' + "violets,blue\n" * 9 + 'sugar,sweet"\n', 11),
        ('1,"Dear Ann\n' + "I say, it rains\n" * 9 + 'Yours, Bob"\n', 1),
        ('1,"Dear Ann\n' + "I say,\n" * 9 + 'Yours,Bob"\n', 1),
    ],
)
def test_unlabelled_lines_are_rows_only_if_there_are_many_that_are_not_prose(text, count):
    assert len(records(text, shape=RowShape(2, None))) == count


@pytest.mark.parametrize(
    "pattern",
    [
        ['"a\n'],
        ['ab","c\n'],
        ['"""\n', '""\n'],
        ['x,"a""\n', '"",b\n'],
        ['","\n', '",\n'],
        ["a,pos\n", '"b,pos\n', 'ab","c\n'],
        ['"b,pos\n', "c,pos\n", "d,pos\n", 'e",pos\n'],
        ['"b\n', *["c,pos\n"] * 5, 'e",pos\n'],
        ['"b\n', *["c,pos\n"] * 5, 'e",\n'],
    ],
)
def test_adversarial_lines_are_read_in_linear_time(pattern):
    lines = CountedLines(line.encode() for line in pattern * 2000)
    shape = RowShape(2, 1)
    shape.learn(["x", "pos"])
    assert sum(1 for _ in RecordReader(lines, COMMAS, shape=shape))
    assert lines.reads <= READS_PER_LINE * len(lines)


@given(st.lists(st.sampled_from(['"', '""', ",", "a", "pos"]), min_size=1, max_size=8).map("".join), st.data())
@settings(max_examples=300, deadline=None)
def test_repeated_lines_are_read_in_linear_time(line, data):
    other = data.draw(st.lists(st.sampled_from(['"', ",", "a", "pos"]), max_size=5).map("".join))
    lines = CountedLines(f"{part}\n".encode() for part in [line, other, line] * 60)
    shape = RowShape(2, 1)
    shape.learn(["x", "pos"])
    assert sum(1 for _ in RecordReader(lines, COMMAS, shape=shape))
    assert lines.reads <= READS_PER_LINE * len(lines)


@given(st.text(alphabet='",a\n', max_size=60))
@settings(max_examples=500, deadline=None)
def test_each_line_belongs_to_one_record(text):
    lines = text.encode().splitlines(keepends=True)
    expected = 1
    for line, cells, _ in RecordReader(lines, COMMAS):
        assert line == expected
        expected += 1 + sum(cell.count("\n") for cell in cells)
    assert expected == len(lines) + 1
