"""Does SureFit's fast engine cost accuracy?

For each corpus and seed SureFit trains twice on the same split, with the same recipe, the same order
of the rows and the same dropout: once as users get it, and once plainly, that is by the plain modules
and autograd in fp32, with dense AdamW, which moves all rows of the word embeddings at each step. The
fast side's answers are taken over from a table that holds the same cell, where the test rows are the
same.

The figure to reach: the mean of the corpora's differences, fast less plain, above -0.3 points.
A plain run takes long, and does not change with the fast engine: `--fast-again` measures the fast side
anew, or takes it over, beside the plain answers that are in the results.

    python -m benchmarks.engine_accuracy --data FOLDER
    python -m benchmarks.engine_accuracy --data FOLDER --rows 300 --epochs 1 --results /tmp/trial.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.cells import (
    Cell,
    announce,
    append,
    as_digits,
    chosen_cells,
    find,
    outcomes_by_corpus,
    parser,
    results_file,
    table_head,
    table_row,
    train_surefit,
)
from benchmarks.corpora import Corpus
from benchmarks.machine import code_digest, describe_machine
from benchmarks.paired import mean_over_corpora, pool
from surefit.model.classifier import Classifier
from surefit.model.hardware import Hardware
from surefit.model.int8_ranges import Ranges
from surefit.training.optimizer import AdamW

LEAST_ACCEPTABLE_POINTS = -0.3


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    cells = []
    for cell, corpus in chosen_cells(options):
        cells.append(cell)
        measured = find(options.results, cell)
        if options.again or options.fast_again or measured is None:
            announce(cell, corpus)
            plain = measured if options.fast_again else None
            append(options.results, measure(cell, corpus, find(options.recorded, cell), plain))
    print_table(options.results, cells)


def _parser() -> argparse.ArgumentParser:
    flags = parser("engine_accuracy", "SureFit's fast engine against the plain modules with dense AdamW")
    flags.add_argument(
        "--from",
        dest="recorded",
        metavar="FILE",
        type=Path,
        default=results_file("accuracy"),
        help="results of benchmarks.accuracy, of whose latest line of a cell the fast side's answers are taken over "
        "(default: %(default)s); a file that does not exist has it trained anew",
    )
    flags.add_argument(
        "--fast-again", action="store_true", help="take the plain side's answers from the results, where they hold the cell"
    )
    return flags


def measure(
    cell: Cell, corpus: Corpus, recorded: dict[str, Any] | None = None, measured: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Trains both sides on one corpus and seed and returns the line to record.

    Args:
        cell: what is compared; its precision is the fast side's, the plain one has fp32.
        corpus: its rows.
        recorded: a line of the same cell by `benchmarks.accuracy`, whose answers of SureFit are taken over
            if its test rows are the same.
        measured: an earlier line that this function gave for the cell, whose plain side is taken over.
    """
    line = _measure_plain(cell, corpus) if measured is None else measured
    ids = line["test"]["ids"]
    if recorded is not None and recorded["test"]["ids"] == ids:
        fast = recorded["surefit"] | {"taken_over": True, "code": recorded.get("code"), "machine": recorded["machine"]}
        right = recorded["test"]["surefit"]
    else:
        trained = train_surefit(cell, corpus)
        if trained.splits["test"] != ids:
            raise RuntimeError("the two sides were given different splits")
        fast = trained.figures | {"taken_over": False, "code": code_digest(), "machine": describe_machine()}
        right = as_digits(trained.right)
    return line | {"fast": fast, "test": line["test"] | {"fast": right}}


def _measure_plain(cell: Cell, corpus: Corpus) -> dict[str, Any]:
    """What a line says of the cell and of its plain side."""
    with plain_engine():
        plain = train_surefit(replace(cell, recipe=replace(cell.recipe, precision="fp32")), corpus)
    return {
        "schema_version": 1,
        "cell": asdict(cell),
        "plain": plain.figures | {"code": code_digest(), "machine": describe_machine()},
        "classes": len(set(corpus.labels)),
        "rows": {name: len(rows) for name, rows in plain.splits.items()},
        "test": {"ids": plain.splits["test"], "plain": as_digits(plain.right)},
    }


@contextmanager
def plain_engine() -> Iterator[None]:
    """While it is open, SureFit's BERT computes by its plain modules, and each step moves all word embeddings.

    Rows that a step did not use have gradients of zero, so that moving all rows is dense AdamW, and the
    norm of all gradients is that of the rows which were used.
    """
    prepare, step = Classifier.prepare, AdamW.step

    def prepare_plainly(self: Classifier, hardware: Hardware, *, plain: bool = True, int8: Ranges | None = None) -> None:
        prepare(self, hardware, plain=True, int8=int8)

    def step_densely(self: AdamW, learning_rate: float, word_rows: Tensor) -> None:
        step(self, learning_rate, torch.arange(len(self._parameters.words), device=word_rows.device))

    with patch.object(Classifier, "prepare", prepare_plainly), patch.object(AdamW, "step", step_densely):
        yield


def print_table(path: Path, cells: Sequence[Cell]) -> None:
    """Prints one row a corpus, its seeds pooled, and the mean of the corpora's differences."""
    corpora = outcomes_by_corpus(path, cells, "fast", "plain")
    print(table_head("fast", "plain"))
    for name, outcomes in corpora.items():
        print(table_row(name, outcomes, pool(outcomes)))
    if corpora:
        mean = mean_over_corpora(list(corpora.values()))
        verdict = "reached" if mean.points > LEAST_ACCEPTABLE_POINTS else "not reached"
        print(f"mean of the corpora: {mean} points; to reach: above {LEAST_ACCEPTABLE_POINTS} points; {verdict}")


if __name__ == "__main__":
    main()
