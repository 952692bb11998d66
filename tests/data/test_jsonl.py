"""JSON Lines."""

from functools import partial

import pytest
from file_builders import read_content

from surefit.config import ReadSettings
from surefit.errors import DataError

read_jsonl = partial(read_content, ".jsonl")


def test_columns_are_all_keys_in_order_of_appearance():
    content = b'{"text": "a", "label": "x"}\n{" note ": 1, "text": "b", "label": "y"}\n'
    assert read_jsonl(content, ReadSettings(), labelled=True).columns == ("text", "label", "note")


def test_a_key_with_spaces_is_found_and_read():
    content = b'{" text": "a", "label ": 1, "key": 5}\n'
    result = read_jsonl(content, ReadSettings(id="key"), labelled=True)
    assert result.examples.texts.to_pylist() == ["a"]
    assert result.examples.labels.to_pylist() == [["1"]]
    assert result.examples.ids.to_pylist() == ["5"]


def test_many_halves_of_pairs_are_rejected_rows_and_no_wrong_encoding():
    content = b'{"text": "\\ud83d", "label": "x"}\n' * 5 + b'{"text": "a", "label": "x"}\n'
    result = read_jsonl(content, ReadSettings(), labelled=True)
    assert result.rejected_by_reason() == {"undecodable bytes": 5}


def test_blank_lines_are_no_records_but_count_as_lines():
    content = b'{"text": "a", "label": "x"}\n\n  \r\n{"text": "b", "label": "x"}\n'
    assert read_jsonl(content, ReadSettings(), labelled=True).examples.lines.tolist() == [1, 4]


def test_many_undecodable_lines_are_the_wrong_encoding():
    content = '{"text": "schön", "label": "x"}\n{"text": "a", "label": "x"}\n'.encode("cp1252")
    with pytest.raises(DataError, match=r"1 of 2 rows are not UTF-8, the first in line 1; .*--encoding cp1252"):
        read_jsonl(content, ReadSettings(), labelled=True)


def test_columns_can_be_written_out_whatever_the_keys_are():
    result = read_jsonl(b'{"text": "a", "label": "x", "\\ud83d": 1}\n', ReadSettings(), labelled=True)
    assert result.columns == ("text", "label", "?")
