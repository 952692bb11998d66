"""The cells of a table of accuracies, one a (corpus, seed): their recipe, SureFit's answers, results and rows.

Who was right on each test row is appended to a file of JSON lines, one line a cell, so that a long
table can be stopped and gone on with.
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
from numpy.typing import NDArray

import surefit
from benchmarks.corpora import NAMES, Corpus, CorpusAbsentError, data_folder, load, read_splits, subset
from benchmarks.paired import PairedOutcome, PooledDifference
from surefit.config import MachineSettings
from surefit.model.hardware import choose_hardware


@dataclass(frozen=True)
class Recipe:
    """The settings of training, which both sides of a comparison share.

    Attributes:
        epochs: passes over the training rows; the best by validation macro F1 is kept.
        learning_rate: its peak, from which it falls to 0 in a straight line.
        batch_size: rows a step.
        warmup_share: share of the steps in which the learning rate rises.
        weight_decay: of AdamW.
        max_length: most tokens a row.
        precision: "fp32" or "bf16" (inside products, weights stay fp32).
        seed: of the new head, the order of the rows and dropout.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    warmup_share: float
    weight_decay: float
    max_length: int
    precision: str
    seed: int


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


@dataclass(frozen=True, eq=False)
class Answers:
    """What SureFit made of one cell.

    Attributes:
        splits: rows of the corpus in each split, rising.
        right: whether it is right on each test row, in the order of the split.
        figures: accuracy and macro F1 on the test rows.
    """

    splits: dict[str, list[int]]
    right: NDArray[np.bool_]
    figures: dict[str, float]


def results_file(name: str) -> Path:
    """Where a benchmark's results stand unless another file is given."""
    return Path(__file__).parent / "results" / f"{name}.jsonl"


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The flags that say which cells there are and where their results stand.

    Args:
        name: of the benchmark's module.
        description: of the benchmark.
    """
    flags = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    flags.add_argument("--data", help="folder of the corpora (else the environment variable SUREFIT_DATA)")
    flags.add_argument("--corpora", nargs="+", choices=NAMES, default=list(NAMES))
    flags.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    flags.add_argument("--rows", type=int, help="train on a subset of this many rows, as a trial")
    flags.add_argument("--test-size", type=float, default=0.2)
    flags.add_argument("--epochs", type=int, default=3)
    flags.add_argument("--learning-rate", type=float, default=2e-4)
    flags.add_argument("--batch-size", type=int, default=32)
    flags.add_argument("--warmup-share", type=float, default=0.1)
    flags.add_argument("--weight-decay", type=float, default=0.01)
    flags.add_argument("--max-length", type=int, default=256)
    flags.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of products")
    flags.add_argument("--results", type=Path, default=results_file(name))
    flags.add_argument("--again", action="store_true", help="measure cells anew that are in the results")
    return flags


def chosen_cells(options: argparse.Namespace) -> Iterator[tuple[Cell, Corpus]]:
    """The cells that the flags ask for, with their rows; says which corpora are absent."""
    precision = choose_hardware(MachineSettings(precision=options.precision)).precision
    for name in options.corpora:
        try:
            corpus = load(name, data_folder(options.data))
        except CorpusAbsentError as absent:
            print(absent, file=sys.stderr)
            continue
        if options.rows:
            corpus = subset(corpus, options.rows)
        for seed in options.seeds:
            yield Cell(name, options.rows, options.test_size, _recipe(options, precision, seed)), corpus


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


def announce(cell: Cell, corpus: Corpus) -> None:
    """Says that a cell is being measured."""
    print(f"{cell.corpus}, seed {cell.recipe.seed}: {len(corpus):,} rows", file=sys.stderr, flush=True)


def train_surefit(cell: Cell, corpus: Corpus) -> Answers:
    """Trains SureFit on its own split of a corpus, all epochs, and answers the test rows."""
    with tempfile.TemporaryDirectory() as folder:
        file, run = Path(folder) / f"{cell.corpus}.csv", Path(folder) / "run"
        corpus.write_csv(file)
        recipe = asdict(cell.recipe)
        # No early stopping: the other side may have none.
        trained = surefit.train(file, run=run, id="id", test_size=cell.test_size, patience=cell.recipe.epochs, **recipe)
        splits = read_splits(run / "splits.csv")
        correctness = _read_correctness(run / "predictions.csv")
    right = np.array([correctness[row] for row in splits["test"]])
    test = trained.metrics["test"]
    if not np.isclose(right.mean(), test["accuracy"]):
        raise RuntimeError("predictions.csv and metrics.json disagree on SureFit's accuracy")
    return Answers(splits, right, {"accuracy": test["accuracy"], "macro_f1": test["macro"]["f1"]})


def _read_correctness(path: Path) -> dict[int, bool]:
    with open(path, encoding="utf-8", newline="") as file:
        return {int(row["id"]): row["label"] == row["prediction"] for row in csv.DictReader(file)}


def as_digits(right: NDArray[np.bool_]) -> str:
    """Who was right, as the results hold it: "1" for a row that was answered rightly, "0" for another."""
    return "".join("1" if answer else "0" for answer in right)


def from_digits(digits: str) -> NDArray[np.bool_]:
    """What `as_digits` was given."""
    return np.array([digit == "1" for digit in digits])


def append(path: Path, line: dict[str, Any]) -> None:
    """Appends the line of a cell to a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def find(path: Path, cell: Cell) -> dict[str, Any] | None:
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


def outcomes_by_corpus(path: Path, cells: Sequence[Cell], first: str, second: str) -> dict[str, list[PairedOutcome]]:
    """The outcomes of the cells that have been measured, one a seed.

    Args:
        path: the file of results.
        cells: which to look for.
        first, second: what the file calls the two sides.
    """
    found: dict[str, list[PairedOutcome]] = {}
    for cell in cells:
        if line := find(path, cell):
            test = line["test"]
            outcome = PairedOutcome(np.array(test["ids"]), from_digits(test[first]), from_digits(test[second]))
            found.setdefault(cell.corpus, []).append(outcome)
    return found


def table_head(first: str, second: str) -> str:
    """What stands above the rows of `table_row`, given how readers know the two sides."""
    return f"{'corpus':<16}{'answers':>8}{first:>9}{second:>9}  difference in points [95% interval]; of each seed"


def table_row(name: str, outcomes: Sequence[PairedOutcome], pooled: PooledDifference) -> str:
    """One corpus: accuracies in percent over all seeds, and the difference."""
    first, second = (100 * np.concatenate(side).mean() for side in zip(*((o.first, o.second) for o in outcomes), strict=True))
    seeds = ", ".join(f"{outcome.difference:+.2f}" for outcome in outcomes)
    return f"{name:<16}{pooled.answers:>8,}{first:>9.2f}{second:>9.2f}  {pooled}; {seeds}"
