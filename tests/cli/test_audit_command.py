"""`surefit audit`: tables for people, one object for programs, a list of the rejected rows."""

import csv

import pytest
from file_builders import lines, workbook
from surefit_command import assert_refused, run_here, run_program

SHEET = [["text", "label"], ["good", "pos"], ["bad", "neg"], ["fine", "pos"]]
FLAGS = {
    "--text and --label": (
        lines("text,review,stars", "x,good,5", "x,bad,1"),
        ["--text", "review", "--label", "stars"],
    ),
    "--text-pair": (lines("text,answer,label", "a,b,5", "a,c,1"), ["--text-pair", "answer"]),
    "--encoding": (lines("text,label", "schön,5", "übel,1", encoding="cp1252"), ["--encoding", "cp1252"]),
    "--delimiter": (lines("text#label", "good#5", "bad#1"), ["--delimiter", "#"]),
    "--delimiter tab": (lines("text\tlabel\tn,m", "good\t5\t1,2", "bad\t1\t3,4"), ["--delimiter", "tab"]),
    "--quote": (lines("text,label", "'good, so',5", "bad,1"), ["--quote", "'"]),
    "--quote none": (lines("text,label", '"good,5', "bad,1"), ["--quote", "none"]),
    "--no-header": (lines("good,5", "bad,1"), ["--no-header", "--text", "1", "--label", "2"]),
}


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(lines("id,text,label", "a,good,pos", "b,,neg", "c,good,neg", "d,bad,neg", "e,bad", "f,so  so,neg"))
    return path


def test_json_is_one_object_with_every_count(reviews):
    outcome = run_program("audit", reviews, "--id", "id", "--json")
    audit = outcome.json()
    assert outcome.err == ""
    assert (audit["records"], audit["used"], audit["rejected"]) == (6, 4, 2)
    assert audit["rejected_by_reason"] == {"empty text": 1, "too few cells": 1}
    assert {entry["label"]: entry["rows"] for entry in audit["classes"]} == {"neg": 3, "pos": 1}
    assert audit["conflicting_labels"]["examples"] == [["a", "c"]]
    assert audit["texts_changed"] == 1


def test_tables_say_the_same_to_people(reviews):
    outcome = run_here("audit", reviews)
    assert outcome.status == 0
    assert outcome.err == ""
    for said in ("records in the file", "empty text", "too few cells", "Classes: 2", "3.0 times the rows", "characters"):
        assert said in outcome.out


def test_texts_that_the_model_would_cut_are_counted(reviews, tiny_bert):
    (reviews.parent / "long.csv").write_bytes(lines("text,label", f"{'good ' * 40},pos", "bad,neg"))
    flags = ("--model", tiny_bert, "--max-length", "16")
    audit = run_here("audit", reviews.parent / "long.csv", *flags, "--json").json()
    assert (audit["max_length"], audit["truncated"], audit["lengths"]["tokens"]["max"]) == (16, 1, 42)
    outcome = run_here("audit", reviews.parent / "long.csv", *flags)
    assert "1 row is cut at --max-length 16" in outcome.out
    assert "1 text has more" in outcome.out
    assert outcome.err == ""


def test_a_model_or_a_length_that_cannot_be_used_is_refused(reviews, tiny_bert, tmp_path):
    assert_refused(run_here("audit", reviews, "--model", tmp_path / "none"), "there is no such directory")
    assert_refused(run_here("audit", reviews, "--max-length", "7"), "--max-length must be 8 or more")
    assert_refused(run_here("audit", reviews, "--model", tiny_bert, "--max-length", "300"), "more than the 128 tokens")


def test_rejected_rows_are_listed_with_line_and_reason(reviews, tmp_path):
    listed = tmp_path / "listed" / "rejected.csv"
    assert run_here("audit", reviews, "--id", "id", "--rejected", listed, "--json").status == 0
    with open(listed, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row.values()) for row in rows] == [("2", "3", "b", "empty text"), ("5", "6", "", "too few cells")]
    assert list(rows[0]) == ["record", "line", "id", "reason"]


def test_rows_that_are_all_rejected_are_listed_too(tmp_path):
    data, listed = tmp_path / "rows.csv", tmp_path / "rejected.csv"
    data.write_bytes(lines("text,label", ",pos", "bad,"))
    assert_refused(
        run_here("audit", data), "none of the 2 rows can be used", "each rejected record is written by --rejected FILE"
    )
    assert_refused(run_here("audit", data, "--rejected", listed), f"each rejected record is in {listed}, with line and reason")
    assert listed.read_text() == "record,line,id,reason\n1,2,1,empty text\n2,3,2,missing label\n"


def test_a_file_of_a_run_is_never_replaced(trained_run, reviews):
    outcome = run_here("audit", reviews, "--rejected", trained_run.directory / "settings.json")
    assert_refused(outcome, "is a file of the run", "name another to write to")


@pytest.mark.parametrize(("content", "flags"), FLAGS.values(), ids=FLAGS)
def test_flag_decides_how_the_file_is_read(content, flags, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    audit = run_here("audit", path, *flags, "--json").json()
    assert (audit["used"], audit["rejected"]) == (2, 0)
    assert {entry["label"] for entry in audit["classes"]} == {"5", "1"}
    plain = run_here("audit", path, "--json")
    assert plain.status == 2 or plain.out != run_here("audit", path, *flags, "--json").out


def test_sheet_chooses_the_sheet(tmp_path):
    path = tmp_path / "book.xlsx"
    path.write_bytes(workbook(("first", SHEET[:3]), ("second", SHEET)))
    assert_refused(run_here("audit", path), "--sheet")
    assert run_here("audit", path, "--sheet", "second", "--json").json()["records"] == 3
    assert run_here("audit", path, "--sheet", "1", "--json").json()["records"] == 2
