"""`surefit report`: one file, and its path on standard output."""

import shutil

import pytest
from surefit_command import assert_refused, run_here, run_program

from surefit.artifacts import RunDirectory


@pytest.fixture
def copied_run(trained_run, tmp_path):
    return RunDirectory(shutil.copytree(trained_run.directory, tmp_path / "reviews"))


def test_it_prints_the_path_of_what_it_wrote(copied_run):
    written = copied_run.report.read_bytes()
    copied_run.report.unlink()
    outcome = run_program("report", copied_run.path)
    assert (outcome.status, outcome.out, outcome.err) == (0, f"{copied_run.report}\n", "")
    assert copied_run.report.read_bytes() == written


def test_json_names_the_path(copied_run, tmp_path):
    output = tmp_path / "shown.html"
    assert run_here("report", copied_run.path, "--output", output, "--json").json()["report"] == str(output)
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_damaged_run_is_refused_in_one_line(copied_run):
    copied_run.audit.write_text("[]", encoding="utf-8")
    assert_refused(run_here("report", copied_run.path), "audit.json", "train again with --overwrite")


def test_what_is_no_run_is_refused_in_one_line(tmp_path):
    assert_refused(run_here("report", tmp_path / "nowhere"), "there is no directory")


def test_the_directory_may_have_any_name(trained_run, tmp_path):
    run = shutil.copytree(trained_run.directory, tmp_path / "<b>my run</b> '$x$'".replace("/", "_"))
    assert run_here("report", run).status == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert '<h1 dir="auto">&lt;b&gt;my run&lt;_b&gt; &#39;$x$&#39;</h1>' in page
