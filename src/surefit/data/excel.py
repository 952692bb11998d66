"""Excel workbooks (xlsx, xls, ods): the first row with a cell names the columns.

Rows without any cell are no records, except where rows without labels have one column.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from surefit.config import ReadSettings
from surefit.data.cells import UnreadableCell, text_of
from surefit.data.columns import RoleCells, choose_columns, shown_names
from surefit.data.source import RawRecord, RecordSource
from surefit.errors import DataError
from surefit.normalization import normalize_text

_MOST_SHEET_BYTES = 2**31
_MOST_CELLS = 100_000_000
_CELL_NAME = re.compile(rb"""<(?:\w+:)?c\s[^>]*?\br\s*=\s*["']([A-Z]{1,3})([0-9]{1,7})["']""")


class ExcelRecords(RecordSource):
    """The records of one sheet of a workbook, which is held in memory: its format is limited."""

    def __init__(self, content: bytes, settings: ReadSettings, *, labelled: bool) -> None:
        """Reads the sheet and finds the columns.

        Args:
            content: the whole file.
            settings: sheet, header and columns.
            labelled: whether a label is needed.

        Raises:
            DataError: the workbook is damaged or locked, the sheet is missing, empty or not certain,
                or its columns cannot be used.
        """
        _require_moderate_size(content)
        with _workbook_errors(), CalamineWorkbook.from_filelike(io.BytesIO(content)) as workbook:
            self._sheet = _sheet(workbook, settings.sheet)
            _, first = next(_rows(self._sheet), (0, []))
        if not first:
            raise DataError("the sheet is empty")
        if settings.header:
            columns = tuple(_column_name(cell) for cell in first)
        else:
            columns = tuple(str(place) for place in range(1, len(first) + 1))
        self._first_is_data = not settings.header
        roles = choose_columns(columns, settings, labelled=labelled, from_first_line=settings.header)
        super().__init__("excel", columns, roles, labelled=labelled)

    def records(self) -> Iterator[RawRecord]:
        pick: Callable[[Sequence[Any]], RoleCells[Any]] = self.roles.picker()
        blanks_count = len(self.columns) == 1 and not self.labelled
        with _workbook_errors():
            rows = _rows(self._sheet)
            if not self._first_is_data:
                next(rows)
            for number, row in rows:
                if blanks_count or any(cell != "" for cell in row):
                    yield self.typed_record(number, pick(row))


@contextmanager
def _workbook_errors() -> Iterator[None]:
    try:
        yield
    except CalamineError as error:
        raise _unusable(error) from None
    except BaseException as error:
        # The Rust library panics on some damaged workbooks, and a panic is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise _unusable(error) from None


def _require_moderate_size(content: bytes) -> None:
    """Refuses xlsx sheets whose cells lie so far apart that reading them would take all memory.

    The library makes room for the whole rectangle between the first and the last cell, and one stray
    cell in the far corner of a sheet makes that 17 billion. Other formats do not spread so.

    Raises:
        DataError: a sheet is too large, or unpacks to more than any workbook needs.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    for name, sheet in _sheets_of_xlsx(content):
        rows, columns = _extent(sheet)
        if rows * columns > _MOST_CELLS:
            raise DataError(
                f"{name} reaches over {rows:,} rows and {columns:,} columns; "
                "delete stray cells far from the data, or export it as CSV"
            )


def _sheets_of_xlsx(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and XML of each sheet."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for part in archive.infolist():
                if part.file_size > _MOST_SHEET_BYTES:
                    raise DataError(f"a part of the workbook unpacks to {part.file_size:,} bytes; export it as CSV")
                content_of_part = archive.read(part) if part.filename.endswith(".xml") else b""
                if b"sheetData" in content_of_part:  # a sheet, whatever its file is called
                    yield Path(part.filename).stem, content_of_part
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise _unusable(error) from None  # what zipfile raises on damaged and on locked archives


def _extent(sheet: bytes) -> tuple[int, int]:
    """The last row and the last column that a cell of a sheet's XML names, counted from 1."""
    last_row, last_column = 0, 0
    for match in _CELL_NAME.finditer(sheet):
        letters, digits = match.groups()
        last_row = max(last_row, int(digits))
        last_column = max(last_column, sum((letter - 64) * 26**place for place, letter in enumerate(reversed(letters))))
    return last_row, last_column


def _unusable(error: BaseException) -> DataError:
    return DataError(f"the workbook is damaged, locked or no workbook ({type(error).__name__})")


def _sheet(workbook: CalamineWorkbook, wanted: str | None) -> CalamineSheet:
    names = workbook.sheet_names
    if wanted in names:
        return workbook.get_sheet_by_name(str(wanted))
    if wanted is not None and wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return workbook.get_sheet_by_index(int(wanted) - 1)
    if wanted is not None:
        raise DataError(f"--sheet fits none of the sheets ({shown_names(names)}); give a name, or a number from 1")
    filled = [sheet for sheet in map(workbook.get_sheet_by_name, names) if sheet.height]
    if not filled:
        raise DataError("the workbook is empty")
    if len(filled) > 1:
        raise DataError(
            f"{len(filled)} sheets hold data ({shown_names([sheet.name for sheet in filled])}); choose with --sheet"
        )
    return filled[0]


def _rows(sheet: CalamineSheet) -> Iterator[tuple[int, list[Any]]]:
    """Sheet row from 1, and its cells; the rows above the first cell are left out."""
    for number, row in enumerate(sheet.iter_rows(), start=1):
        if sheet.start is not None and number > sheet.start[0]:
            yield number, row


def _column_name(cell: object) -> str:
    try:
        return normalize_text(text_of(cell) or "")
    except UnreadableCell:
        return ""
