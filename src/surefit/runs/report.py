"""`report.html` of a run, from the files of the run alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefit.artifacts import RunDirectory, atomic_writer, output_file, read_own_json
from surefit.csv_files import read_csv
from surefit.data.audit import Audit
from surefit.errors import RunError
from surefit.report.content import SHARES, ReportContent, RunFacts, TextRows
from surefit.report.page import render_report
from surefit.runs.directory import require_run, require_writable
from surefit.runs.finished import REMEDY, open_run, rebuild_file
from surefit.runs.row_files import EXAMPLE_COLUMNS, ISSUE_COLUMNS, MISTAKE_COLUMNS
from surefit.trace import PredictionTrace, RunTrace

_ROWS_QUOTED = 20
# All that the file has.
_EXAMPLES_QUOTED = 30


def report_run(path: Path, output: Path | None = None) -> Path:
    """Writes the report of a finished run again.

    Args:
        path: the run.
        output: the file to write; `report.html` in the run when not given.

    Returns:
        the file that was written.

    Raises:
        RunError: the run is not finished, or a file of it is missing or damaged.
        UsageError: the output cannot be written.
    """
    require_run(path)
    if output is not None:
        require_writable(output)
    run = RunDirectory(path)
    if run.settings.is_file() and not run.metrics.is_file():
        raise RunError(f"the run {path} is not finished; finish it with `surefit train DATA --run {path} --resume`")
    finished = open_run(path)
    written = run.report if output is None else output
    write_report(run, finished.metrics, finished.trace, output_file(written))
    return written


def write_report(run: RunDirectory, metrics: Mapping[str, Any], trace: RunTrace, output: Path) -> None:
    """Writes the report from what is in memory of a run that ends, or was read again, and from its other files.

    Args:
        run: the run; all its files but metrics and trace are there.
        metrics: the content of `metrics.json`.
        trace: that of `trace.json`.
        output: the file to write.

    Raises:
        RunError: a file is missing or damaged.
    """
    page = render_report(
        ReportContent(
            name=Path(os.path.abspath(run.path)).name,
            metrics=metrics,
            facts=rebuild_file(RunFacts, read_own_json(run.settings, REMEDY), run.settings),
            audit=rebuild_file(Audit, read_own_json(run.audit, REMEDY), run.audit),
            trace=trace,
            prediction=rebuild_file(PredictionTrace, read_own_json(run.prediction_trace, REMEDY), run.prediction_trace),
            label_issues=_quoted(run.label_issues, ISSUE_COLUMNS),
            mistakes=_quoted(run.mistakes, MISTAKE_COLUMNS),
            training_examples=_quoted(run.training_examples, EXAMPLE_COLUMNS, _EXAMPLES_QUOTED),
        )
    )
    with atomic_writer(output, binary=True) as file:
        file.write(page.encode("utf-8", "replace"))  # a directory's name may be no UTF-8


def _quoted(path: Path, columns: tuple[str, ...], most: int = _ROWS_QUOTED) -> TextRows | None:
    """The first rows of a file with texts; None where somebody took it away, since texts may be confidential."""
    if not path.exists():
        return None
    try:
        header, rows = read_csv(path, most)
        if tuple(header[: len(columns)]) != columns or header[len(columns) :] not in (["text"], ["text", "text_pair"]):
            raise RunError(f"{path} is damaged: its columns are not {', '.join(columns)} and the texts")
        for name in columns:
            if name in SHARES and not all(_is_share(row[header.index(name)]) for row in rows):
                raise RunError(f"{path} is damaged: {name} must be a number from 0 to 1")
    except RunError as error:
        raise RunError(f"{error}; {REMEDY}") from None
    return TextRows(tuple(header), tuple(map(tuple, rows)))


def _is_share(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False
