"""Runs whose split goes by a column of groups or of times."""

import pandas as pd
import pytest

from learnable_rows import learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory
from surefit.errors import DataError
from surefit.runs.train import train

QUICK = {"epochs": 1, "batch_size": 16, "precision": "fp32", "threads": 1}


def split_table(run):
    return pd.DataFrame(read_table(RunDirectory(run.directory).splits))


def split_stage(run):
    return next(stage for stage in run.trace.pipeline.stages if stage.stage == "split")


@pytest.fixture(scope="module")
def customers(tmp_path_factory):
    """Rows of forty customers, four each; every tenth row of the file lacks the customer."""
    rows = [(text, label, f"customer {number % 40}") for number, (text, label) in enumerate(learnable_rows(160))]
    return write_table(tmp_path_factory.mktemp("data") / "rows.csv", ("text", "label", "customer"), rows)


def test_no_group_stands_in_two_splits(tiny_bert, customers, tmp_path):
    run = train(customers, tmp_path / "run", model=tiny_bert, group="customer", **QUICK)
    table = split_table(run)
    table["customer"] = (table.id.astype(int) - 1) % 40
    assert (table.groupby("customer").split.nunique() == 1).all()
    assert (table.groupby("customer").group.nunique() == 1).all()
    assert 'rows of the same "customer" stay together, and with rows of similar text' in split_stage(run).notes
    assert run.metrics["leaks"] == {"exact": 0, "near": 0, "group": 0, "earlier_run": 0}


def test_a_given_file_with_rows_of_the_same_groups_leaks(tiny_bert, customers, tmp_path):
    rows = [
        (f"{text} entirely new words here", label, f"customer {38 + number}")
        for number, (text, label) in enumerate(learnable_rows(6, seed=9))
    ]
    test = write_table(tmp_path / "test.csv", ("text", "label", "customer"), rows)
    run = train(customers, tmp_path / "run", test=test, model=tiny_bert, group="customer", **QUICK)
    assert run.metrics["leaks"]["group"] == 2
    assert run.metrics["test_without_leaks"]["n"] == 4
    assert [row["kind"] for row in read_table(RunDirectory(run.directory).leaks)] == ["group", "group"]
    assert any(
        "2 validation or test rows are of a group that stands in another split" in note for note in split_stage(run).notes
    )


def test_a_given_file_needs_no_column_of_groups_or_times(tiny_bert, customers, tmp_path):
    test = write_table(tmp_path / "test.csv", ("text", "label"), learnable_rows(6, seed=9))
    run = train(customers, tmp_path / "run", test=test, model=tiny_bert, group="customer", **QUICK)
    assert run.metrics["leaks"]["group"] == 0


def test_rows_without_a_time_are_rejected_with_the_reason(tiny_bert, tmp_path):
    rows = [
        (text, label, "" if number == 3 else f"g{number}", "" if number == 5 else f"{2000 + number}")
        for number, (text, label) in enumerate(learnable_rows(80))
    ]
    data = write_table(tmp_path / "rows.csv", ("text", "label", "who", "year"), rows)
    run = train(data, tmp_path / "run", model=tiny_bert, group="who", time="year", **QUICK)
    rejected = read_table(RunDirectory(run.directory).rejected)
    assert [(row["line"], row["reason"]) for row in rejected] == [("7", "missing time")]


def test_rows_without_a_group_are_groups_of_their_own_in_all_sources(tiny_bert, tmp_path):
    rows = [(text, label, " " if number % 3 else f"g{number % 4}") for number, (text, label) in enumerate(distinct_rows(120))]
    data = write_table(tmp_path / "rows.csv", ("text", "label", "who"), rows)
    others = [
        (f"{label} some other text {number}", label, "" if number else "g3") for number, (_, label, _) in enumerate(rows[:8])
    ]
    test = write_table(tmp_path / "test.csv", ("text", "label", "who"), others)
    run = train(data, tmp_path / "run", test=test, model=tiny_bert, group="who", **QUICK)
    assert read_table(RunDirectory(run.directory).rejected) == []
    table = split_table(run)
    table = table[table.file == "rows.csv"]
    table["who"] = [row[2].strip() for row in rows]
    ungrouped, grouped = table[table.who == ""], table[table.who != ""]
    assert set(ungrouped.split) == {"train", "validation"}
    assert ungrouped.group.nunique() == len(ungrouped) == 80
    assert (grouped.groupby("who").group.nunique() == 1).all()
    assert (grouped.groupby("who").split.nunique() == 1).all()
    assert run.metrics["leaks"]["group"] == 1
    read = next(stage for stage in run.trace.pipeline.stages if stage.stage == "read")
    assert 'rows.csv: the column "who" is empty in 80 rows, each of which is a group of its own' in read.notes
    assert 'test.csv: the column "who" is empty in 7 rows, each of which is a group of its own' in read.notes


def test_the_latest_rows_are_tested_on(tiny_bert, tmp_path):
    source = [
        (text, label, f"2024-{1 + number // 28:02}-{1 + number % 28:02}")
        for number, (text, label) in enumerate(distinct_rows(140))
    ]
    data = write_table(tmp_path / "rows.csv", ("text", "label", "day"), source[::-1])
    run = train(data, tmp_path / "run", model=tiny_bert, time="day", **QUICK)
    table = split_table(run)
    table["day"] = [row[2] for row in source[::-1]]
    days = {name: part.day for name, part in table.groupby("split")}
    assert days["train"].max() < days["validation"].min()
    assert days["validation"].max() < days["test"].min()
    assert f'test rows are those of "day" {days["test"].min()} and later' in split_stage(run).notes


def test_a_time_that_is_none_is_a_sentence_with_file_and_line(tiny_bert, tmp_path):
    rows = [(text, label, "soon" if number == 2 else "2024-01-01") for number, (text, label) in enumerate(learnable_rows(40))]
    data = write_table(tmp_path / "rows.csv", ("text", "label", "day"), rows)
    with pytest.raises(DataError, match=r"^rows\.csv, line 4: the time is not a number or a date"):
        train(data, tmp_path / "run", model=tiny_bert, time="day", **QUICK)


def distinct_rows(n):
    """Texts of which no two share most of their words."""
    return [
        (f"{text} {' '.join(f'{word}{number}' for word in ('alpha', 'beta', 'gamma', 'delta'))}", label)
        for number, (text, label) in enumerate(learnable_rows(n))
    ]


def test_training_rows_of_the_time_that_is_judged_are_told(tiny_bert, tmp_path):
    rows = [
        (text, label, number // 4 if number < 130 else 0, 2000 + number)
        for number, (text, label) in enumerate(distinct_rows(140))
    ]
    data = write_table(tmp_path / "rows.csv", ("text", "label", "who", "year"), rows)
    run = train(data, tmp_path / "run", model=tiny_bert, group="who", time="year", **QUICK)
    assert any(
        note.startswith("10 training rows are later than the first row kept for judging") for note in split_stage(run).notes
    )
