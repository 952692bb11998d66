"""A side of a comparison in a process of its own.

What goes wrong in it, or takes too long, ends with it; what other sides have loaded does not stand in its
memory; and it imports no more than it needs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, KiB on Linux
_SECONDS_TO_END = 10
_LONGEST_REASON = 200


class SideError(Exception):
    """A side gave no answer; the message says why, as a sentence that the side's name begins."""


class SideProcess:
    """Makes an object in a new process, and calls its methods there.

    Args:
        builder: "module:callable", which makes the object.
        arguments: what the callable is given.
        limit: seconds that making the object, and each answer, may take.

    Attributes:
        peak_memory_mib: of the process until its latest answer.

    Raises:
        SideError: the object could not be made.
    """

    def __init__(self, builder: str, *arguments: Any, limit: float) -> None:
        self._limit = limit
        self.peak_memory_mib = 0.0
        self._connection, theirs = Pipe()
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.side_process", str(theirs.fileno())],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                pass_fds=[theirs.fileno()],
                stdout=2,  # standard output is for results
            )
        self.ask(builder, *arguments)

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the object's method returns, or the value of its attribute.

        Args:
            name: of the method or attribute.
            arguments: of the method.

        Raises:
            SideError: it failed, took longer than the limit, or the process ended; the process is gone then.
        """
        try:
            self._connection.send((name, arguments))
            if not self._connection.poll(self._limit):
                self._process.kill()
                self.close()
                raise SideError(f"took longer than {self._limit:,.0f} seconds")
            done, answer, self.peak_memory_mib = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            raise SideError(f"its process ended with exit status {self._process.returncode}") from None
        if not done:
            self.close()
            raise SideError(f"failed with {answer}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def own_peak_memory() -> float:
    """Peak memory of this process in MiB. Linux counts in `ru_maxrss` what the process that started it had."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def _serve(connection: Connection) -> None:
    """Makes the object that the first request names, and answers the others until nobody asks any more."""
    built: list[Any] = []
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            done, answer = True, _answer(built, name, arguments)
        except Exception as error:
            done, answer = False, f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST_REASON]}"
        connection.send((done, answer, own_peak_memory()))


def _answer(built: list[Any], name: str, arguments: tuple[Any, ...]) -> Any:
    if not built:
        module, builder = name.split(":")
        built.append(getattr(importlib.import_module(module), builder)(*arguments))
        return None
    found = getattr(built[0], name)
    return found(*arguments) if callable(found) else found


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), Connection(int(sys.argv[1])) as end:
        _serve(end)
