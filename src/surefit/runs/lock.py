"""One process at a time trains in a run directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from surefit.errors import RunError


class RunLock:
    """Keeps other processes from training in a directory while this one does.

    The system holds the lock on the directory itself, so that nothing is left behind where a process
    dies. Where it has no such locks (Windows, some network drives) nothing is kept out.

    Args:
        path: the run directory; where there is none yet, `take` is to be called once there is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes the lock if it is not held yet and there is a directory.

        Raises:
            RunError: another process trains there.
        """
        if sys.platform == "win32" or self._descriptor is not None or not self._path.is_dir():
            return
        import fcntl

        self._descriptor = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise RunError(f"another process is training in {self._path}; wait for it, or name another with --run") from None
        except OSError:  # a file system without locks
            self.release()

    def release(self) -> None:
        """Lets others in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> RunLock:
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
