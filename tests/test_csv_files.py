"""CSV files that SureFit writes: harmless in spreadsheets, and read back as they were given."""

import csv
import io

import pytest

from surefit.csv_files import harmless_cell, read_csv, write_csv, write_csv_rows
from surefit.errors import RunError


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"])
def test_what_a_spreadsheet_would_run_is_text(cell):
    assert harmless_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "a=1", "1-1", "'quoted'", "é"])
def test_other_cells_stay_as_they_are(cell):
    assert harmless_cell(cell) == cell


def test_csv_has_harmless_header_and_texts_and_plain_numbers(tmp_path):
    write_csv(tmp_path / "file.csv", ("=id", "score"), [("@me", -0.5), ('say "hi",\nyou', 3)])
    with (tmp_path / "file.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["'=id", "score"], ["'@me", "-0.5"], ['say "hi",\nyou', "3"]]


def test_csv_is_read_as_it_was_given(tmp_path):
    rows = [["@me", "-0.5"], ['say "hi",\nyou', "3"], ["=" + "a" * 200_000, ""], ["", "'quoted'"]]
    write_csv(tmp_path / "file.csv", ("=id", "score"), rows)
    assert read_csv(tmp_path / "file.csv", 10) == (["=id", "score"], rows)
    assert read_csv(tmp_path / "file.csv", 1) == (["=id", "score"], rows[:1])
    assert csv.field_size_limit() == 131_072


def test_csv_that_is_damaged_or_missing_is_named(tmp_path):
    with pytest.raises(RunError, match=r"file\.csv is missing"):
        read_csv(tmp_path / "file.csv", 10)
    for content in (b"", b"\xff", b'a,b\n"'):
        (tmp_path / "file.csv").write_bytes(content)
        with pytest.raises(RunError, match=r"file\.csv cannot be read as CSV"):
            read_csv(tmp_path / "file.csv", 10)
    (tmp_path / "file.csv").write_text("a,b\n1,2\n3\n", encoding="utf-8")
    with pytest.raises(RunError, match="not every row has 2 cells"):
        read_csv(tmp_path / "file.csv", 10)


def test_csv_rows_take_another_delimiter():
    file = io.StringIO()
    write_csv_rows(file, [("a,b", "c\td")], delimiter="\t")
    assert file.getvalue() == 'a,b\t"c\td"\n'


def test_a_lone_carriage_return_stays_inside_its_cell(tmp_path):
    write_csv(tmp_path / "a.csv", ("id", "text"), [("1", "a\rb"), ("2", "c\nd"), ("3", "e\r\nf")])
    content = (tmp_path / "a.csv").read_bytes()
    assert content == b'id,text\n1,"a\rb"\n2,"c\nd"\n3,"e\r\nf"\n'
