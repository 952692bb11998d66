"""`surefit trace RUN TEXT`."""

from __future__ import annotations

from typing import Annotated

import typer

from surefit.cli import options
from surefit.cli.output import print_json


def trace(
    run: options.RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text to follow through the model.")],
    text_pair: Annotated[str | None, typer.Option(help="The second text, where the model was trained on pairs.")] = None,
    device: options.Device = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    json: options.Json = False,
) -> None:
    """Show how the model judges one text, layer by layer."""
    from surefit.inference.classifier import load
    from surefit.runs.directory import require_run

    require_run(run)
    machine = options.given({"device": device, "threads": threads, "precision": precision})
    shown = load(run, **machine).trace(text, text_pair)
    if json:
        print_json(shown.to_dict())
        return
    from rich.console import Console

    from surefit.cli.render import print_tables

    print_tables(Console(), shown.tables())
