"""`surefit evaluate RUN DATA`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surefit.cli import options
from surefit.cli.output import print_json, shown_progress


def evaluate(
    run: options.RunArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="File with texts that the model has not seen, labelled or not.")],
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    id: options.Id = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    no_header: options.NoHeader = False,
    sheet: options.Sheet = None,
    rejected: options.Rejected = None,
    device: options.Device = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Judge a trained model on another file, and whether its rows are like those that it was judged on."""
    file = {"encoding": encoding, "delimiter": delimiter, "quote": quote, "sheet": sheet}
    read = options.read_options(text=text, text_pair=text_pair, label=label, id=id, file=file, no_header=no_header)
    machine = options.given({"device": device, "threads": threads, "precision": precision})

    from surefit.runs.evaluate import evaluate_file

    with shown_progress(quiet) as progress:
        figures = evaluate_file(run, data, read, machine, progress, rejected)
    if json:
        print_json(figures)
        return
    from rich.console import Console

    from surefit.cli.render import print_tables
    from surefit.runs.tables import evaluated_tables

    print_tables(Console(), evaluated_tables(figures, rejected))
