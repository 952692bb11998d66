"""Whether a threshold that is asked for a precision of 95% gives it on other rows, and at what recall.

    python -m benchmarks.thresholds --data FOLDER

Trains on half of each corpus and sets the other half aside. These rows are split 50 times at random into two
halves, one to fit the threshold of a class and one to test it. For each class that is looked at (both of two, else
ten from the largest to the smallest) prints and appends to `benchmarks/results/thresholds.jsonl`: mean precision on
the test halves, the mean recall as a share of that of the best threshold in hindsight (the most recall that reaches
95% there), and how often the product said that the precision cannot be reached. Resplits in which a test half
cannot have 95% at any threshold have no recall to compare with and are counted.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import NAMES, CorpusAbsentError, data_folder, load
from benchmarks.fine_tuned import trained_on
from benchmarks.machine import record
from benchmarks.records import markdown
from surefit.decision import decide, scores_against_others
from surefit.evaluation.curves import ThresholdCurve
from surefit.evaluation.requests import DecisionRequest
from surefit.evaluation.thresholds import ScoredRows, fit_rule
from surefit.types import SINGLE_LABEL, LabelSchema

RESULTS = Path(__file__).parent / "results" / "thresholds.jsonl"
PRECISION = 0.95
RESPLITS = 50
_MOST_CLASSES = 10


def scored_rows(name: str, data: Path | None, seed: int, epochs: int) -> tuple[ScoredRows, LabelSchema]:
    """Trains on half of a corpus; what the model says of the other half."""
    with trained_on(load(name, data), seed=seed, epochs=epochs, test_size=0.5) as run:
        names = tuple(run.metrics["test"]["per_class"])
        with open(run.directory / "predictions.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    schema = LabelSchema(SINGLE_LABEL, names)
    probabilities = np.array([[float(row[f"probability_{label}"]) for label in schema.id2label] for row in rows])
    return ScoredRows(probabilities, np.array([schema.label2id[row["label"]] for row in rows])), schema


def resplit(rows: ScoredRows, seed: int) -> Iterator[tuple[ScoredRows, ScoredRows]]:
    """Two halves of the rows, again and again."""
    rng = np.random.default_rng(seed)
    for _ in range(RESPLITS):
        halves = np.array_split(rng.permutation(len(rows)), 2)
        fitting, testing = (ScoredRows(rows.probabilities[half], rows.targets[half]) for half in halves)
        yield fitting, testing


def measure(rows: ScoredRows, schema: LabelSchema, class_id: int, seed: int) -> dict[str, Any]:
    """Fits and tests the threshold of one class on each resplit."""
    request = DecisionRequest(positive=schema.id2label[class_id], min_precision=PRECISION)
    precision, recall, best, refused = [], [], [], 0
    for fitting, testing in resplit(rows, seed):
        fitted = fit_rule(fitting, schema, request)
        refused += not fitted.reached
        answered = decide(testing.probabilities, schema, fitted.rule) == class_id
        of_class = testing.targets == class_id
        curve = ThresholdCurve.of(scores_against_others(testing.probabilities)[:, class_id], of_class)
        precision.append(_share(of_class[answered]))
        recall.append(_share(answered[of_class]))
        best.append(curve.recall[curve.precision >= PRECISION].max(initial=0.0))
    return {
        "class_rows": int(np.count_nonzero(rows.targets == class_id)),
        "precision": float(np.nanmean(precision)),
        "recall": float(np.mean(recall)),
        "recall_of_hindsight": float(np.mean(best)),
        "said_unreachable": refused,
        "unreachable_in_hindsight": int(np.count_nonzero(np.array(best) == 0)),
    }


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="folder with the corpora (SUREFIT_DATA when not given)")
    parser.add_argument("--corpora", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    lines = []
    for name in options.corpora:
        try:
            rows, schema = scored_rows(name, data_folder(options.data), options.seed, options.epochs)
        except CorpusAbsentError as absent:
            print(absent)
            continue
        by_size = np.argsort(-np.bincount(rows.targets, minlength=len(schema)), kind="stable")
        spread = np.linspace(0, len(by_size) - 1, min(len(by_size), _MOST_CLASSES)).round().astype(int)
        cases = {schema.id2label[by_size[place]]: measure(rows, schema, int(by_size[place]), options.seed) for place in spread}
        record(options.results, {"corpus": name, "seed": options.seed, "epochs": options.epochs, "classes": cases})
        for label, of in cases.items():
            shares = [of["precision"], of["recall"], of["recall"] / max(of["recall_of_hindsight"], 1e-9)]
            said = f"{of['said_unreachable']} of {RESPLITS}"
            lines.append((f"{name}: {label}", f"{of['class_rows']:,}", *(f"{share:.1%}" for share in shares), said))
    head = ("class", "rows", "precision", "recall", "of the best in hindsight", "said to be out of reach")
    print(markdown(head, lines))


if __name__ == "__main__":
    main()
