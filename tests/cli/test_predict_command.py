"""`surefit predict`: texts in, answers out, in order and none lost."""

import csv
import io
import json
import os
import resource
import shlex

import pyarrow.parquet as pq
import pytest
from file_builders import jsonl, lines, ods, parquet, workbook
from surefit_command import assert_refused, run_here, run_program

from learnable_rows import LEARNING, learnable_rows, write_table
from processor import needs_int8
from surefit.data.passes import WINDOW_RECORDS
from surefit.runs.train import train

COLUMNS = ["id", "text", "label", "probability", "truncated", "reason"]
TEXTS = ["a great nice film", "an awful worst story", "", "the best happy fine", "=1+1", "x" * 300]
FORMATS = {
    "rows.csv": lines("text", *TEXTS),
    "rows.tsv": lines("id\ttext", *(f"{number}\t{text}" for number, text in enumerate(TEXTS, 1))),
    "rows.jsonl": jsonl(*({"text": text} for text in TEXTS)),
    "rows.parquet": parquet({"text": TEXTS}),
    "rows.xlsx": workbook(("A", [["text"], *([text.replace("=", "'=", 1)] for text in TEXTS)])),
    "rows.ods": ods([["text", "n"], *([text, str(number)] for number, text in enumerate(TEXTS))]),
}


@pytest.fixture
def run(trained_run):
    return trained_run.directory


def table(text, delimiter=","):
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert all([name for name in row if name != "text_pair"] == COLUMNS for row in rows)
    return rows


class TestArguments:
    def test_a_table_where_nobody_watches(self, run):
        outcome = run_here("predict", run, *TEXTS)
        assert outcome.status == 0
        assert outcome.err.startswith("computed in ")
        rows = table(outcome.out)
        assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
        assert [row["text"] for row in rows] == [*TEXTS[:4], "'=1+1", TEXTS[5]]
        assert [row["label"] for row in rows[:4]] == ["good", "bad", "", "good"]
        assert [row["reason"] for row in rows] == ["", "", "empty text", "", "", ""]

    def test_json_has_every_probability(self, run):
        outcome = run_here("predict", run, "a great film", "  ", "--json")
        first, second = outcome.json()["predictions"]
        assert set(first["scores"]) == {"good", "bad"}
        assert first["probability"] == max(first["scores"].values()) == first["scores"][first["label"]]
        assert sum(first["scores"].values()) == pytest.approx(1)
        assert (second["label"], second["scores"], second["reason"]) == ("", {}, "empty text")

    def test_a_long_text_is_marked_as_cut(self, run):
        rows = table(run_here("predict", run, "good " * 200, "good").out)
        assert [row["truncated"] for row in rows] == ["true", "false"]

    def test_a_text_that_looks_like_a_flag_comes_after_two_dashes(self, run):
        rows = table(run_here("predict", run, "--", "-5 degrees, so cold", "--help").out)
        assert [row["text"] for row in rows] == ["'-5 degrees, so cold", "'--help"]

    def test_a_text_that_is_no_text_keeps_its_place(self, run):
        rows = table(run_here("predict", run, "great nice", "\udcff", "awful worst").out)
        assert [(row["label"], row["reason"]) for row in rows] == [("good", ""), ("", "not a text"), ("bad", "")]


@pytest.fixture(scope="module")
def pairs_run(tiny_bert, tmp_path_factory):
    """A run on pairs of texts."""
    directory = tmp_path_factory.mktemp("pairs")
    rows = [("is it", text, label) for text, label in learnable_rows(60)]
    data = write_table(directory / "pairs.csv", ("question", "answer", "label"), rows)
    options = LEARNING | {"epochs": 1, "text": "question", "text_pair": "answer"}
    return train(data, directory / "run", model=tiny_bert, **options).directory


