"""What reaches a terminal: texts as they are, colours only where wanted, nothing that moves the cursor."""

import io
import os
import re
import subprocess

import pytest
from rich.console import Console
from surefit_command import ENVIRONMENT, PROGRAM

from surefit.cli.progress import TerminalProgress
from surefit.cli.render import draw_loss_curve, print_run_trace, print_tables, smooth
from surefit.printable import printable
from surefit.progress import StepRecord
from surefit.trace import EpochTrace, Table, TrainingTrace

HOSTILE = "[bold]x[/] [/nothing] \x1b[31mred\x1b[2J\x07\x9b1m \u202eback :smile: [link=http://a.b]y[/link]"
SHOWN = "[bold]x[/] [/nothing] \ufffd[31mred\ufffd[2J\ufffd\ufffd1m \ufffdback :smile: [link=http://a.b]y[/link]"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def terminal(width=200, **options):
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", **options)


def run_on_terminal(*arguments, **environment):
    """Runs the program with a terminal for both its outputs; returns its status and what the terminal got."""
    ours, theirs = os.openpty()
    env = ENVIRONMENT | {"TERM": "xterm-256color"} | environment
    process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    received = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            piece = b""
        if not piece:
            break
        received += piece
    os.close(ours)
    return process.wait(timeout=60), received.decode()


needs_terminal = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs POSIX terminals")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – schön 漢字 👩‍👩‍👧 می‌خواهم", "plain – schön 漢字 👩‍👩‍👧 می‌خواهم"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\r\x00\x1b\x7f\x85", "\ufffd" * 5),
        (HOSTILE, SHOWN),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


def test_every_part_of_a_table_is_plain_text():
    console = terminal()
    print_tables(console, [Table(HOSTILE, (HOSTILE, "b"), ((HOSTILE, "1"),), note=HOSTILE, lead=HOSTILE)])
    drawn = console.file.getvalue()
    assert COLOUR.sub("", drawn).count(SHOWN) == 5
    assert "\x1b" not in COLOUR.sub("", drawn)


def test_progress_takes_names_as_they_are():
    console = terminal()
    with TerminalProgress(console) as progress:
        progress.begin(f"read {HOSTILE}", 10)
        progress.advance(3)
        progress.end()
        progress.note(HOSTILE)
    assert SHOWN in COLOUR.sub("", console.file.getvalue())


def test_progress_in_a_file_is_its_notes_alone():
    console = Console(file=io.StringIO(), width=200)
    with TerminalProgress(console) as progress:
        progress.begin("tokenise", 10)
        progress.advance(10)
        progress.end()
        progress.step(StepRecord(1, 1, 0.5, 1e-3, 4, 40, 0.1), 2)
        progress.epoch(EpochTrace(1, 0.5, 0.4, 0.9, 0.8, observation="learning: so it is", seconds=1.0))
    written = console.file.getvalue()
    assert written.count("\n") == 1
    assert written.startswith("epoch 1: training loss 0.5000")


def test_progress_shows_the_loss_of_the_step():
    console = terminal()
    with TerminalProgress(console) as progress:
        progress.step(StepRecord(1, 1, 0.625, 1e-3, 4, 40, 0.1), 2)
        progress.step(StepRecord(2, 1, 0.375, 1e-3, 4, 40, 0.1), 2)
    assert "loss 0.375  40 rows/s" in console.file.getvalue()


def test_results_go_to_standard_output_while_progress_is_shown(capsys):
    console = terminal()
    with TerminalProgress(console) as progress:
        progress.begin("predict", 2)
        print("id,text")
    assert capsys.readouterr().out == "id,text\n"
    assert "id,text" not in console.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 400])
def test_traces_fit_any_terminal(width, trained_run):
    console = terminal(width, no_color=True)
    print_run_trace(console, trained_run.trace)
    assert max(len(COLOUR.sub("", line)) for line in console.file.getvalue().splitlines()) <= width


@pytest.mark.parametrize("steps", [1, 2, 3, 1000])
def test_a_curve_of_any_length(steps):
    epochs = (EpochTrace(1, 0.5, 0.4, 0.9, 0.8, observation="", seconds=1.0),)
    console = terminal(80)
    console.print(draw_loss_curve(TrainingTrace(epochs, 1, (0.5,) * steps, ""), 80))
    assert "◆" in console.file.getvalue()


def test_smoothing_is_a_running_mean_of_a_thirtieth():
    losses = [float(step) for step in range(90)]
    smoothed = smooth(losses)
    assert smoothed[:3] == [0.0, 0.5, 1.0]
    assert smoothed[10] == pytest.approx((8 + 9 + 10) / 3)
    assert smooth([3.0]) == [3.0]


@needs_terminal
def test_predictions_on_a_real_terminal(trained_run):
    status, received = run_on_terminal("predict", trained_run.directory, f"good {HOSTILE}", "", "--quiet", COLUMNS="200")
    assert status == 0
    assert f"good {SHOWN}" in COLOUR.sub("", received)
    assert "(empty text)" in received
    assert "\x1b" not in COLOUR.sub("", received)
    assert COLOUR.search(received)


@needs_terminal
def test_no_color_and_a_narrow_terminal(learnable_csv):
    status, received = run_on_terminal("audit", learnable_csv, NO_COLOR="1", COLUMNS="40")
    assert status == 0
    assert all(code in ("0", "1", "3") for code in re.findall(r"\x1b\[([0-9]+)[;m]", received))  # bold and italic at most
    assert max(len(COLOUR.sub("", line)) for line in received.splitlines()) <= 40
