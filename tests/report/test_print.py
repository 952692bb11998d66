"""On paper a report has all that it says: no column and no text lies beside the page."""

import shutil
import subprocess

import pytest

from learnable_rows import write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.runs.report import report_run
from surefit.runs.row_files import EXAMPLE_COLUMNS, ISSUE_COLUMNS
from surefit.runs.train import train

CLASSES = 12
FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync --no-first-run"

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("pdftotext") is None, reason="there is no chromium, or no pdftotext"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_bert):
    """A run of as many classes as a matrix may have, whose long names have no place to break, and that mostly abstains."""
    directory = tmp_path_factory.mktemp("print")
    names = [f"{chr(ord('a') + number)}{'x' * 90}" for number in range(CLASSES)]
    rows = [
        (f"number {row} is {'word ' * (row % 3)}of{row % CLASSES}", names[(row + (row % 35 == 0)) % CLASSES])
        for row in range(35 * CLASSES)
    ]
    data = write_table(directory / "rows.csv", ("text", "label"), rows)
    options = {"model": tiny_bert, "epochs": 2, "precision": "fp32", "threads": 1, "max_error": 0.1}
    return RunDirectory(train(data, directory / "run", **options).directory)


@pytest.fixture(scope="module")
def printed(run, tmp_path_factory):
    """All that stands on pages of A4, without spaces."""
    directory = tmp_path_factory.mktemp("printed")
    page, pdf = directory / "report.html", directory / "report.pdf"
    source = report_run(run.path, page).read_text(encoding="utf-8")
    page.write_text(source.replace("@page {", "@page { size: A4;"), encoding="utf-8")
    profile = f"--user-data-dir={directory / 'profile'}"
    options = [*FLAGS.split(), profile, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri()]
    subprocess.run(["chromium", *options], capture_output=True, check=True, timeout=120)
    text = subprocess.run(["pdftotext", "-raw", pdf, "-"], capture_output=True, check=True, timeout=60).stdout.decode()
    return "".join(text.split())


def test_the_last_columns_of_the_matrix_are_there(run, printed):
    test = read_json(run.metrics)["test"]
    assert test["answered"] < test["n"]
    assert "noanswerall" in printed


@pytest.mark.parametrize(("name", "columns"), [("label_issues", ISSUE_COLUMNS), ("training_examples", EXAMPLE_COLUMNS)])
def test_texts_beside_long_names_are_there(run, printed, name, columns):
    lines = getattr(run, name).read_text(encoding="utf-8").splitlines()[1:11]
    assert len(lines) > 3
    for line in lines:
        text = line.split(",")[len(columns)]
        assert "".join(text.split()) in printed
