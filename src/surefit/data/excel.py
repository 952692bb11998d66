"""Excel workbooks (xlsx, xls, ods): the first row with a cell names the columns.

Rows without any cell are no records, except where rows without labels have one column.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from surefit.config import ReadSettings
from surefit.data.cells import UnreadableCell, text_of
from surefit.data.collect import Collector, ReadResult
from surefit.data.columns import choose_columns, shown_names
from surefit.errors import DataError
from surefit.normalization import normalize_text


def read_excel(content: bytes, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    """Reads one sheet of a workbook.

    Args:
        content: the whole file.
        settings: sheet, header and columns.
        labelled: whether a label is needed.

    Raises:
        DataError: the workbook is damaged or locked, the sheet is missing, empty or not certain, or
            its columns cannot be used.
    """
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as workbook:
            sheet = _sheet(workbook, settings.sheet)
            rows = _rows(sheet)
            return _read_rows(rows, settings, labelled=labelled)
    except CalamineError as error:
        raise DataError(f"the workbook is damaged, locked or no workbook ({type(error).__name__})") from None


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


def _read_rows(rows: Iterator[tuple[int, list[Any]]], settings: ReadSettings, *, labelled: bool) -> ReadResult:
    number, first = next(rows, (0, []))
    if not first:
        raise DataError("the sheet is empty")
    if settings.header:
        columns = tuple(_column_name(cell) for cell in first)
    else:
        columns = tuple(str(place) for place in range(1, len(first) + 1))
    roles = choose_columns(columns, settings, labelled=labelled)
    collector = Collector(columns, roles, labelled=labelled)
    pick = roles.picker()
    blanks_count = len(columns) == 1 and not labelled
    if not settings.header:
        collector.add_typed(number, pick(first))
    for number, row in rows:
        if blanks_count or any(cell != "" for cell in row):
            collector.add_typed(number, pick(row))
    return collector.result("excel")


def _column_name(cell: object) -> str:
    try:
        return normalize_text(text_of(cell) or "")
    except UnreadableCell:
        return ""
