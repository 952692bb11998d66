"""Files in two passes: what windows hold is what reading at once gives, in memory that does not grow."""

import csv
import json
import time
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_builders import jsonl, lines, ods, parquet, workbook
from hostile_files import HOSTILE_FILES

from surefit.config import ReadSettings
from surefit.data.passes import WINDOW_RECORDS, check, read_all, windows
from surefit.data.read import open_records, read
from surefit.errors import DataError, SureFitError

SIZE = 7
TEXTS = [f"text {number}" + ("\nand, more\n" if number % 3 == 0 else "") + "ä漢😀"[: number % 4] for number in range(100)]
TEXTS[10], TEXTS[SIZE * 5], TEXTS[-1] = "", " ", ""


def records_of(result):
    """Number, line, id, text and reason of each record, in order."""
    used = result.examples
    kept = zip(used.records.tolist(), used.lines.tolist(), used.ids.to_pylist(), used.texts.to_pylist(), strict=True)
    rejected = zip(result.rejected, result.rejected_cells, strict=True)
    every = [(*row, "") for row in kept]
    every += [(record.record, record.line, record.id, cells.text, record.reason) for record, cells in rejected]
    return sorted(every)


def in_windows(path, options, size=SIZE):
    with open_records(path, options, labelled=False) as source:
        count = check(source)
        parts = list(windows(source, size))
    assert [part.records for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert sum(part.records for part in parts) == count
    assert {(part.columns, tuple(part.chosen.items()), part.file_format) for part in parts} == {
        (source.columns, tuple(source.chosen.items()), source.file_format)
    }
    return [record for part in parts for record in records_of(part)], source.notes


def outcome(reading):
    """What came of a file: what was read, or the error's message."""
    try:
        return reading()
    except SureFitError as error:
        return str(error)


def compare(path, **options):
    """Both ways to read a file, which must agree; returns its records."""
    settings = ReadSettings(**options)
    whole = read(path, settings, labelled=False)
    found, notes = in_windows(path, settings)
    assert found == records_of(whole)
    assert notes == whole.notes
    return found


def delimited(rows, delimiter=",", newline="\n"):
    return "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + newline for row in rows)


def numbered(texts):
    return [("key", "text"), *((f"k{number}", text) for number, text in enumerate(texts))]


FILES = {
    "rows.csv": delimited(numbered(TEXTS)).encode(),
    "rows.tsv": delimited(numbered(TEXTS), "\t", "\r\n").encode(),
    "rows.jsonl": "".join(json.dumps({"key": f"k{n}", "text": text}) + "\n" for n, text in enumerate(TEXTS)).encode(),
    "rows.parquet": parquet({"key": [f"k{n}" for n in range(len(TEXTS))], "text": TEXTS}),
    "rows.xlsx": workbook(("A", numbered(TEXTS))),
    "rows.ods": ods([[key, text.replace("\n", " ")] for key, text in numbered(TEXTS)]),
}


@pytest.mark.parametrize("name", FILES)
def test_windows_hold_what_reading_at_once_gives(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FILES[name])
    found = compare(path, id="key")
    assert [record for record, *_ in found] == list(range(1, 101))
    assert [id_ for _, _, id_, _, _ in found] == [f"k{number}" for number in range(100)]
    assert [record for record, *_, reason in found if reason] == [11, SIZE * 5 + 1, 100]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "named"), [("utf-8", None), ("utf-16", None), ("utf-32-be", "utf-32-be"), ("gb18030", "gb18030")]
)
def test_encodings_and_newlines(tmp_path, encoding, named, newline):
    path = tmp_path / "rows.csv"
    path.write_bytes(delimited(numbered(TEXTS), newline=newline).encode(encoding))
    found = compare(path, encoding=named)
    assert [text for _, _, _, text, _ in found] == TEXTS


def test_a_quoted_text_longer_than_a_window(tmp_path):
    path = tmp_path / "rows.csv"
    long = "line, of many\n" * 5000
    path.write_text(delimited(numbered(["a", long, "b"])), encoding="utf-8")
    assert [(line, text) for _, line, _, text, _ in compare(path)] == [(2, "a"), (3, long), (5004, "b")]


def test_an_unclosed_quote_whose_search_goes_past_many_windows(tmp_path):
    path = tmp_path / "rows.csv"
    rows = ["key,text", "a,good", 'b,"broken', *(f"k{number},fine" for number in range(3000))]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = compare(path)
    assert len(found) == 3002
    assert [(record, reason) for record, *_, reason in found if reason] == [(2, "unclosed quote")]


def test_a_stray_quote_that_is_closed_past_many_windows(tmp_path):
    path = tmp_path / "rows.csv"
    rows = ["key,text", "a,good", 'b,"broken', *(f"k{number},fine" for number in range(3000)), 'c,a pipe of 5"', "d,good"]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = compare(path)
    assert len(found) == 3004
    assert [(record, reason) for record, *_, reason in found if reason] == [(2, "unclosed quote")]


@pytest.mark.parametrize("case", HOSTILE_FILES, ids=lambda case: case.name)
def test_hostile_files_come_to_the_same(case, tmp_path):
    path = case.write(tmp_path)
    settings = ReadSettings(**case.settings)

    def at_once():
        whole = read(path, settings, labelled=False)
        return records_of(whole), whole.notes

    assert outcome(lambda: in_windows(path, settings, size=2)) == outcome(at_once)


def test_repeated_ids_are_said_in_the_first_pass(tmp_path):
    path = tmp_path / "rows.csv"
    keys = [str(number) for number in range(3 * WINDOW_RECORDS)]
    keys[2 * WINDOW_RECORDS] = keys[5]
    path.write_text("key,text\n" + "".join(f"{key},{'' if key == '5' else 'a'}\n" for key in keys), encoding="utf-8")
    with (
        open_records(path, ReadSettings(id="key"), labelled=False) as source,
        pytest.raises(DataError, match=r"rows\.csv: rows 6 and 8,193 have the same id in column \"key\""),
    ):
        check(source)


