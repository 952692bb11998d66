"""A table of what answers cost, from a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from surefit.errors import DataError


def read_costs(path: Path, classes: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    """Reads what each answer costs where each class is true.

    Args:
        path: a CSV file in UTF-8; its first line names the answers, from the second cell on, and the first cell of
            every other line the true class.
        classes: all class names, each of which must have a row and a column.

    Returns:
        costs[i][j] of answering class j where i is true.

    Raises:
        DataError: it cannot be read, a class is missing, unknown or there twice, or a cell is no number.
    """
    where = f"--costs {path}"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file, strict=True) if line]
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{where} is no CSV in UTF-8: {error}") from None
    answers = [name.strip() for name in lines[0][1:]] if lines else []
    rows = {line[0].strip(): line[1:] for line in lines[1:]}
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
    except (ValueError, IndexError):
        cost = math.nan
    if not math.isfinite(cost):
        raise DataError(f"{where}: a cost must be a number")
    return cost
