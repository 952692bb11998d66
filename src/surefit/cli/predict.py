"""`surefit predict RUN [TEXT ...]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from surefit.cli import options
from surefit.cli.output import print_json, shown_progress
from surefit.errors import UsageError
from surefit.printable import printable


def predict(
    run: options.RunArgument,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, lines of standard input.")
    ] = None,
    input: Annotated[Path | None, typer.Option(help="CSV, TSV, JSONL, Parquet or Excel file with texts.")] = None,
    output: Annotated[Path | None, typer.Option(help="File for the predictions: .csv, .tsv, .jsonl or .parquet.")] = None,
    text: options.Text = None,
    text_pair: Annotated[
        str | None,
        typer.Option(
            help="The second text, where the model was trained on pairs; with --input the column of the second texts."
        ),
    ] = None,
    id: options.Id = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    no_header: options.NoHeader = False,
    sheet: options.Sheet = None,
    device: options.Device = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Classify texts: arguments, standard input or a file, in the input's order."""
    file = {"encoding": encoding, "delimiter": delimiter, "quote": quote, "sheet": sheet}
    read = options.read_options(text=text, text_pair=text_pair, label=None, id=id, file=file, no_header=no_header)
    machine = options.given({"device": device, "threads": threads, "precision": precision})
    if texts and input is not None:
        raise UsageError("give either texts or --input, not both")
    if input is None:
        _require_texts_alone(read, texts)

    from surefit.runs.predicted import PredictedRows, check_output, write_predictions

    if output is not None:
        check_output(output, input)
    shown = json or (output is None and sys.stdout.isatty())  # what is shown as a whole is collected first
    with _predictions(run, texts, input, text_pair, read, machine, quiet) as windows:
        if shown:
            windows = [PredictedRows.joined(windows)]
        if output is not None or not shown:
            count = write_predictions(output, windows)
    if json:
        print_json({"predictions": windows[0].to_dicts()})
    elif output is not None:
        if not quiet:
            typer.echo(f"{count:,} prediction{' is' if count == 1 else 's are'} in {printable(str(output))}", err=True)
    elif shown:
        _show(windows[0])


@contextmanager
def _predictions(
    run: Path,
    texts: list[str] | None,
    input: Path | None,
    text_pair: str | None,
    read: dict[str, Any],
    machine: dict[str, Any],
    quiet: bool,
) -> Iterator[Any]:
    """The predictions for what was given, window by window, while progress is shown."""
    from surefit.runs.predict import predict_file, predict_lines, predict_texts

    if texts:
        with shown_progress(quiet) as progress:
            predicted = predict_texts(run, texts, text_pair, machine, progress)
        yield [predicted]
    elif input is not None:
        with shown_progress(quiet) as progress, closing(predict_file(run, input, read, machine, progress)) as windows:
            yield windows
    else:
        with _standard_input() as lines, shown_progress(quiet) as progress:
            yield predict_lines(run, lines, machine, progress)


def _require_texts_alone(read: dict[str, Any], texts: list[str] | None) -> None:
    """Without a file there is nothing to be read as one; --text-pair is then the second text itself."""
    flags = ["--no-header" if name == "header" else f"--{name.replace('_', '-')}" for name in read if name != "text_pair"]
    if flags:
        raise UsageError(f"{flags[0]} goes with --input")
    if "text_pair" in read and len(texts or ()) != 1:
        raise UsageError("--text-pair without --input is the second text of one TEXT; give many pairs in a file with --input")


def _standard_input() -> AbstractContextManager[Any]:
    """Lines of standard input as texts."""
    from surefit.data.read import open_texts

    if sys.stdin.isatty():
        typer.echo("reading texts from standard input, one a line; end with Ctrl-D", err=True)
    return open_texts(sys.stdin.buffer, "standard input", "write it to a file and give --input FILE --encoding NAME")


def _show(predicted: Any) -> None:
    from rich.console import Console

    from surefit.cli.render import print_tables
    from surefit.runs.tables import prediction_table

    print_tables(Console(), [prediction_table(predicted)])
