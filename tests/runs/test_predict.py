"""Texts or a file in, predictions out, in the input's order and in every format."""

from __future__ import annotations

import csv
import dataclasses
import json
import os

import pyarrow.parquet as pq
import pytest

from learnable_rows import learnable_rows, read_table, write_table
from surefit.config import ReadSettings
from surefit.data.passes import WINDOW_RECORDS
from surefit.data.read import read
from surefit.errors import DataError, UsageError
from surefit.progress import Progress
from surefit.runs import predict
from surefit.runs.predict import predict_texts
from surefit.runs.predicted import PredictedRows, check_output, write_predictions

EXACT = {"precision": "fp32", "threads": 1}
COLUMNS = ["id", "text", "label", "probability", "truncated", "reason"]


def predict_file(*arguments):
    return PredictedRows.joined(predict.predict_file(*arguments))


@pytest.fixture(scope="module")
def predicted(trained_run, tmp_path_factory):
    """Predictions for a file of good, unusable, dangerous, bad and long rows."""
    rows = [("a", "a great happy film"), ("b", ""), ("=c", "=1+1 awful"), ("d", "the worst awful story"), ("e", "good " * 300)]
    data = write_table(tmp_path_factory.mktemp("data") / "new.csv", ("name", "text"), rows)
    return predict_file(trained_run.directory, data, {"id": "name"}, EXACT, Progress())


def test_every_record_has_a_prediction_in_the_file_s_order(predicted):
    assert predicted.ids == ("a", "b", "=c", "d", "e")
    assert [said.label for said in predicted.predictions][::3] == ["good", "bad"]
    assert [said.reason for said in predicted.predictions] == ["", "empty text", "", "", ""]
    assert [said.truncated for said in predicted.predictions] == [False, False, False, False, True]


def test_predictions_are_those_of_the_classifier(predicted, trained_run):
    said = trained_run.load(**EXACT).predict(list(predicted.texts))
    assert [row.label for row in said] == [row.label for row in predicted.predictions]
    assert [row.score for row in said] == pytest.approx([row.score for row in predicted.predictions], abs=1e-6)


