"""What the progress bars show at any width of the terminal."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from surefit.cli.progress import TerminalProgress
from surefit.progress import StepRecord
from surefit.trace import EpochTrace

OBSERVATION = "learning: validation loss went from 0.450 to 0.380 and macro F1 from 0.800 to 0.830"
EPOCH = EpochTrace(2, 0.4100, 0.3800, 0.8301, 0.8302, observation=OBSERVATION, seconds=1.0)


def terminal(width):
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def shown(console):
    """What the terminal got, line by line; the cursor's movements begin a new line."""
    return [line.rstrip() for line in re.split(r"\n|\r|\x1b\[[?0-9;]*[A-Za-z]", console.file.getvalue())]


def train(console):
    """A step of a long training, and a validation under way."""
    with TerminalProgress(console) as progress:
        progress.step(StepRecord(12_345, 1, 0.375, 1e-3, 1_234, 40, 1.0), 24_000)
        progress.begin("validate", 1066)
        progress.advance(533)


@pytest.mark.parametrize("width", [50, 60, 79, 80, 100, 200])
def test_nothing_of_a_bar_is_cut_off(width):
    console = terminal(width)
    train(console)
    lines = shown(console)
    assert max(map(cell_len, lines)) <= width
    assert not any("…" in line for line in lines)
    words = {word for line in lines for word in line.split()}
    assert {"train", "12345/24000", "left", "loss", "0.375", "1,234", "rows/s", "validate", "533/1066"} <= words
    assert any(re.fullmatch(r"\d+:\d\d:\d\d|-:--:--", word) for word in words)


@pytest.mark.parametrize(("width", "graphic"), [(50, False), (79, False), (80, True), (200, True)])
def test_a_narrow_terminal_gets_no_graphic_and_no_time_elapsed(width, graphic):
    console = terminal(width)
    train(console)
    assert any("━" in line for line in shown(console)) == graphic
    assert any(re.search(r"\d:\d\d:\d\d left", line) for line in shown(console)) == graphic


def test_bars_follow_a_terminal_that_gets_narrower():
    console = terminal(120)
    with TerminalProgress(console) as progress:
        progress.begin("tokenise", 10)
        progress.advance(5)
        console.file.truncate(0)
        console.width = 50
        progress.advance(1)
    last = shown(console)[-3:]
    assert max(map(cell_len, last)) <= 50
    assert not any("━" in line for line in last)


def test_a_long_name_takes_more_lines():
    console = terminal(50)
    with TerminalProgress(console) as progress:
        progress.begin("read a_long_name_of_a_file_with_tickets_of_2024.csv", 0)
    joined = "".join(line.removesuffix("0/?       left").strip() for line in shown(console))
    assert "a_long_name_of_a_file_with_tickets_of_2024.csv" in joined


@pytest.mark.parametrize("width", [40, 50, 80])
def test_an_epochs_figures_and_words_are_whole_on_a_terminal(width):
    console = terminal(width)
    with TerminalProgress(console) as progress:
        progress.epoch(EPOCH)
    lines = shown(console)
    assert max(map(cell_len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {"0.4100,", "0.3800,", "83.01%,", "0.8302:", *OBSERVATION.split()} <= words


def test_a_path_in_a_note_can_be_copied_whole():
    console, path = terminal(40), "/runs/" + "directory/" * 10
    TerminalProgress(console).note(f"written to {path}")
    assert path in console.file.getvalue()


def test_an_epoch_is_one_line_in_a_file():
    console = Console(file=io.StringIO(), width=40)
    with TerminalProgress(console) as progress:
        progress.epoch(EPOCH)
    assert console.file.getvalue().count("\n") == 1


def test_each_training_has_a_bar_and_epochs_of_its_own_name():
    console = terminal(160)
    with TerminalProgress(console) as progress:
        progress.step(StepRecord(10, 1, 0.375, 1e-3, 8, 40, 1.0), 10)
        progress.training("seed 2 of 3")
        progress.step(StepRecord(4, 1, 0.5, 1e-3, 16, 40, 1.0), 10)
        progress.epoch(EPOCH)
        console.file.truncate(0)
        progress.step(StepRecord(5, 2, 0.25, 1e-3, 16, 40, 1.0), 10)
        progress.begin("validate", 10)
    lines = shown(console)
    assert any(re.match(r"seed 2 of 3 .* 5/10 .* loss 0\.250 +16 rows/s", line) for line in lines)
    assert not any(line.startswith("train") for line in lines)
    console = terminal(160)
    with TerminalProgress(console) as progress:
        progress.training("seed 2 of 3")
        progress.epoch(EPOCH)
    assert any(line.startswith("seed 2 of 3, epoch 2: training loss 0.4100") for line in shown(console))
