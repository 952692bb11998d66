"""Signals ask for an orderly stop. They are raised for real, in this process."""

import signal
import threading

import pytest

from surefit.training.interruption import orderly_stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_asks(number):
    with orderly_stop() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(first):
    with orderly_stop():
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def leave_by_an_error():
    with orderly_stop():
        raise RuntimeError


def test_afterwards_signals_mean_what_they_meant():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with orderly_stop():
        pass
    with pytest.raises(RuntimeError):
        leave_by_an_error()
    assert [signal.getsignal(number) for number in numbers] == before


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
