"""`surefit predict RUN [TEXT ...]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from surefit.cli import options
from surefit.cli.output import print_json, shown_progress
from surefit.cli.printable import printable
from surefit.errors import DataError, UsageError


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

    from surefit.runs.predict import check_output, predict_file, predict_texts, write_predictions

    if output is not None:
        check_output(output, input)
    if input is None:
        predicted = predict_texts(run, texts or _standard_input(), text_pair, machine)
    else:
        with shown_progress(quiet) as progress:
            predicted = predict_file(run, input, read, machine, progress)
    if output is not None:
        write_predictions(output, predicted)
    if json:
        print_json({"predictions": predicted.to_dicts()})
    elif output is not None:
        if not quiet:
            count = len(predicted.predictions)
            typer.echo(f"{count:,} prediction{' is' if count == 1 else 's are'} in {printable(str(output))}", err=True)
    elif sys.stdout.isatty():
        _show(predicted)
    else:
        write_predictions(None, predicted)


def _require_texts_alone(read: dict[str, Any], texts: list[str] | None) -> None:
    """Without a file there is nothing to be read as one; --text-pair is then the second text itself."""
    flags = ["--no-header" if name == "header" else f"--{name.replace('_', '-')}" for name in read if name != "text_pair"]
    if flags:
        raise UsageError(f"{flags[0]} goes with --input")
    if "text_pair" in read and len(texts or ()) != 1:
        raise UsageError("--text-pair without --input is the second text of one TEXT; give many pairs in a file with --input")


def _standard_input() -> list[str]:
    """Lines of standard input as texts; one that does not decode keeps its place as what is no text."""
    from surefit.data.lines import require_decodable, utf8_lines

    if sys.stdin.isatty():
        typer.echo("reading texts from standard input, one a line; end with Ctrl-D", err=True)
    advice = "write it to a file and give --input FILE --encoding NAME"
    try:
        read = utf8_lines(sys.stdin.buffer.read(), None)
    except DataError:
        raise UsageError(f"standard input is not UTF-8; {advice}") from None
    texts = [line.decode("utf-8", "surrogateescape").rstrip("\r\n") for line in read.lines]
    undecodable = [number for number, text in enumerate(texts, start=1) if not _is_decoded(text)]
    try:
        require_decodable(undecodable, len(texts), read.encoding, read.damage or advice)
    except DataError as error:
        raise UsageError(f"standard input: {error}") from None
    return texts


def _is_decoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _show(predicted: Any) -> None:
    from rich.console import Console

    from surefit.cli.render import print_tables
    from surefit.runs.tables import prediction_table

    print_tables(Console(), [prediction_table(predicted)])
