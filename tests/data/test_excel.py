"""Excel workbooks."""

import datetime
import io
import zipfile
from functools import partial

import openpyxl
import pytest
from file_builders import read_content, workbook

from surefit.config import ReadSettings
from surefit.errors import DataError

read_excel = partial(read_content, ".xlsx")


def test_typed_cells_become_text():
    rows = [["text", "label"], [1, True], [0.5, 2.0], [datetime.datetime(2024, 1, 2, 3, 4), datetime.date(2024, 1, 2)]]
    examples = read_excel(workbook(("A", rows)), ReadSettings(), labelled=True).examples
    assert examples.texts.to_pylist() == ["1", "0.5", "2024-01-02T03:04:00"]
    assert examples.labels.to_pylist() == [["true"], ["2"], ["2024-01-02"]]


def test_lines_are_rows_of_the_sheet():
    rows = [[], ["text", "label"], ["a", "x"], [], ["b", "y"]]
    examples = read_excel(workbook(("A", rows)), ReadSettings(), labelled=True).examples
    assert examples.lines.tolist() == [3, 5]
    assert examples.records.tolist() == [1, 2]


def test_without_a_header_the_first_row_is_data():
    content = workbook(("A", [["a", "x"], ["b", "y"]]))
    examples = read_excel(content, ReadSettings(header=False, text="1", label="2"), labelled=True).examples
    assert examples.texts.to_pylist() == ["a", "b"]


def test_an_empty_row_in_a_list_of_texts_is_a_record():
    content = workbook(("A", [["text"], ["a"], [], ["b"]]))
    result = read_excel(content, ReadSettings(), labelled=False)
    assert [(record.line, record.reason) for record in result.rejected] == [(3, "empty text")]


def test_a_sheet_is_named_or_numbered():
    content = workbook(("first", [["text", "label"], ["a", "x"]]), ("2024", [["text", "label"], ["b", "x"]]))
    for sheet, text in (("first", "a"), ("1", "a"), ("2", "b"), ("2024", "b")):
        examples = read_excel(content, ReadSettings(sheet=sheet), labelled=True).examples
        assert examples.texts.to_pylist() == [text]
    with pytest.raises(DataError, match='"first", "2024"'):
        read_excel(content, ReadSettings(sheet="3"), labelled=True)


@pytest.mark.parametrize(
    ("old", "new"), [(b"", b""), (b'r="XFD1048576"', b"r='XFD1048576'"), (b"<c r=", b"<x:c r="), (b"sheet1.xml", b"blatt.xml")]
)
def test_a_stray_cell_in_the_far_corner_is_refused_before_memory_is_taken(old, new):
    book = openpyxl.Workbook()
    for row in [["text", "label"], ["a", "x"]]:
        book.active.append(row)
    book.active.cell(1_048_576, 16_384, "stray")
    buffer = io.BytesIO()
    book.save(buffer)
    changed = io.BytesIO()
    with zipfile.ZipFile(buffer) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            after.writestr(name.replace(old.decode(), new.decode()), before.read(name).replace(old, new))
    with pytest.raises(DataError, match="1,048,576 rows and 16,384 columns; delete stray cells"):
        read_excel(changed.getvalue(), ReadSettings(), labelled=True)
