"""The hostile files of the reading tests, handed to the command line."""

import json

import pytest
from hostile_files import HOSTILE_FILES
from surefit_command import assert_refused, run_here, run_program

LABELLED = [case for case in HOSTILE_FILES if case.labelled]
each_labelled = pytest.mark.parametrize("case", LABELLED, ids=lambda case: case.name)
each_file = pytest.mark.parametrize("case", HOSTILE_FILES, ids=lambda case: case.name)
# One of each way to end: refused at once, refused after reading, read in full, read in part.
SAMPLE = ("gzipped.csv", "scratched.parquet", "utf16-mark.csv", "broken.jsonl")


def records_of(case):
    return case.used + len(case.rejected)


@each_labelled
def test_audit_accounts_for_every_row_or_refuses_in_one_line(case, tmp_path):
    outcome = run_here("audit", case.write(tmp_path), *case.flags, "--json")
    if case.error:
        assert_refused(outcome, case.name)
    else:
        audit = outcome.json()
        assert outcome.err == ""
        assert (audit["records"], audit["used"], audit["rejected"]) == (records_of(case), case.used, len(case.rejected))


@each_labelled
def test_audit_tables_and_the_list_of_rejected_rows(case, tmp_path):
    listed = tmp_path / "listed.csv"
    outcome = run_here("audit", case.write(tmp_path), *case.flags, "--rejected", listed)
    if case.error:
        assert_refused(outcome)
        assert listed.exists() == ("rows can be used" in outcome.err)
    else:
        assert outcome.status == 0
        assert not set(outcome.out) & {chr(code) for code in range(32) if chr(code) != "\n"}
        assert len(listed.read_text(encoding="utf-8").splitlines()) == 1 + len(case.rejected)


@each_file
def test_predict_answers_every_row_or_refuses_in_one_line(case, tmp_path, trained_run):
    flags = [*case.flags]
    if "--label" in flags:  # predicting needs no label
        del flags[flags.index("--label") : flags.index("--label") + 2]
    outcome = run_here("predict", trained_run.directory, "--input", case.write(tmp_path), *flags, "--json", "--quiet")
    if outcome.status:
        assert case.error or not case.labelled, outcome.err
        assert_refused(outcome, case.name)
    else:
        predictions = outcome.json()["predictions"]
        assert all(bool(row["label"]) != bool(row["reason"]) for row in predictions)
        if not case.error:
            assert len(predictions) == records_of(case)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_program_itself_does_as_its_main(name, tmp_path):
    case = next(case for case in HOSTILE_FILES if case.name == name)
    path = case.write(tmp_path)
    arguments = ["audit", path, *case.flags, "--json"]
    assert run_program(*arguments) == run_here(*arguments)


def test_no_text_of_a_row_is_in_an_error(tmp_path):
    secret = "Ms Jones owes 311 euros"
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": secret, "label": ["a", "b"]}) + "\n", encoding="utf-8")
    outcome = run_here("audit", rows)
    assert_refused(outcome, "several labels", "line 1")
    assert "Jones" not in outcome.err
