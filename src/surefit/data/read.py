"""The way in: a labelled file, or a table in memory, becomes `Examples`.

Each record of the file is used or rejected with its line and its reason, and the sum is checked.
Texts stay as they are in the file; `surefit.data.clean` normalises them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from surefit.config import ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.delimited import read_delimited
from surefit.data.excel import read_excel
from surefit.data.frames import read_any_frame
from surefit.data.jsonl import read_jsonl
from surefit.data.parquet import read_parquet
from surefit.errors import DataError, SureFitError

__all__ = ["ReadResult", "read", "read_frame"]

_DELIMITED = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}
_JSONL = (".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")
_EXCEL = (".xlsx", ".xlsm", ".xls", ".ods")
_FORMATS = "csv, tsv, txt, jsonl, ndjson, parquet, xlsx, xls, ods"

_ZIP = b"PK\x03\x04"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_GZIP = b"\x1f\x8b"
# How files start that are no text, and what to do with them.
_SIGNATURES = (
    (b"PAR1", "a Parquet file; give it the ending .parquet"),
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
_MARKUP_SAMPLE_BYTES = 256


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
    path = Path(path)
    try:
        return _read_content(path.suffix.lower(), path, settings, labelled=labelled)
    except SureFitError as error:
        error.args = (f"{_shown(path)}: {error}",)
        raise


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
    try:
        return read_any_frame(frame, settings, labelled=labelled)
    except SureFitError as error:
        error.args = (f"the data frame: {error}",)
        raise


def _read_content(ending: str, path: Path, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    _require_file(path)
    if ending not in (*_DELIMITED, *_JSONL, *_PARQUET, *_EXCEL):
        raise DataError(f"the ending {ending!r} tells no format; SureFit reads {_FORMATS}")
    content = _bytes(path)
    if ending in _PARQUET:
        return read_parquet(_require_parquet(content), settings, labelled=labelled)
    if ending in _EXCEL:
        return read_excel(_require_workbook(content), settings, labelled=labelled)
    _require_text(content)
    if ending in _JSONL:
        return read_jsonl(content, settings, labelled=labelled)
    return read_delimited(content, settings, labelled=labelled, delimiter=_DELIMITED[ending])


def _require_file(path: Path) -> None:
    """Refuses what cannot be read as often as need be: of a pipe, only the first reading sees anything."""
    if os.path.isdir(path):
        raise DataError("it is a directory, not a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError("it is no regular file; save its content to one first")


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError("there is no such file") from None
    except PermissionError:
        raise DataError("it may not be read; check its permissions") from None
    except (OSError, ValueError) as error:
        raise DataError(f"it cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})") from None
    if not content:
        raise DataError("the file is empty")
    return content


def _require_text(content: bytes) -> None:
    for signature, advice in _SIGNATURES:
        if content.startswith(signature) and not _is_text_after_all(content, signature):
            raise DataError(f"it is no text but {advice}")
    if content[:_MARKUP_SAMPLE_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
        raise DataError("it holds an HTML or XML page, not rows; download or export the data itself")


def _is_text_after_all(content: bytes, signature: bytes) -> bool:
    """A column may be called PAR1; a Parquet file ends as it starts."""
    return signature == b"PAR1" and not content.endswith(signature)


def _require_parquet(content: bytes) -> bytes:
    if not content.startswith(b"PAR1"):
        raise DataError("it is no Parquet file, whatever its ending says")
    return content


def _require_workbook(content: bytes) -> bytes:
    if not content.startswith((_ZIP, _COMPOUND)):
        raise DataError("it is no Excel workbook, whatever its ending says; if it is text, give it the ending .csv")
    return content


def _shown(path: Path) -> str:
    """The path for a message, on one line."""
    return "".join(character if character.isprintable() else "?" for character in str(path))
