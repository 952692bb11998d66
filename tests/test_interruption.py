"""Signals that ask a program to end. They are raised for real, in this process."""

import os
import random
import signal
import subprocess
import threading
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from surefit.interruption import answer_signals, interrupt, orderly_stop, stop_afterwards

NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture
def handlers():
    """Puts back whatever a test sets."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_only_asks(number):
    with orderly_stop() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested


@pytest.mark.parametrize("first", NUMBERS)
def test_signals_in_quick_succession_ask_once_and_a_later_one_does_not_wait(first):
    with orderly_stop() as stop:
        for number in (first, *NUMBERS):
            signal.raise_signal(number)
        assert stop.requested
        time.sleep(1.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def leave_by_an_error():
    with orderly_stop():
        raise RuntimeError


def test_afterwards_signals_mean_what_they_meant():
    before = [signal.getsignal(number) for number in NUMBERS]
    with orderly_stop():
        pass
    with pytest.raises(RuntimeError):
        leave_by_an_error()
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_another_thread_trains_without_handlers():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with orderly_stop() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


@pytest.mark.parametrize("ignored", NUMBERS)
def test_a_signal_that_is_ignored_stays_ignored(handlers, ignored):
    signal.signal(ignored, signal.SIG_IGN)  # as nohup does with SIGHUP, and a shell's & with SIGINT
    with orderly_stop() as stop:
        signal.raise_signal(ignored)
        assert not stop.requested
    answer_signals(interrupt)
    signal.raise_signal(ignored)
    assert signal.getsignal(ignored) == signal.SIG_IGN


@pytest.mark.parametrize("number", NUMBERS)
def test_signals_in_quick_succession_interrupt_once_and_a_later_one_again(handlers, number):
    answer_signals(interrupt)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    for following in NUMBERS:
        signal.raise_signal(following)
    time.sleep(1.1)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def stopped_in_the_middle(done):
    with stop_afterwards():
        signal.raise_signal(signal.SIGINT)
        done.append(True)


def test_a_stop_waits_for_what_is_under_way():
    done = []
    with pytest.raises(KeyboardInterrupt):
        stopped_in_the_middle(done)
    assert done
    with stop_afterwards():
        pass


def read_again_and_again(path):
    for _ in range(2000):
        with stop_afterwards():
            load_file(path)


def test_a_stop_while_tensors_are_read_is_no_damage(tmp_path):
    """Without waiting, most of these signals come back as errors of the library that reads them."""
    save_file({f"weight {number}": torch.ones(384, 384) for number in range(100)}, tmp_path / "model.safetensors")
    source = random.Random(0)
    for _ in range(12):
        # From another process, since one of this process comes between two of Python's own steps.
        signals = subprocess.Popen(["sh", "-c", f"sleep {source.uniform(0.01, 0.1):.3f}; kill -INT {os.getpid()}"])
        with pytest.raises(KeyboardInterrupt):
            read_again_and_again(tmp_path / "model.safetensors")
        signals.wait()
