r"""The lines of a file, read block by block, so that memory does not grow with the file.

Of each block only its place and the number of its first line are kept. Files are read by position
and not mapped into memory, where one that is cut short meanwhile would end the process.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, overload

from surefit.data.file_version import changed
from surefit.errors import DataError

_BLOCK_BYTES = 2**18
_NEWLINE = re.compile(rb"\r\n?|\n")


class _Block(NamedTuple):
    """Some lines, the number of the first, from 0, and the number after that of the last."""

    first: int
    end: int
    lines: list[bytes]


class FileLines(Sequence[bytes]):
    r"""Lines of bytes, each with the \n, \r\n or \r that ends it, as `bytes.splitlines` cuts them."""

    def __init__(self, file: BinaryIO, start: int = 0, block_bytes: int = _BLOCK_BYTES) -> None:
        """Reads the file once, to count its lines.

        Args:
            file: open for as long as lines are read; its position is moved.
            start: where the first line begins.
            block_bytes: about how much is read at once. The last two blocks are kept.

        Raises:
            DataError: the file cannot be read.
        """
        self._file = file
        self._starts = array("q")  # where each block begins, and where the last one ends
        self._firsts = array("q")  # the number of its first line likewise
        self._find_blocks(start, block_bytes)
        self._block = self._earlier_block = _Block(0, 0, [])

    def _find_blocks(self, start: int, block_bytes: int) -> None:
        """A block begins with the first line that begins in it; one without such a line belongs to the block before."""
        position, number, line_is_complete = start, 0, True
        self._file.seek(start)
        while content := self._read_up_to_a_newline(block_bytes):
            begin, first = 0, number
            if not line_is_complete:
                newline = _NEWLINE.search(content)
                begin, first = (newline.end() if newline else len(content)), number + 1
            if begin < len(content):
                self._starts.append(position + begin)
                self._firsts.append(first)
            position += len(content)
            number += content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
            line_is_complete = content.endswith((b"\n", b"\r"))
        self._starts.append(position)
        self._firsts.append(number if line_is_complete else number + 1)

    def _read_up_to_a_newline(self, size: int) -> bytes:
        r"""Reads so many bytes, and one more where they would end between \r and \n."""
        content = read_bytes(self._file, size)
        if content.endswith(b"\r"):
            following = read_bytes(self._file, 1)
            if following == b"\n":
                return content + following
            self._file.seek(-len(following), os.SEEK_CUR)
        return content

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """One line, or a list of some.

        Raises:
            DataError: the file has changed since its lines were counted, or cannot be read.
        """
        if isinstance(index, slice):
            return [self[line] for line in range(*index.indices(len(self)))]
        first, end, lines = self._block
        if first <= index < end:
            return lines[index - first]
        return self._other_line(index)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(len(self._starts) - 1):
            yield from self._read_block(number).lines

    def _other_line(self, index: int) -> bytes:
        """A line that is not in the block that was asked last."""
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError("there is no such line")
        self._block, self._earlier_block = self._earlier_block, self._block
        if not self._block.first <= index < self._block.end:
            self._block = self._read_block(bisect_right(self._firsts, index) - 1)
        return self._block.lines[index - self._block.first]

    def _read_block(self, number: int) -> _Block:
        start, first = self._starts[number], self._firsts[number]
        size, end = self._starts[number + 1] - start, self._firsts[number + 1]
        self._file.seek(start)
        content = read_bytes(self._file, size)
        lines = content.splitlines(keepends=True)
        if len(content) != size or len(lines) != end - first:
            raise changed()
        return _Block(first, end, lines)


def read_bytes(file: BinaryIO, size: int = -1) -> bytes:
    """Reads from a file's position on.

    Args:
        file: an open file.
        size: how many bytes at most; all that are left when not given.

    Raises:
        DataError: the system cannot read them.
    """
    try:
        return file.read(size)
    except OSError as error:
        raise unreadable(error) from None


def unreadable(error: OSError | ValueError) -> DataError:
    """What to say of a file that the system cannot open or read."""
    return DataError(f"it cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})")