def read_delimited(path, delimiter):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize(("name", "delimiter"), [("out.csv", ","), ("out.tsv", "\t"), ("OUT.CSV", ",")])
def test_delimited_files_hold_all_rows_and_nothing_that_a_spreadsheet_runs(predicted, tmp_path, name, delimiter):
    write_predictions(tmp_path / name, [predicted])
    rows = read_delimited(tmp_path / name, delimiter)
    assert list(rows[0]) == COLUMNS
    assert [(row["id"], row["text"]) for row in rows][:3] == [("a", "a great happy film"), ("b", ""), ("'=c", "'=1+1 awful")]
    assert [row["label"] for row in rows] == [said.label for said in predicted.predictions]
    assert [float(row["probability"]) for row in rows] == [said.score for said in predicted.predictions]
    assert [row["truncated"] for row in rows] == ["false", "false", "false", "false", "true"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.ndjson"])
def test_json_lines_have_the_probability_of_each_class(predicted, tmp_path, name):
    write_predictions(tmp_path / name, [predicted])
    rows = [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
    assert rows == predicted.to_dicts()
    assert list(rows[0]) == [*COLUMNS, "scores"]
    assert list(rows[0]["scores"]) == ["bad", "good"]
    assert sum(rows[0]["scores"].values()) == pytest.approx(1.0)
    assert (rows[1]["scores"], rows[1]["label"]) == ({}, "")
    assert rows[2]["text"] == "=1+1 awful"


def test_parquet_keeps_types(predicted, tmp_path):
    write_predictions(tmp_path / "out.parquet", [predicted])
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == COLUMNS
    assert table.column("probability").to_pylist() == [said.score for said in predicted.predictions]
    assert table.column("truncated").to_pylist()[-1] is True


def test_without_a_file_they_go_to_standard_output(predicted, capsys):
    write_predictions(None, [predicted])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == 6


def test_no_rows_make_an_empty_table(trained_run, tmp_path):
    nothing = predict_texts(trained_run.directory, [], None, EXACT, Progress())
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        write_predictions(tmp_path / name, [nothing])
    assert read_table(tmp_path / "out.csv") == []
    assert pq.read_table(tmp_path / "out.parquet").column_names == COLUMNS


@pytest.mark.parametrize("name", ["out", "out.txt", "out.xlsx", "out.csv.gz"])
def test_a_format_that_cannot_be_written_is_refused_beforehand(tmp_path, name):
    with pytest.raises(UsageError, match=r"its name must end in one of \.csv, "):
        check_output(tmp_path / name)


def test_texts_are_numbered(trained_run):
    found = predict_texts(trained_run.directory, ["good", "", "good"], None, EXACT, Progress())
    assert (found.ids, found.texts) == (("1", "2", "3"), ("good", "", "good"))
    assert [said.reason for said in found.predictions] == ["", "empty text", ""]


def test_bytes_that_are_no_utf8_are_unusable_and_can_be_written(trained_run, tmp_path):
    argument = b"caf\xe9".decode("utf-8", "surrogateescape")  # as Python hands arguments over
    found = predict_texts(trained_run.directory, [argument, "good"], None, EXACT, Progress())
    assert [said.reason for said in found.predictions] == ["not a text", ""]
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        write_predictions(tmp_path / name, [found])
    assert [row["text"] for row in read_table(tmp_path / "out.csv")] == ["caf?", "good"]


def test_labels_in_the_file_are_not_needed_and_not_minded(trained_run, learnable_csv):
    found = predict_file(trained_run.directory, learnable_csv, {"id": "id"}, EXACT, Progress())
    right = [row["label"] == said.label for row, said in zip(read_table(learnable_csv), found.predictions, strict=True)]
    assert len(right) == 170
    assert sum(right) > 150


def test_each_record_keeps_its_texts_as_given_used_or_not(trained_run, tmp_path):
    rows = [("a", "a great film"), ("", "an awful film"), ("b", " \u200b"), ("", "")]
    data = write_table(tmp_path / "new.csv", ("name", "text"), rows)
    found = predict_file(trained_run.directory, data, {"id": "name"}, EXACT, Progress())
    assert found.texts == tuple(text for _, text in rows)
    assert [said.reason for said in found.predictions] == ["", "missing id", "empty text", "empty text"]


def test_of_a_record_that_cannot_be_read_the_texts_that_can_be_are_kept(trained_run, tmp_path):
    data = tmp_path / "new.jsonl"
    lines = [{"name": "a", "text": ["nested"]}, {"name": ["nested"], "text": "good"}]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines) + "no JSON\n", encoding="utf-8")
    found = predict_file(trained_run.directory, data, {"id": "name"}, EXACT, Progress())
    assert (found.ids, found.texts) == (("a", "", ""), ("", "good", ""))
    assert [said.reason for said in found.predictions] == ["nested value", "nested value", "not JSON"]


def test_a_text_column_that_is_not_certain_is_a_sentence(trained_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("a", "b"), [("x", "y")])
    with pytest.raises(DataError, match="no column is certain to be the text"):
        predict_file(trained_run.directory, data, {}, EXACT, Progress())


def test_progress_counts_the_usable_rows(trained_run, learnable_csv):
    class Counts(Progress):
        begun, done = ("", 0), 0

        def begin(self, what, total):
            self.begun = (what, total)

        def advance(self, done):
            self.done += done

    counts = Counts()
    predict_file(trained_run.directory, learnable_csv, {}, EXACT, counts)
    assert (counts.begun, counts.done) == (("predict", 170), 169)


MANY = 2 * WINDOW_RECORDS + 100


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory):
    """A file of several windows, some of whose rows cannot be used or are cut, one over the border of two windows."""
    rows = [(f"k{number}", text) for number, (text, _) in enumerate(learnable_rows(MANY))]
    rows[WINDOW_RECORDS - 1] = ("k4095", "good\n" * 200)
    rows[WINDOW_RECORDS] = ("k4096", "")
    rows[-1] = ("", "bad")
    return write_table(tmp_path_factory.mktemp("data") / "many.csv", ("name", "text"), rows)


