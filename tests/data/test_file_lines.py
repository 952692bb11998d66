"""Lines of a file, read block by block."""

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surefit.data.file_lines import FileLines
from surefit.errors import DataError

pieces = st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bcd", b"\x0b\x0c\x1c\x85", b"\xff"])
contents = st.lists(pieces, max_size=60).map(b"".join)


@given(contents, st.integers(1, 9), st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_lines_are_those_of_splitlines_in_whatever_order_they_are_asked_for(content, block_bytes, start, source):
    expected = content[start:].splitlines(keepends=True)
    lines = FileLines(io.BytesIO(content), min(start, len(content)), block_bytes)
    assert len(lines) == len(expected)
    assert list(lines) == expected
    for place in source.choices(range(-len(expected), len(expected)), k=20) if expected else ():
        assert lines[place] == expected[place]
        assert lines[place:] == expected[place:]
    for beyond in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            lines[beyond]


def test_blocks_of_the_usual_size_hold_the_same_lines(tmp_path):
    source = random.Random(0)
    ends = (b"\n", b"\r\n", b"\r")
    expected = [b"x" * source.randrange(40_000) + ends[number % 3] for number in range(100)]
    path = tmp_path / "lines"
    path.write_bytes(b"".join(expected))
    with open(path, "rb") as file:
        lines = FileLines(file)
        assert list(lines) == expected
        assert [lines[place] for place in (0, 99, 50, 49, 51, 0)] == [expected[place] for place in (0, 99, 50, 49, 51, 0)]


@pytest.mark.parametrize("changed", [b"one\ntwo\nthre", b"one\ntwo\nthr\ne\n", b""])
def test_a_file_that_changes_while_it_is_read_is_an_error_of_one_sentence(tmp_path, changed):
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\nthree\n")
    with open(path, "rb", buffering=0) as file:
        lines = FileLines(file)
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"^the file changed while it was read; wait until it is complete"):
            list(lines)


def test_what_is_added_to_a_file_meanwhile_is_not_read(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo")
    with open(path, "rb") as file:
        lines = FileLines(file)
        with open(path, "ab") as other:
            other.write(b" and more\nthree\n")
        assert list(lines) == [b"one\n", b"two"]
