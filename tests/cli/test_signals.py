"""Signals to the program: it ends at once with 130 and one line, and leaves nothing half written."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress

import pytest
from surefit_command import start_program

from surefit.data.passes import WINDOW_RECORDS

SAID = b"interrupted; no file of SureFit's was left half written\n"
LONG_TEXT = "good and bad " * 500_000


@pytest.fixture(scope="module")
def slow_rows(tmp_path_factory):
    """A window of short texts, and a second one with a text that takes many seconds to tokenise."""
    path = tmp_path_factory.mktemp("slow") / "rows.csv"
    path.write_text("text\n" + "good\n" * WINDOW_RECORDS + f"{LONG_TEXT}\n", encoding="utf-8")
    return path


def start_predicting(run, path, *flags):
    """Starts the program on a file."""
    command = ("predict", run.directory, "--input", path, *flags, "--quiet", "--threads", "1")
    return start_program(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def interrupt(process, *numbers):
    """Sends signals; returns how the program ended, and after how many seconds."""
    asked = time.monotonic()
    for number in numbers:
        process.send_signal(number)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return (process.returncode, out, err), time.monotonic() - asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nobody_waits_for_what_is_being_tokenised(number, trained_run, slow_rows):
    process = start_predicting(trained_run, slow_rows)
    for _ in range(WINDOW_RECORDS + 1):
        assert process.stdout.readline()
    ended, seconds = interrupt(process, number)
    assert ended == (130, b"", SAID)
    assert seconds < 3


def test_nothing_is_left_of_an_output(trained_run, slow_rows, tmp_path):
    output = tmp_path / "new" / "directory" / "out.csv"
    process = start_predicting(trained_run, slow_rows, "--output", output)
    while not list(output.parent.glob(".*.tmp")):
        assert process.poll() is None
        time.sleep(0.01)
    ended, _ = interrupt(process, signal.SIGHUP, signal.SIGINT, signal.SIGINT)
    assert ended == (130, b"", SAID)
    assert list(tmp_path.iterdir()) == []


def test_while_it_waits_for_texts(trained_run):
    ours, theirs = os.openpty()
    process = start_program("predict", trained_run.directory, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr.readline().startswith(b"reading texts from standard input")
    ended, _ = interrupt(process, signal.SIGTERM)  # Ctrl-C: see test_train_command.py
    os.close(ours)
    os.close(theirs)
    assert ended == (130, b"", SAID)


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_before_the_door_is_open_however_often_it_is_asked(asked):
    """Python's own import is interrupted: the first signal comes where it looks for the door, others as it gives up."""
    script = f"""
import signal, sys
from contextlib import ExitStack
from surefit.__main__ import main

class Impatient:
    def find_spec(self, name, path, target=None):
        if name == "surefit.cli.main":
            with ExitStack() as stack:
                for _ in range({asked}):
                    stack.callback(signal.raise_signal, signal.SIGINT)

sys.meta_path.insert(0, Impatient())
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", SAID)


def open_terminal():
    """A terminal as the one that the program is started from, which is told when it is closed."""
    os.setsid()
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("flags", [[], ["--quiet"]])
def test_a_terminal_that_is_closed_leaves_a_run_to_resume(flags, learnable_csv, tiny_bert, tmp_path):
    run = tmp_path / "run"
    command = ("train", learnable_csv, "--run", run, "--model", tiny_bert, "--epochs", "900", "--patience", "900", *flags)
    ours, theirs = os.openpty()
    process = start_program(*command, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=open_terminal)
    os.close(theirs)
    os.set_blocking(ours, False)
    log = run / "training_log.jsonl"
    shown = b""
    try:
        while not log.exists() or log.read_text(encoding="utf-8").count("\n") < 30:
            assert process.poll() is None, shown
            time.sleep(0.01)
            with suppress(BlockingIOError):
                shown += os.read(ours, 65_536)
        os.close(ours)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGHUP)  # as its shell does
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    assert bool(shown) != bool(flags)
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = max(event["step"] for event in events if event["event"] == "step")
    assert max((run / "checkpoints").iterdir()).name == f"step-{steps:08d}"
