"""Cells of the benchmarks of speed: measured once, found again, and printed as tables.

A cell is what was measured, as plain values. Its line in the file of results stands for it as long as the
machine, the versions and SureFit's code are the same, so that a long table can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import code_digest, describe_machine, record

Line = dict[str, Any]


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The flags that say where the results stand, and what is done about those that are there.

    Args:
        name: of the benchmark's module.
        description: of the benchmark.
    """
    flags = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    default = Path(__file__).parent / "results" / f"{name}.jsonl"
    flags.add_argument("--results", type=Path, default=default, help="file to append to (default: %(default)s)")
    flags.add_argument("--again", action="store_true", help="measure cells anew that are in the results")
    flags.add_argument("--table", action="store_true", help="measure nothing, print what is in the results")
    return flags


def run_cells(
    options: argparse.Namespace,
    cells: Iterable[Line],
    measure: Callable[[Line], Line],
    in_words: Callable[[Line], str],
) -> None:
    """Measures the cells that are not in the results, appends each as it is done, and prints all.

    Args:
        options: the flags of `parser`.
        cells: what to measure.
        measure: gives the figures of a cell.
        in_words: what is printed of a line.
    """
    if options.table:
        print("\n\n".join(map(in_words, latest(options.results))))
        return
    for cell in cells:
        line = None if options.again else find(options.results, cell)
        print(in_words(line or record(options.results, {"cell": cell, **measure(cell)})), end="\n\n", flush=True)


def find(results: Path, cell: Line) -> Line | None:
    """The latest line of a cell on this machine with this state of the code; None if there is none."""
    wanted = cell, describe_machine(), code_digest()
    return next((line for line in reversed(_lines(results)) if (line["cell"], line["machine"], line["code"]) == wanted), None)


def latest(results: Path) -> list[Line]:
    """The latest line of each cell on each machine, in the order of their first lines."""
    found = {json.dumps([line["cell"], line["machine"]["processor"], line["machine"]["gpu"]]): line for line in _lines(results)}
    return list(found.values())


def _lines(results: Path) -> list[Line]:
    if not results.is_file():
        return []
    lines = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if "cell" in line]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table in Markdown, its columns aligned, so that it reads well in a terminal too.

    Args:
        head: titles of the columns.
        rows: as many cells each.
        words: how many columns, from the first, hold words; the others hold numbers, which go to the right.
    """
    table = [list(head), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    rule = ["-" * width if column < words else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    table.insert(1, rule)
    sizes = [(width, column < words) for column, width in enumerate(widths)]
    lines = (
        [cell.ljust(width) if left else cell.rjust(width) for cell, (width, left) in zip(row, sizes, strict=True)]
        for row in table
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def on_what(line: Mapping[str, Any]) -> str:
    """Machine and time of a line, in words."""
    machine = line["machine"]
    return f"{machine['gpu'] or machine['processor']}, {machine['threads']} threads, {line['when']}"
