"""A table of what answers cost, from a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from surefit.errors import DataError
from surefit.normalization import normalize_text


def read_costs(path: Path, classes: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    """Reads what each answer costs where each class is true.

    Args:
        path: a CSV file in UTF-8; its first line names the answers, from the second cell on, and the first cell of
            every other line the true class.
        classes: all class names, normalised as labels are, each of which must have a row and a column.

    Returns:
        costs[i][j] of answering class j where i is true.

    Raises:
        DataError: it cannot be read, a line has more or fewer cells than the first, a class is missing, unknown or there
            twice, or a cell is no number.
    """
    where = f"--costs {path}"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{where} is no CSV in UTF-8: {error}") from None
    header = lines[0][1] if lines else []
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"{where}, line {number} has {len(cells)} cells where the first line has {len(header)}; "
                "a cost has a decimal point, since a comma begins the next cell"
            )
    answers = [normalize_text(name) for name in header[1:]]
    rows = {normalize_text(cells[0]): cells[1:] for _, cells in lines[1:]}
    for what, names, count in (("column", answers, len(answers)), ("row", list(rows), len(lines) - 1)):
        if set(names) != set(classes) or count != len(classes):
            wrong = sorted(set(names) ^ set(classes)) or ["the same class twice"]
            raise DataError(f"{where} needs one {what} for each class, with its name before it; look at {wrong[0]!r}")
    return tuple(
        tuple(_number(rows[true], answers.index(answer), f"{where}, row {true!r}, column {answer!r}") for answer in classes)
        for true in classes
    )


def _number(cells: list[str], place: int, where: str) -> float:
    try:
        cost = float(cells[place])
    except ValueError:
        cost = math.nan
    if not math.isfinite(cost):
        raise DataError(f"{where}: a cost must be a number")
    return cost