@pytest.mark.parametrize("content", ["text\n" + "a\n" * 5000, '{"text": "a"}\n' * 5000], ids=["csv", "jsonl"])
def test_a_file_that_is_cut_short_between_the_passes_is_an_error(tmp_path, content):
    path = tmp_path / ("rows.jsonl" if content.startswith("{") else "rows.csv")
    path.write_text(content * 100, encoding="utf-8")
    with open_records(path, ReadSettings(), labelled=False) as source:
        check(source)
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=f"^{path}: the file changed while it was read; "):
            list(windows(source))


def test_a_parquet_file_that_is_cut_short_between_the_passes_is_an_error(tmp_path):
    path = tmp_path / "rows.parquet"
    texts = [f"{number * 7919 % 100_003:x}" * 20 for number in range(50_000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=5000, use_dictionary=False)
    with open_records(path, ReadSettings(), labelled=False) as source:
        assert check(source) == 50_000
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=f"^{path}: the file changed while it was read; "):
            list(windows(source))


ROWS = {
    "rows.csv": lambda word: lines("text", *[word] * 9000),
    "marked.txt": lambda word: lines("text", *[word] * 9000, encoding="utf-16"),
    "rows.jsonl": lambda word: jsonl(*[{"text": word}] * 9000),
    "rows.parquet": lambda word: parquet({"text": [word] * 9000}),
    "rows.xlsx": lambda word: workbook(("A", [["text"], *[[word]] * 5000])),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_file_that_is_rewritten_between_the_passes_is_an_error_even_where_it_looks_the_same(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(ROWS[name]("good"))
    with open_records(path, ReadSettings(), labelled=False) as source:
        check(source)
        time.sleep(0.05)  # the clock of some file systems has coarse ticks
        path.write_bytes(ROWS[name]("evil"))
        with pytest.raises(DataError, match=f"^{path}: the file changed while it was read; wait until it is complete"):
            next(windows(source))


def test_a_file_that_is_rewritten_within_the_second_pass_is_an_error_at_the_next_window(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(ROWS["rows.csv"]("good"))
    with open_records(path, ReadSettings(), labelled=False) as source:
        check(source)
        parts = windows(source)
        assert set(next(parts).examples.texts.to_pylist()) == {"good"}
        time.sleep(0.05)
        path.write_bytes(ROWS["rows.csv"]("evil"))
        with pytest.raises(DataError, match="the file changed while it was read"):
            next(parts)


def test_a_file_that_is_rewritten_while_all_of_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(ROWS["rows.csv"]("good"))
    with open_records(path, ReadSettings(), labelled=False) as source:
        time.sleep(0.05)
        path.write_bytes(ROWS["rows.csv"]("evil"))
        with pytest.raises(DataError, match="the file changed while it was read"):
            read_all(source)


def test_another_file_that_takes_the_name_changes_nothing(tmp_path):
    path, other = tmp_path / "rows.csv", tmp_path / "other.csv"
    path.write_bytes(ROWS["rows.csv"]("good"))
    with open_records(path, ReadSettings(), labelled=False) as source:
        check(source)
        time.sleep(0.05)
        other.write_bytes(ROWS["rows.csv"]("evil"))
        other.replace(path)
        path.chmod(0o600)
        assert {text for part in windows(source) for text in part.examples.texts.to_pylist()} == {"good"}


def write_many(path, rows):
    """Rows of about 500 bytes, every other quoted over two lines."""
    texts = ["good and bad " * 19 + "\n" * (number % 2) + "so so " * 40 for number in range(8)]
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, pa.schema({"key": pa.string(), "text": pa.string()})) as writer:
            keys = [f"k{number}" for number in range(rows)]
            table = pa.table({"key": keys, "text": [f"{key} {texts[number % 8]}" for number, key in enumerate(keys)]})
            writer.write_table(table, row_group_size=rows)
    elif path.suffix == ".jsonl":
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"key": f"k{n}", "text": texts[n % 8]}) + "\n" for n in range(rows))
    else:
        with open(path, "w", encoding="utf-16" if path.suffix == ".txt" else "utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("key", "text"))
            writer.writerows((f"k{number}", texts[number % 8]) for number in range(rows))
    return path


def peak_of_both_passes(path):
    """Most bytes that Python and Arrow held at once while a file was read."""
    arrow = pa.total_allocated_bytes()
    most = 0
    tracemalloc.start()
    try:
        with open_records(path, ReadSettings(), labelled=False) as source:
            count = check(source)
            for window in windows(source):
                count -= window.records
                most = max(most, pa.total_allocated_bytes() - arrow)
        assert count == 0
        return tracemalloc.get_traced_memory()[1] + most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ending", [".csv", ".txt", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, ending):
    path = write_many(tmp_path / f"rows{ending}", 50_000)
    if ending != ".parquet":  # which is compressed
        assert path.stat().st_size > 23 * 2**20
    assert peak_of_both_passes(path) < 16 * 2**20


def test_windows_of_long_texts_hold_fewer_records(tmp_path):
    long = "word " * 300_000
    (tmp_path / "long.csv").write_text("text\n" + f"{long}\n" * 13 + "short\n" * 5, encoding="utf-8")
    with open_records(tmp_path / "long.csv", ReadSettings(), labelled=False) as source:
        assert check(source) == 18
        parts = list(windows(source, 100))
    assert [part.records for part in parts] == [6, 6, 6]
    assert [len(text) for part in parts for text in part.examples.texts.to_pylist()] == [len(long)] * 13 + [5] * 5
