"""How a program is asked to end: by Ctrl-C, by the system (SIGTERM), or as its terminal is closed (SIGHUP)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# Signals so close to each other ask once: of an impatient user, or of a terminal that is closed, whose
# shell passes the system's SIGHUP on. What is tidied up meanwhile is not disturbed.
_ONE_REQUEST_SECONDS = 1.0


def interrupt() -> NoReturn:
    """Ends what is under way."""
    raise KeyboardInterrupt


class StopRequest:
    """Whether the user or the system has asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def ask(self) -> None:
        """The first call asks, the next raises KeyboardInterrupt."""
        if self.requested:
            interrupt()
        self.requested = True


def answer_signals(answer: Callable[[], object]) -> dict[int, Any]:
    """Answers signals that ask to end, but those that are ignored, as `nohup` has SIGHUP ignored.

    Args:
        answer: called in the main thread, once for signals within a second.

    Returns:
        number -> the handler before.
    """
    answered_at = float("-inf")

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal answered_at
        now = time.monotonic()
        if now - answered_at > _ONE_REQUEST_SECONDS:
            answered_at = now
            answer()

    heard = [number for number in _NUMBERS if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handle) for number in heard}


@contextmanager
def orderly_stop() -> Iterator[StopRequest]:
    """While open, signals that ask to end set a flag instead of ending the process; who asks again does not wait.

    Outside the main thread, where Python allows no handlers, the flag is never set.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = answer_signals(stop.ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_afterwards() -> Iterator[None]:
    """While open, signals that ask to end wait until what is under way is done.

    For libraries that take the KeyboardInterrupt for an error of their own, as safetensors does while it makes tensors.
    """
    with orderly_stop() as stop:
        yield
    if stop.requested:
        interrupt()
