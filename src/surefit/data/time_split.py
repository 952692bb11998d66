"""Splits by time: the latest rows are tested on, those before them validated with, the others trained on.

A model is used on texts that come after those it learned from; a test on rows drawn at random hides what
changes with time. Groups stay whole here too: one goes where its earliest row belongs, so that nothing that
is tested on has been seen before.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import numpy as np

from surefit.config import SplitSettings
from surefit.data.split import SPLIT_NAMES, Split, SplitName, shares_of
from surefit.errors import DataError
from surefit.types import Examples, FloatArray, Int64Array


def instants(examples: Examples, where: str) -> FloatArray:
    """The times of rows as numbers that rise with time, shape (n,).

    Args:
        examples: with times: all numbers, or all dates or dates with times in ISO 8601; without a
            zone they are taken as UTC.
        where: what errors call the rows.

    Raises:
        DataError: a time is neither, or some are numbers and others dates.
    """
    assert examples.times is not None
    written = examples.times.to_pylist()
    is_number = _as_number(written[0]) is not None
    read = _as_number if is_number else _as_seconds
    numbers = []
    for line, time in zip(examples.lines.tolist(), written, strict=True):
        number = read(time)
        if number is None:
            kind = (
                "a number, as the first time is" if is_number else "a number or a date such as 2024-03-31 or 2024-03-31T18:30"
            )
            raise DataError(f"{where}, line {line}: the time is not {kind}")
        numbers.append(number)
    return np.array(numbers, dtype=np.float64)


def _as_number(time: str) -> float | None:
    try:
        number = float(time)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _as_seconds(time: str) -> float | None:
    try:
        read = datetime.fromisoformat(time.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def split_by_time(
    times: FloatArray,
    groups: Int64Array,
    settings: SplitSettings,
    *,
    given: Collection[SplitName] = (),
    where: str = "the data",
) -> Split:
    """Splits rows by time.

    Rows of the same time stand on one side of a cut, so that shares are met as nearly as times allow. Where there
    are few times, no split is left empty for that, unless training would get less than half of its share.

    Args:
        times: of each row, shape (n,).
        groups: rows of one group stay together, shape (n,).
        settings: the share of each split.
        given: splits that come from files of their own; no row here is put into them.
        where: what errors call the rows.

    Raises:
        DataError: the times leave a split without rows.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    earliest = np.full(numbers.max() + 1, np.inf)
    np.minimum.at(earliest, numbers, times)
    begun = earliest[numbers]  # when the group of each row began
    distinct, counts = np.unique(begun, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # rows before each distinct time
    shares = shares_of(settings, given)
    ends = np.cumsum(shares) * len(times)
    cuts = [int(np.abs(before - end).argmin()) for end in ends[:-1]]
    for number in (1, 0):  # each split that wants rows begins before the next one, the last before the end
        following = cuts[1] if number == 0 else len(distinct)
        cuts[number] = min(cuts[number], following - 1 if shares[number + 1] else following)
    if before[max(cuts[0], 0)] < shares[0] * len(times) / 2:
        cuts = [0, 0]
    places = np.searchsorted(distinct, begun)
    assignment = np.searchsorted(np.array(cuts), places, side="right").astype(np.int8)
    for number, name in enumerate(SPLIT_NAMES):
        if name not in given and not (assignment == number).any():
            raise DataError(
                f"{where}: split by time, no row is left for {name}: too many rows have the same time or belong to groups "
                "that began early; split without --time, or give the rows as a file of their own"
            )
    return Split(assignment)
