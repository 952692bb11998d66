"""`surefit audit DATA`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surefit.cli import options
from surefit.cli.output import print_json, shown_progress


def audit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV, TSV, JSONL, Parquet or Excel file with texts and labels.")],
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    id: options.Id = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    no_header: options.NoHeader = False,
    sheet: options.Sheet = None,
    model: options.Model = None,
    max_length: options.MaxLength = None,
    rejected: options.Rejected = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Read a labelled file and account for every row of it, without training."""
    file = {"encoding": encoding, "delimiter": delimiter, "quote": quote, "sheet": sheet}
    settings = options.read_options(text=text, text_pair=text_pair, label=label, id=id, file=file, no_header=no_header)
    settings |= options.given({"model": model, "max_length": max_length})

    from surefit.runs.audit import audit_file

    with shown_progress(quiet) as progress:
        report = audit_file(data, settings, rejected, progress)
    if json:
        print_json(report.to_dict())
        return
    from rich.console import Console

    from surefit.cli.render import print_tables
    from surefit.runs.audit_tables import audit_tables

    print_tables(Console(), audit_tables(report, rejected))
