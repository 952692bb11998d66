"""Whether probabilities mean what they say, before and after calibration, on four corpora.

    python -m benchmarks.calibration --data FOLDER

Trains on each corpus with the usual settings, and prints what the run says of its test rows: the temperature, log
loss and calibration error (15 bins of equal mass) before and after, the error that perfect calibration would show at
that size (95th percentile), and whether the error after is at most the largest of 0.02, half of that before, and
that. Appends the same to `benchmarks/results/calibration.jsonl`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.corpora import NAMES, CorpusAbsentError, data_folder, load
from benchmarks.fine_tuned import trained_on
from benchmarks.machine import record
from benchmarks.records import markdown

RESULTS = Path(__file__).parent / "results" / "calibration.jsonl"
_SMALL_ERROR = 0.02


def measure(name: str, data: Path | None, seed: int, epochs: int) -> dict[str, Any]:
    """Trains on one corpus and returns what `metrics.json` says of its probabilities."""
    with trained_on(load(name, data), seed=seed, epochs=epochs) as run:
        metrics, accuracy = run.metrics["calibration"], run.metrics["test"]["accuracy"]
    before, after = metrics["before"], metrics["after"]
    bound = max(_SMALL_ERROR, before["expected_calibration_error"] / 2, after["expected_by_chance"])
    return {
        "corpus": name,
        "rows": after["n"],
        "accuracy": accuracy,
        "temperature": metrics["temperature"],
        "log_loss": [before["log_loss"], after["log_loss"]],
        "calibration_error": [before["expected_calibration_error"], after["expected_calibration_error"]],
        "by_chance": after["expected_by_chance"],
        "reached": after["log_loss"] <= before["log_loss"] and after["expected_calibration_error"] <= bound,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="folder with the corpora (SUREFIT_DATA when not given)")
    parser.add_argument("--corpora", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    rows = []
    for name in options.corpora:
        try:
            of = measure(name, data_folder(options.data), options.seed, options.epochs)
        except CorpusAbsentError as absent:
            print(absent)
            continue
        record(options.results, {"seed": options.seed, "epochs": options.epochs} | of)
        figures = [f"{of['temperature']:.2f}"]
        figures += [f"{before:.4f} → {after:.4f}" for before, after in (of["log_loss"], of["calibration_error"])]
        rows.append((name, f"{of['rows']:,}", *figures, f"{of['by_chance']:.4f}", "yes" if of["reached"] else "no"))
    print(markdown(("corpus", "test rows", "temperature", "log loss", "calibration error", "by chance", "reached"), rows))


if __name__ == "__main__":
    main()
