"""`surefit report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surefit.cli import options
from surefit.cli.output import print_json


def report(
    run: options.RunArgument,
    output: Annotated[Path | None, typer.Option(help="File to write (report.html in the run when not given).")] = None,
    json: options.Json = False,
) -> None:
    """Write the report of a finished run again, as one HTML file."""
    from surefit.runs.report import report_run

    written = report_run(run, output)
    if json:
        print_json({"report": str(written)})
    else:
        typer.echo(str(written))
