"""From records to results: all at once, or in two passes through which memory does not grow with the file.

The first pass checks and counts, so that what is wrong with a file is said before the work begins.
The second hands out windows of records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from surefit.data.collect import Collector, NoUsableRowsError, ReadResult
from surefit.data.columns import shown_name
from surefit.data.ids import IdHashes, NumberedId
from surefit.data.reasons import TOO_FEW_CELLS, TOO_MANY_CELLS
from surefit.data.source import RecordSource, named_errors
from surefit.errors import DataError

WINDOW_RECORDS = 4096
_WINDOW_CHARACTERS = 8_000_000


def read_all(source: RecordSource) -> ReadResult:
    """All records of a file or a table.

    Args:
        source: where they come from.

    Raises:
        NoUsableRowsError: labels are needed and no record can be used.
        DataError: the file cannot be read, there are no records, or two have one id.
    """
    with named_errors(source.name):
        (result,) = _windows(source, None)
        _require_records(source, result.records)
        if source.labelled and not len(result.examples):
            raise _nothing_usable(result)
        if source.roles.id is not None:
            ids = IdHashes()
            ids.add(result.ids())
            _require_unique_ids(ids, source, [result])
    return result


def check(source: RecordSource) -> int:
    """Reads all records once and keeps none, so that what is wrong with a file is said before the work begins.

    Args:
        source: where they come from. Its `notes` are complete afterwards.

    Returns:
        how many records there are.

    Raises:
        DataError: as in `read_all`.
    """
    records, ids = 0, IdHashes()
    with named_errors(source.name):
        for window in _windows(source, WINDOW_RECORDS):
            records += window.records
            if source.roles.id is not None:
                ids.add(window.ids())
        _require_records(source, records)
        _require_unique_ids(ids, source)
    return records


def windows(source: RecordSource, size: int = WINDOW_RECORDS) -> Iterator[ReadResult]:
    """The records of a file that was checked, so many at a time that memory does not grow with the file.

    Args:
        source: where they come from.
        size: how many records a window has.

    Returns:
        windows in the order of the file, the last one shorter; one without records where there are none.

    Raises:
        DataError: the file cannot be read further.
    """
    with named_errors(source.name):
        yield from _windows(source, size)


def _windows(source: RecordSource, size: int | None) -> Iterator[ReadResult]:
    """Windows of so many records, fewer where texts are long; one of all where no size is given."""
    collector = Collector(source)
    try:
        for line, cells, reason in source.records():
            collector.add(line, cells, reason)
            if size is not None and (collector.held == size or collector.characters >= _WINDOW_CHARACTERS):
                source.require_unchanged()
                yield collector.take()
    except DataError:
        source.require_unchanged()  # which may be the reason for all that could be said of the content
        raise
    source.require_unchanged()
    if collector.held or not collector.records:
        yield collector.take()


def _require_records(source: RecordSource, records: int) -> None:
    if not records and not source.may_be_empty:
        raise DataError("the file names its columns and has no rows")


def _nothing_usable(result: ReadResult) -> NoUsableRowsError:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in result.rejected_by_reason().items())
    first = result.rejected[0].line
    advice = ""
    if result.rejected_by_reason().keys() <= {TOO_FEW_CELLS, TOO_MANY_CELLS}:
        advice = f"; the header has {len(result.columns)} columns: check --delimiter, --quote and the header"
    sentence = f"none of the {result.records:,} rows can be used ({counts}), the first of them in line {first}{advice}"
    return NoUsableRowsError(sentence, result.rejected)


def _require_unique_ids(hashes: IdHashes, source: RecordSource, read: Sequence[ReadResult] | None = None) -> None:
    """Compares the ids of all records, those of rejected records that have one included.

    Args:
        hashes: of all of them.
        source: where the records come from.
        read: the records, where they are kept; else they are read again if hashes repeat.
    """

    def ids() -> Iterator[NumberedId]:
        for window in _windows(source, WINDOW_RECORDS) if read is None else read:
            yield from window.ids()

    repeated = hashes.first_repeated(ids)
    if repeated is not None and source.roles.id is not None:
        column = shown_name(source.columns[source.roles.id])
        raise DataError(
            f"rows {repeated[0]:,} and {repeated[1]:,} have the same id in column {column}; --id needs a column without repeats"
        )
