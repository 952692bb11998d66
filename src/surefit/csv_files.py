"""CSV files that SureFit writes and reads back: in UTF-8, with no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from surefit.artifacts import atomic_writer
from surefit.errors import RunError

# A cell that starts with one of these is run as a formula by spreadsheets, the last four in some
# languages (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# The csv module refuses cells of more than 131,072 characters unless it is told otherwise.
_LARGEST_CELL = 2**31 - 1


def harmless_cell(value: str) -> str:
    """A text cell that no spreadsheet runs as a formula: an apostrophe is set before it."""
    return "'" + value if value.startswith(_FORMULA_STARTS) else value


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a CSV file in UTF-8 whose text cells are harmless in spreadsheets.

    Args:
        path: the file.
        columns: the header.
        rows: one sequence of cells a row; texts are made harmless, numbers stay numbers.
    """
    with atomic_writer(path) as file:
        write_csv_rows(file, [columns])
        write_csv_rows(file, rows)


def write_csv_rows(file: IO[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> None:
    """Writes rows to an open CSV file, their text cells made harmless in spreadsheets."""
    # With this line end, the writer quotes cells that hold a lone carriage return; `_Lines` shortens it.
    writer = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([harmless_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def read_csv(path: Path, most_rows: int) -> tuple[list[str], list[list[str]]]:
    """Reads the beginning of a CSV file that `write_csv` wrote.

    Args:
        path: the file.
        most_rows: no more rows than this are read.

    Returns:
        the header, and the rows as text, without the apostrophes that keep spreadsheets from running them.

    Raises:
        RunError: the file is missing, or is not such a file.
    """
    limit = csv.field_size_limit(_LARGEST_CELL)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = islice(csv.reader(file, strict=True), most_rows + 1)
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (OSError, ValueError, csv.Error) as error:  # ValueError: not UTF-8, or empty
        raise RunError(f"{path} cannot be read as CSV ({type(error).__name__}); it is damaged or not SureFit's") from None
    finally:
        csv.field_size_limit(limit)
    if any(len(row) != len(header) for row in rows):
        raise RunError(f"{path} is damaged: not every row has {len(header)} cells")
    return [_as_given(cell) for cell in header], [[_as_given(cell) for cell in row] for row in rows]


def _as_given(cell: str) -> str:
    """A cell as it was before `harmless_cell`; of a cell that began with such an apostrophe, that is lost."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell


class _Lines:
    """Takes lines that end in CR LF and writes them with LF."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(line.removesuffix("\r\n") + "\n")