def test_many_rows_come_window_by_window_and_are_those_of_one(trained_run, many_rows):
    parts = list(predict.predict_file(trained_run.directory, many_rows, {"id": "name"}, EXACT, Progress()))
    found = PredictedRows.joined(parts)
    whole = trained_run.load(**EXACT).predict_records(read(many_rows, ReadSettings(id="name"), labelled=False))
    assert [len(part.ids) for part in parts] == [WINDOW_RECORDS, WINDOW_RECORDS, 100]
    assert found.ids == tuple(row["name"] for row in read_table(many_rows))
    assert found.texts == tuple(row["text"] for row in read_table(many_rows))
    assert [said.reason for said in found.predictions if said.reason] == ["empty text", "missing id"]
    for name in ("label", "truncated", "reason"):
        assert [getattr(said, name) for said in found.predictions] == [getattr(said, name) for said in whole]
    assert [said.score for said in found.predictions] == pytest.approx([said.score for said in whole], abs=1e-6)


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_windows_are_written_as_they_would_be_at_once(predicted, tmp_path, name):
    assert write_predictions(tmp_path / name, [predicted] * 3) == 15
    write_predictions(tmp_path / f"whole-{name}", [PredictedRows.joined([predicted] * 3)])
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def test_a_large_parquet_file_gets_several_row_groups(predicted, tmp_path):
    one = dataclasses.replace(predicted, texts=("x" * 2**22,) * 5)
    assert write_predictions(tmp_path / "out.parquet", (one for _ in range(5))) == 25
    written = pq.ParquetFile(tmp_path / "out.parquet")
    assert [written.metadata.row_group(number).num_rows for number in range(written.num_row_groups)] == [20, 5]
    assert written.read().column("id").to_pylist() == [*predicted.ids] * 5


def test_standard_output_gets_each_window_as_soon_as_it_is_known(predicted, capsys):
    seen = []

    def windows():
        for _ in range(3):
            yield predicted
            seen.append(len(capsys.readouterr().out.splitlines()))

    write_predictions(None, windows())
    assert seen == [6, 5, 5]


class Meddler(Progress):
    """Does something when the second window begins."""

    def __init__(self, act):
        self.act, self.done = act, 0

    def advance(self, done):
        self.done += done
        if self.done > WINDOW_RECORDS:
            self.act()


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("earlier", [None, b"what was there"])
def test_an_interrupt_in_a_late_window_leaves_nothing_and_replaces_nothing(trained_run, many_rows, tmp_path, name, earlier):
    if earlier is not None:
        (tmp_path / name).write_bytes(earlier)
    found = predict.predict_file(trained_run.directory, many_rows, {}, EXACT, Meddler(interrupt))
    with pytest.raises(KeyboardInterrupt):
        write_predictions(tmp_path / name, found)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == ([(name, earlier)] if earlier else [])


def test_a_file_that_is_cut_short_under_way_is_a_sentence_and_leaves_nothing(trained_run, many_rows, tmp_path):
    data = tmp_path / "growing.csv"
    data.write_bytes(many_rows.read_bytes() + b"".join(b"n%d,so so\n" % number for number in range(100_000)))
    found = predict.predict_file(trained_run.directory, data, {}, EXACT, Meddler(lambda: os.truncate(data, 1000)))
    with pytest.raises(DataError, match=r"growing\.csv: the file changed while it was read; "):
        write_predictions(tmp_path / "out.csv", found)
    assert list(tmp_path.iterdir()) == [data]


def test_what_is_wrong_with_a_file_is_said_before_a_directory_is_made(trained_run, many_rows, tmp_path):
    data = tmp_path / "new.csv"
    data.write_bytes(many_rows.read_bytes() + b"k5,again\n")
    with pytest.raises(DataError, match=r"rows 6 and 8,293 have the same id"):
        write_predictions(
            tmp_path / "new" / "out.csv", predict.predict_file(trained_run.directory, data, {"id": "name"}, EXACT, Progress())
        )
    assert list(tmp_path.iterdir()) == [data]


class Notes(Progress):
    def __init__(self):
        self.sentences = []

    def note(self, sentence):
        self.sentences.append(sentence)


@pytest.mark.usefixtures("own_cache")
def test_rows_without_an_answer_and_texts_that_were_cut_are_said(trained_run, tmp_path):
    rows = [("a", "good"), ("b", ""), ("c", " "), ("d", "bad " * 300)]
    data = write_table(tmp_path / "new.csv", ("name", "text"), rows)
    notes = Notes()
    assert len(predict_file(trained_run.directory, data, {"id": "name"}, EXACT, notes).predictions) == 4
    longest = trained_run.load(**EXACT).max_length
    assert notes.sentences[-3:] == [
        "rows that could not be classified: 2 empty text; they have an empty label and the reason",
        f"texts that were cut to the {longest} tokens that the model reads: 1",
        "computed in fp32 on cpu with 1 thread by torch, up to 8,192 tokens at once (the usual number)",
    ]


def test_nothing_is_said_of_rows_that_were_all_read_whole(trained_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("name", "text"), [("a", "good"), ("b", "bad")])
    notes = Notes()
    predict_file(trained_run.directory, data, {"id": "name"}, EXACT, notes)
    assert [sentence for sentence in notes.sentences if "classified" in sentence or "cut" in sentence] == []
