"""Whether ids repeat, in eight bytes an id."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable

import numpy as np

NumberedId = tuple[int, str]


class IdHashes:
    """Hashes of the ids of a file."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, ids: Iterable[NumberedId]) -> None:
        """Takes the ids of some more records."""
        self._hashes.extend(hash(id_) for _, id_ in ids)

    def first_repeated(self, ids: Callable[[], Iterable[NumberedId]]) -> tuple[int, int] | None:
        """The first record whose id an earlier one has; ids are compared where their hashes are equal.

        Args:
            ids: number and id of each record, in order; called where hashes repeat, and once more
                for each hash that does until ids are found that are equal.

        Returns:
            the number of the first record with that id, and its own.
        """
        repeated = self._repeated()
        met = bytearray(len(repeated))
        for record, id_ in ids() if repeated else ():
            place = bisect_left(repeated, hash(id_))
            if place == len(repeated) or repeated[place] != hash(id_):
                continue
            if met[place]:
                first = next(number for number, other in ids() if other == id_)
                if first < record:
                    return first, record
            met[place] = True
        return None

    def _repeated(self) -> array[int]:
        """The hashes that occur more than once, rising; the order of all hashes is lost, for lack of room for another."""
        if not self._hashes:
            return self._hashes
        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        hashes.sort()
        return array("q", np.unique(hashes[1:][hashes[1:] == hashes[:-1]]).tobytes())
