"""Whether an open file is still what it was."""

from __future__ import annotations

import os
from typing import BinaryIO

from surefit.errors import DataError


class FileVersion:
    """What changes with a file's content: its size, and the time of the last change.

    A new file that takes its name is another file; the one that is open is read on.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Looks at the file as it is now.

        Args:
            file: it stays open for as long as `require_same` is called.
        """
        self._file = file
        self._first = self._now()

    def require_same(self) -> None:
        """Refuses a file that is no longer what it was.

        Raises:
            DataError: it has changed.
        """
        if self._now() != self._first:
            raise changed()

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns


def changed() -> DataError:
    """What to say of a file whose parts are not of one time."""
    return DataError("the file changed while it was read; wait until it is complete, or read a copy")