class TestPairs:
    def test_one_pair_as_arguments(self, pairs_run, tmp_path):
        (row,) = table(run_here("predict", pairs_run, "is it", "--text-pair", "a great film").out)
        data = write_table(tmp_path / "new.csv", ("text", "answer", "question"), [("x", "a great film", "is it")])
        (same,) = table(run_here("predict", pairs_run, "--input", data, "--quiet").out)
        assert list(row)[:4] == ["id", "text", "text_pair", "label"]
        assert (row["text"], row["text_pair"]) == ("is it", "a great film")
        assert [row[name] for name in ("text", "text_pair", "label")] == [same[name] for name in ("text", "text_pair", "label")]
        assert float(row["probability"]) == pytest.approx(float(same["probability"]), abs=1e-3)

    @pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
    def test_every_output_has_the_second_text(self, pairs_run, tmp_path, name):
        rows = [("is it", "a great film"), ("is it", "")]
        data = write_table(tmp_path / "new.csv", ("question", "answer"), rows)
        assert run_here("predict", pairs_run, "--input", data, "--output", tmp_path / name, "--quiet").status == 0
        if name.endswith(".parquet"):
            written = pq.read_table(tmp_path / name).to_pylist()
        else:
            written = [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        assert [list(row)[:4] for row in written] == [["id", "text", "text_pair", "label"]] * 2
        assert [(row["text"], row["text_pair"]) for row in written] == rows
        assert [row["reason"] for row in written] == ["", "empty second text"]

    def test_a_pair_with_one_empty_text_is_said_the_same_way_from_a_file_and_as_arguments(self, pairs_run, tmp_path):
        for given, reason in {("is it", ""): "empty second text", ("", "a great film"): "empty text"}.items():
            (row,) = table(run_here("predict", pairs_run, given[0], "--text-pair", given[1]).out)
            data = write_table(tmp_path / "new.csv", ("question", "answer"), [given])
            (same,) = table(run_here("predict", pairs_run, "--input", data, "--quiet").out)
            assert row == same
            assert (row["text"], row["text_pair"], row["reason"]) == (*given, reason)

    def test_without_the_second_text_the_flag_is_named(self, pairs_run):
        assert_refused(run_here("predict", pairs_run, "is it"), "judges pairs of texts", "--text-pair")

    @pytest.mark.parametrize("texts", [(), ("a", "b")])
    def test_a_second_text_goes_with_one_text(self, pairs_run, texts):
        assert_refused(run_here("predict", pairs_run, *texts, "--text-pair", "c"), "second text of one TEXT", "--input")

    def test_a_model_of_single_texts_takes_no_second(self, run):
        assert_refused(run_here("predict", run, "good", "--text-pair", "bad"), "judges single texts", "leave", "--text-pair")

    def test_training_says_what_to_type_next(self, tiny_bert, tmp_path):
        rows = [("is it", text, label) for text, label in learnable_rows(60)]
        data = write_table(tmp_path / "pairs.csv", ("text", "text_pair", "label"), rows)
        flags = ["--model", tiny_bert, "--epochs", "1", "--threads", "1", "--precision", "fp32"]
        said = run_here("train", data, "--run", tmp_path / "run", *flags).err
        for verb in ("predict", "trace"):
            line = next(line for line in said.splitlines() if line.startswith(f"  surefit {verb} "))
            outcome = run_here(*shlex.split(line)[1:])
            assert outcome.status == 0, outcome.err


class TestStandardInput:
    @pytest.mark.parametrize(
        ("stdin", "texts"),
        {
            "lines": (b"good\nbad\n", ["good", "bad"]),
            "no newline at the end": (b"good\nbad", ["good", "bad"]),
            "Windows": (b"good\r\nbad\r\n", ["good", "bad"]),
            "old Mac": (b"good\r\rbad\r", ["good", "", "bad"]),
            "mixed newlines": (b"good\r\nbad\rso so\n\r", ["good", "bad", "so so", ""]),
            "byte order mark": (b"\xef\xbb\xbfgood\n", ["good"]),
            "UTF-16, marked": ("schön\r\nbad\r\n".encode("utf-16"), ["schön", "bad"]),
            "blank lines count": (b"good\n\nbad\n\n", ["good", "", "bad", ""]),
            "nothing": (b"", []),
            "one newline": (b"\n", [""]),
            "characters that split lines elsewhere": ("good\u2028\x0c\x85bad\n".encode(), ["good\u2028\x0c\x85bad"]),
            "commas and quotes": (b'good, "so"\n', ['good, "so"']),
        }.values(),
    )
    def test_each_line_is_one_text(self, stdin, texts, run):
        outcome = run_here("predict", run, stdin=stdin)
        assert outcome.status == 0
        assert [row["text"] for row in table(outcome.out)] == texts

    def test_through_a_real_pipe(self, run):
        outcome = run_program("predict", run, "--json", stdin="sehr schön\ngood\n".encode())
        assert [row["text"] for row in outcome.json()["predictions"]] == ["sehr schön", "good"]

    def test_a_line_that_does_not_decode_keeps_its_place(self, run):
        rows = table(run_here("predict", run, stdin=b"good\n" * 150 + b"caf\xe9\n" + b"bad\n" * 49).out)
        assert len(rows) == 200
        assert (rows[150]["text"], rows[150]["label"], rows[150]["reason"]) == ("caf?", "", "not a text")
        assert [row["reason"] for row in rows].count("") == 199

    def test_more_than_one_in_a_hundred_is_an_error(self, run):
        outcome = run_here("predict", run, stdin=b"good\n" * 50 + b"caf\xe9\n")
        assert_refused(
            outcome, "standard input: 1 of 51 rows are not UTF-8, the first in line 51", "--input FILE --encoding NAME"
        )

    def test_many_lines_keep_their_order_and_numbers(self, run):
        stdin = b"good\n" * WINDOW_RECORDS + b"caf\xe9\n\nbad"
        rows = table(run_here("predict", run, stdin=stdin).out)
        assert [row["id"] for row in rows] == [str(number) for number in range(1, WINDOW_RECORDS + 4)]
        assert [row["reason"] for row in rows[WINDOW_RECORDS - 1 :]] == ["", "not a text", "empty text", ""]

    @pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le"])
    def test_another_encoding_is_refused_with_what_to_do(self, encoding, run):
        assert_refused(run_here("predict", run, stdin="schön\n".encode(encoding)), "not UTF-8", "--encoding")


class TestFiles:
    @pytest.mark.parametrize("name", FORMATS)
    def test_every_format_keeps_order_and_rows(self, name, run, tmp_path):
        path = tmp_path / name
        path.write_bytes(FORMATS[name])
        outcome = run_here("predict", run, "--input", path)
        assert outcome.status == 0, outcome.err
        rows = table(outcome.out)
        assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
        assert [row["label"] for row in rows[:4]] == ["good", "bad", "", "good"]
        assert [bool(row["reason"]) for row in rows] == [False, False, True, False, False, False]
        assert rows[4]["text"].endswith("=1+1")

    def test_rows_that_cannot_be_read_keep_their_place_and_reason(self, run, tmp_path):
        path = tmp_path / "rows.csv"
        path.write_bytes(lines("id,text", "a,great nice", "b", "c,d,e", "f,", "g,awful worst"))
        rows = table(run_here("predict", run, "--input", path, "--id", "id").out)
        assert [(row["label"], row["reason"]) for row in rows] == [
            ("good", ""),
            ("", "too few cells"),
            ("", "too many cells"),
            ("", "empty text"),
            ("bad", ""),
        ]
        assert [row["id"] for row in rows] == ["a", "", "", "f", "g"]

    def test_flags_choose_columns_and_format(self, run, tmp_path):
        path = tmp_path / "rows.txt"
        path.write_bytes(lines("1#schön good", "2#bad", encoding="cp1252"))
        flags = ["--no-header", "--delimiter", "#", "--encoding", "cp1252", "--text", "2", "--id", "1"]
        rows = table(run_here("predict", run, "--input", path, *flags).out)
        assert [(row["id"], row["text"]) for row in rows] == [("1", "schön good"), ("2", "bad")]

    def test_labels_in_the_file_do_not_matter(self, run, tmp_path):
        path = tmp_path / "rows.csv"
        path.write_bytes(lines("text,label", "great nice,", "awful worst,never heard of"))
        assert [row["label"] for row in table(run_here("predict", run, "--input", path).out)] == ["good", "bad"]


class TestOutput:
    def write(self, run, path, *flags):
        outcome = run_here("predict", run, *TEXTS, "--output", path, *flags)
        assert (outcome.status, outcome.out) == (0, ""), outcome.err
        return outcome

    def test_says_where_it_wrote(self, run, tmp_path):
        assert self.write(run, tmp_path / "out.csv").err.endswith(f"\n6 predictions are in {tmp_path / 'out.csv'}\n")
        assert self.write(run, tmp_path / "out.csv", "--quiet").err == ""

    @pytest.mark.parametrize(("name", "delimiter"), [("out.csv", ","), ("out.TSV", "\t")])
    def test_delimited(self, name, delimiter, run, tmp_path):
        self.write(run, tmp_path / name)
        written = (tmp_path / name).read_bytes().decode()
        rows = table(written, delimiter)
        assert [row["label"] for row in rows[:4]] == ["good", "bad", "", "good"]
        assert rows[4]["text"] == "'=1+1"  # no spreadsheet runs it
        assert {row["truncated"] for row in rows} <= {"true", "false"}

    def test_json_lines(self, run, tmp_path):
        self.write(run, tmp_path / "out.jsonl")
        rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [row["text"] for row in rows] == TEXTS  # as given: JSON runs no formulas
        assert [list(row) for row in rows] == [[*COLUMNS, "scores"]] * len(TEXTS)
        assert rows[0]["truncated"] is False

    def test_parquet(self, run, tmp_path):
        self.write(run, tmp_path / "out.parquet")
        written = pq.read_table(tmp_path / "out.parquet")
        assert written.column_names == COLUMNS
        assert written.column("text").to_pylist() == TEXTS
        assert written.column("probability").to_pylist()[2] == 0.0

    def test_no_rows_make_files_without_rows(self, run, tmp_path):
        for name in ("none.csv", "none.parquet", "none.jsonl"):
            assert run_here("predict", run, "--output", tmp_path / name, "--quiet").status == 0
        assert (tmp_path / "none.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"
        assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
        assert (tmp_path / "none.jsonl").read_text(encoding="utf-8") == ""

    @pytest.mark.parametrize("name", ["predictions.csv", "model/new.csv"])
    def test_a_file_of_a_run_is_never_replaced(self, name, run):
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        assert_refused(run_here("predict", run, "good", "--output", run / name), "name another")
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before

    def test_a_link_stays_and_what_it_leads_to_is_replaced(self, run, tmp_path):
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "first.csv").write_text("of yesterday")
        (tmp_path / "latest.csv").symlink_to("results/first.csv")
        self.write(run, tmp_path / "latest.csv")
        assert os.readlink(tmp_path / "latest.csv") == "results/first.csv"
        assert len(table((tmp_path / "results" / "first.csv").read_text(encoding="utf-8"))) == len(TEXTS)
        assert [path.name for path in (tmp_path / "results").iterdir()] == ["first.csv"]

    def test_a_link_to_a_file_of_a_run_is_refused(self, run, tmp_path):
        before = (run / "predictions.csv").read_bytes()
        (tmp_path / "out.csv").symlink_to(run / "predictions.csv")
        assert_refused(run_here("predict", run, "good", "--output", tmp_path / "out.csv"), "name another")
        assert (run / "predictions.csv").read_bytes() == before

    @pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
    def test_a_disk_that_takes_no_more_is_said_with_the_file_s_name(self, name, run, tmp_path):
        (tmp_path / "rows.csv").write_text("text\n" + "".join(f"good film {n}\n" for n in range(9000)), encoding="utf-8")
        path = tmp_path / "new" / "directory" / name
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # noqa: E731
        outcome = run_program(
            "predict", run, "--input", tmp_path / "rows.csv", "--output", path, "--quiet", "--threads", "1", preexec_fn=limit
        )
        assert_refused(outcome, f"{path}: ", "free some space, or write to another place")
        assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]

    def test_what_is_in_the_way_is_said_before_the_work(self, run, tmp_path):
        (tmp_path / "base.csv").touch()
        outcome = run_here("predict", run, "good", "--output", tmp_path / "base.csv" / "x.csv")
        assert_refused(outcome, f"{tmp_path / 'base.csv'} is a file, not a directory")

    def test_nothing_is_left_where_reading_failed(self, run, tmp_path):
        assert_refused(run_here("predict", run, "--input", tmp_path / "none.csv", "--output", tmp_path / "out.csv", "--quiet"))
        assert list(tmp_path.iterdir()) == []


