"""The way in: a labelled file, or a table in memory, becomes `Examples`.

Each record of the file is used or rejected with its line and its reason, and the sum is checked.
Texts stay as they are in the file; `surefit.data.clean` normalises them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from surefit.config import ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.delimited import DelimitedRecords
from surefit.data.excel import ExcelRecords
from surefit.data.file_lines import read_bytes, unreadable
from surefit.data.file_version import FileVersion
from surefit.data.frames import frame_records
from surefit.data.jsonl import JsonlRecords
from surefit.data.lines import utf8_lines
from surefit.data.parquet import ParquetRecords
from surefit.data.passes import read_all
from surefit.data.source import RecordSource, named_errors
from surefit.data.texts import TextRecords
from surefit.errors import DataError

__all__ = ["ReadResult", "open_records", "open_texts", "read", "read_frame"]

_DELIMITED = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}
_JSONL = (".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")
_EXCEL = (".xlsx", ".xlsm", ".xls", ".ods")
_FORMATS = "csv, tsv, txt, jsonl, ndjson, parquet, xlsx, xls, ods"

_PARQUET_SIGNATURE = b"PAR1"
_ZIP = b"PK\x03\x04"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_GZIP = b"\x1f\x8b"
# How files start that are no text, and what to do with them.
_SIGNATURES = (
    (_PARQUET_SIGNATURE, "a Parquet file; give it the ending .parquet"),
    (_ZIP, "a zip archive; if it is a workbook, give it the ending .xlsx, else unpack it first"),
    (_COMPOUND, "an old Excel workbook; give it the ending .xls"),
    (_GZIP, "compressed with gzip; unpack it first"),
    (b"BZh91AY&SY", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"%PDF-", "a PDF document; export its table as CSV"),
    (b"\x89PNG", "a picture; it holds no rows"),
)
_MARKUP = (b"<!doctype", b"<html", b"<?xml")
_HEAD_BYTES = 256


def read(path: Path, settings: ReadSettings, *, labelled: bool = True) -> ReadResult:
    """Reads a labelled file.

    Args:
        path: a file of delimited text, JSON Lines, Parquet or Excel, told by its ending.
        settings: how it is read, and which columns matter.
        labelled: whether each row needs a label. Without, as for prediction, labels are kept where
            they are found and nothing is rejected for lack of one.

    Returns:
        The rows that can be used and the records that cannot.

    Raises:
        NoUsableRowsError: labels are needed and no row can be used.
        DataError: the file, its format or its columns cannot be used.
        UsageError: the encoding is unknown.
    """
    with open_records(path, settings, labelled=labelled) as source:
        return read_all(source)


def read_frame(frame: Any, settings: ReadSettings, *, labelled: bool = True) -> ReadResult:
    """Reads a table in memory by the same rules; the line of a row is its number from 1.

    Args:
        frame: a pandas DataFrame, an Arrow table, or another object that offers an Arrow stream.
        settings: which columns matter.
        labelled: as in `read`.

    Raises:
        DataError: the columns cannot be used.
        UsageError: it is no table.
    """
    with named_errors("the data frame"):
        source = frame_records(frame, settings, labelled=labelled)
    source.name = "the data frame"
    return read_all(source)


@contextmanager
def open_records(path: Path, settings: ReadSettings, *, labelled: bool = True) -> Iterator[RecordSource]:
    """Opens a file, to read its records all at once or in two passes (`surefit.data.passes`).

    Args:
        path: as in `read`, and so the settings.
        settings: how it is read.
        labelled: whether each row needs a label.

    Raises:
        DataError: the file, its format or its columns cannot be used.
        UsageError: the encoding is unknown.
    """
    path = Path(path)
    with ExitStack() as opened:
        with named_errors(_shown(path)):
            file = opened.enter_context(_open_bytes(path))
            version = FileVersion(file)
            source = _source(file, path.suffix.lower(), settings, opened, labelled=labelled)
        source.name, source.version = _shown(path), version
        yield source


@contextmanager
def open_texts(stream: BinaryIO, name: str, advice: str) -> Iterator[RecordSource]:
    """Opens what comes through a pipe, one text a line; it is kept in a temporary file without a name.

    Args:
        stream: read to its end.
        name: what it is called in messages.
        advice: what to do where it does not decode.

    Raises:
        DataError: it looks like UTF-16 or UTF-32 and nothing says so.
    """
    with tempfile.TemporaryFile() as kept, ExitStack() as opened:
        shutil.copyfileobj(stream, kept)
        try:
            text = opened.enter_context(utf8_lines(kept, None))
        except DataError:
            raise DataError(f"{name} is not UTF-8; {advice}") from None
        source = TextRecords(text, advice)
        source.name = name
        yield source


def _source(file: BinaryIO, ending: str, settings: ReadSettings, opened: ExitStack, *, labelled: bool) -> RecordSource:
    """The records of a file; what has to be closed before it is left in `opened`."""
    head = read_bytes(file, _HEAD_BYTES)
    file.seek(0)
    if not head:
        raise DataError("the file is empty")
    if ending in _PARQUET:
        _require_parquet(head)
        return ParquetRecords(file, settings, labelled=labelled)
    if ending in _EXCEL:
        _require_workbook(head)
        return ExcelRecords(read_bytes(file), settings, labelled=labelled)
    _require_text(head, file)
    text = opened.enter_context(utf8_lines(file, settings.encoding))
    if ending in _JSONL:
        return JsonlRecords(text, settings, labelled=labelled)
    return DelimitedRecords(text, settings, labelled=labelled, delimiter=_DELIMITED[ending])


def _open_bytes(path: Path) -> BinaryIO:
    """Opens what can be read as often as need be: of a pipe, only the first reading sees anything."""
    if os.path.isdir(path):
        raise DataError("it is a directory, not a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError("it is no regular file; save its content to one first")
    if path.suffix.lower() not in (*_DELIMITED, *_JSONL, *_PARQUET, *_EXCEL):
        raise DataError(f"the ending {path.suffix.lower()!r} tells no format; SureFit reads {_FORMATS}")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError("there is no such file") from None
    except PermissionError:
        raise DataError("it may not be read; check its permissions") from None
    except (OSError, ValueError) as error:
        raise unreadable(error) from None


def _require_text(head: bytes, file: BinaryIO) -> None:
    for signature, advice in _SIGNATURES:
        if head.startswith(signature) and not _is_text_after_all(file, signature):
            raise DataError(f"it is no text but {advice}")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
        raise DataError("it holds an HTML or XML page, not rows; download or export the data itself")


def _is_text_after_all(file: BinaryIO, signature: bytes) -> bool:
    """A column may be called PAR1; a Parquet file ends as it starts."""
    if signature != _PARQUET_SIGNATURE:
        return False
    file.seek(-len(signature), os.SEEK_END)
    return read_bytes(file) != signature


def _require_parquet(head: bytes) -> None:
    if not head.startswith(_PARQUET_SIGNATURE):
        raise DataError("it is no Parquet file, whatever its ending says")


def _require_workbook(head: bytes) -> None:
    if not head.startswith((_ZIP, _COMPOUND)):
        raise DataError("it is no Excel workbook, whatever its ending says; if it is text, give it the ending .csv")


def _shown(path: Path) -> str:
    """The path for a message, on one line."""
    return "".join(character if character.isprintable() else "?" for character in str(path))
