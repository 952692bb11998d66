"""Records are judged once, and used or rejected."""

import pytest

from surefit.data import collect
from surefit.data.collect import NoUsableRowsError
from surefit.data.columns import RoleCells, Roles
from surefit.data.passes import read_all
from surefit.data.source import RecordSource
from surefit.errors import DataError

ALL = Roles(0, 1, 2, 3)
COLUMNS = ("text", "text_pair", "label", "id")


class Rows(RecordSource):
    """Rows of typed cells."""

    def __init__(self, rows, roles, labelled):
        super().__init__("csv", COLUMNS, roles, labelled=labelled)
        self.rows = rows

    def records(self):
        return (self.typed_record(line, RoleCells(*row)) for line, row in enumerate(self.rows, start=2))


def collected(rows, roles=ALL, *, labelled=True):
    return read_all(Rows(rows, roles, labelled))


def reasons(result):
    return [(record.record, record.reason) for record in result.rejected]


def test_each_reason():
    rows = [("a", "b", "x", 1), ("", "b", "x", 2), ("a", " ", "x", 3), ("a", "b", "\u200b", 4), ("a", "b", "x", None)]
    result = collected([*rows, ("a", "b", ["x"], 6), ("a", "b", {}, 7)])
    assert reasons(result) == [
        (2, "empty text"),
        (3, "empty second text"),
        (4, "missing label"),
        (5, "missing id"),
        (6, "several labels"),
        (7, "nested value"),
    ]
    assert [record.id for record in result.rejected] == ["2", "3", "4", "", "6", "7"]
    assert result.rejected_by_reason()["empty text"] == 1


def test_where_ids_are_named_a_record_without_one_has_none():
    result = collected([("", "b", "x", " "), ("a", "b", "x", None), ("a", "b", "x", "\u200b"), ("a", "b", "x", "2")])
    assert [record.id for record in result.rejected] == ["", "", ""]


def test_a_text_of_joiners_only_is_empty():
    result = collected(
        [("\u200d", "b", "x", 1), ("a", "\u200c \u200d", "x", 2), ("a", "b", "\u200d", 3), ("a\u200d", "b", "x", 4)]
    )
    assert reasons(result) == [(1, "empty text"), (2, "empty second text"), (3, "missing label")]


def test_used_rows_keep_their_texts_and_get_normal_class_names():
    examples = collected([(" a  b ", "c\n", " x  y ", "k")]).examples
    assert examples.texts.to_pylist() == [" a  b "]
    assert examples.text_pairs.to_pylist() == ["c\n"]
    assert examples.labels.to_pylist() == [["x y"]]
    assert examples.ids.to_pylist() == ["k"]
    assert examples.lines.tolist() == [2]


def test_without_an_id_column_records_are_numbered():
    roles = Roles(0, None, 2, None)
    examples = collected([("a", None, "x", None), ("", None, "x", None), ("b", None, "x", None)], roles).examples
    assert examples.ids.to_pylist() == ["1", "3"]
    assert examples.records.tolist() == [1, 3]


def test_prediction_keeps_rows_whose_label_is_no_use():
    rows = [("a", "b", None, 1), ("c", "d", ["x", "y"], 2), ("e", "f", "x", 3)]
    assert collected(rows, labelled=False).examples.labels.to_pylist() == [[], [], ["x"]]


def test_many_rows_keep_their_order_over_chunks():
    count = 2 * collect._CHUNK_ROWS + 5
    rows = [(f"t{number}", None, f"c{number % 3}", None) for number in range(count)]
    examples = collected(rows, Roles(0, None, 2, None)).examples
    assert len(examples) == count
    assert examples.texts[count - 1].as_py() == f"t{count - 1}"
    assert examples.labels[count - 1].as_py() == [f"c{(count - 1) % 3}"]


def test_repeated_ids_are_found_among_rejected_records_too():
    with pytest.raises(DataError, match='rows 1 and 3 have the same id in column "id"'):
        collected([("a", "b", "x", "k"), ("a", "b", "x", "l"), ("", "b", "x", "k")])


def test_no_rows_and_no_usable_rows_are_errors():
    with pytest.raises(DataError, match="no rows"):
        collected([])
    with pytest.raises(
        NoUsableRowsError, match=r"none of the 2 rows can be used \(1 empty text, 1 missing label\), .* line 2"
    ) as caught:
        collected([("", "b", "x", 1), ("a", "b", "", 2)])
    assert [(record.line, record.reason) for record in caught.value.rejected] == [(2, "empty text"), (3, "missing label")]
    caught.value.advise("look there")
    assert str(caught.value).endswith("line 2; look there")