def test_a_batch_of_rows_is_judged_as_each_row_alone(run):
    texts = ["a great film", "an awful story it was", "the worst of this and that " * 5]
    exact = ("--json", "--precision", "fp32")
    together = run_here("predict", run, *texts, *exact).json()["predictions"]
    for text, row in zip(texts, together, strict=True):
        alone = run_here("predict", run, text, *exact).json()["predictions"][0]
        assert alone["probability"] == pytest.approx(row["probability"], abs=1e-5)


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["rows", "json"])
def test_how_answers_were_computed_is_said_wherever_the_texts_come_from(run, tmp_path, flags):
    (tmp_path / "rows.csv").write_text("text\na great film\n", encoding="utf-8")
    exact = ("--precision", "fp32", "--threads", "1", *flags)
    outcomes = [
        run_here("predict", run, "a great film", *exact),
        run_here("predict", run, *exact, stdin=b"a great film\n"),
        run_here("predict", run, "--input", tmp_path / "rows.csv", *exact),
    ]
    said = "computed in fp32 on cpu with 1 thread by torch, up to 8,192 tokens at once (the usual number)\n"
    assert [outcome.err for outcome in outcomes] == [said] * 3
    assert len({outcome.out for outcome in outcomes}) == 1
    assert run_here("predict", run, "a great film", *exact, "--quiet").err == ""


def test_lines_without_an_answer_are_counted(run):
    assert "rows that could not be classified: 2 empty text; " in run_here("predict", run, stdin=b"good\n\n\n").err


@needs_int8
def test_int8_is_taken_where_it_is_asked_for(run):
    answers = {}
    for precision in ("fp32", "int8"):
        answers[precision] = run_here("predict", run, *TEXTS[:2], "--json", "--precision", precision).json()["predictions"]
    for exact, rough in zip(answers["fp32"], answers["int8"], strict=True):
        assert rough["label"] == exact["label"]
        assert rough["probability"] == pytest.approx(exact["probability"], abs=0.1)
        assert rough["probability"] != exact["probability"]
