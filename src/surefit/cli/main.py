"""The door: which verbs there are, and how errors are answered."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from surefit.cli.audit import audit
from surefit.cli.evaluate import evaluate
from surefit.cli.predict import predict
from surefit.cli.report import report
from surefit.cli.trace import trace
from surefit.cli.train import train
from surefit.errors import SureFitError
from surefit.printable import printable

# Where a terminal has fewer columns, the boxes of a help page would cut the names of flags.
_LEAST_COLUMNS_FOR_BOXES = 60

# The disk, the user's share of it, and the largest file that the shell allows.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Verb(TyperCommand):
    """A verb whose help page shows each flag in full, however narrow the terminal is."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the page, in boxes where they fit and as plain text elsewhere."""
        forced = os.environ.get("TERMINAL_WIDTH", "")  # Typer's own variable
        columns = int(forced) if forced.isdigit() else shutil.get_terminal_size().columns
        if columns < _LEAST_COLUMNS_FOR_BOXES:
            self.rich_markup_mode, formatter.width = None, columns
        super().format_help(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the plain page's arguments and flags, each on a line of its own with its help below."""
        for names, meaning in filter(None, (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))):
            formatter.write_paragraph()
            formatter.write_text(names)
            with formatter.indentation():
                formatter.write_text(meaning)


app = typer.Typer(
    name="surefit",
    help="From a labelled file to a fine-tuned BERT text classifier whose numbers can be defended.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (train, audit, evaluate, predict, trace, report):
    app.command(cls=Verb)(verb)


def _show_version(wanted: bool) -> None:
    if wanted:
        from surefit import __version__

        typer.echo(f"surefit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> int:
    """Runs the command line.

    Returns:
        its exit code: 0 done, 2 bad usage or bad input, 130 interrupted.
    """
    _prepare_streams()
    return _run()


def _prepare_streams() -> None:
    """Gives every verb its streams, even where the shell closed one, and lets them write any character."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        nowhere = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - as long as the program runs
        sys.stdin, sys.stdout, sys.stderr = (stream or nowhere for stream in (sys.stdin, sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run() -> int:
    try:
        left: Any = app(prog_name="surefit", standalone_mode=False)
        sys.stdout.flush()
    except SureFitError as error:
        return _refuse(str(error), error.exit_code)
    except typer.TyperException as error:
        return _refuse(f"{_sentence(error) or 'no verb is given'} ({_help(error)})", 2)
    except (KeyboardInterrupt, typer.Abort):
        left = 130
    except (BrokenPipeError, SystemExit):  # Typer and Rich leave with SystemExit when nobody reads their output any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename2 or error.filename}: " if error.filename else ""
        advice = "; free some space, or write to another place" if error.errno in _FULL else ""
        return _refuse(f"{where}{error.strerror or error}{advice}", 2)
    except UnicodeEncodeError:
        return _refuse("a file name has bytes that are no text in this terminal's encoding; rename it, or use UTF-8", 2)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _refuse("the memory of this machine is used up; use fewer rows, or a smaller --max-batch-tokens", 2)
    # Typer turns Ctrl-C into the status 130.
    return _refuse("interrupted; no file of SureFit's was left half written", 130) if left == 130 else 0


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether memory ran out; torch says so with a RuntimeError, in other words on each device."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said


def _sentence(error: typer.TyperException) -> str:
    """What a usage error says, on one line and without the final stop."""
    format_message = getattr(error, "format_message", None)
    message = format_message() if format_message else str(error)
    return " ".join(message.split()).rstrip(".")


def _help(error: typer.TyperException) -> str:
    """Where to read on; for a text that was taken for a flag, how to give it."""
    context: Any = getattr(error, "ctx", None)
    command = "surefit" if context is None else context.command_path
    dashed = "a text that starts with a dash comes after --; " if command in ("surefit predict", "surefit trace") else ""
    return f"{dashed if 'No such option' in str(error) else ''}see {command} --help"


def _refuse(sentence: str, exit_code: int) -> int:
    kind = "" if exit_code == 130 else "error: "
    with suppress(OSError):  # nobody reads it any more, or the terminal is closed
        typer.echo(f"{kind}{printable(' '.join(sentence.split()))}", err=True)
    return exit_code
