"""How often 95% intervals hold the true accuracy and macro F1, in simulations of test sets.

    python -m benchmarks.intervals

Draws test sets of 200 to 1,000 rows and 20 rows and more a class from populations whose figures are known: two to
ten classes, of equal or falling size, with an accuracy from 0.6 to 0.97, each row for itself or a third of them in
groups that share class and fate. Counts, for each setting, how many of 1,000 intervals hold the truth; prints how
these shares lie, and appends all of them to `benchmarks/results/intervals.jsonl`. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import record
from benchmarks.records import markdown
from benchmarks.simulated_rows import Population, held, lopsided
from surefit.evaluation.intervals import confidence_intervals

RESULTS = Path(__file__).parent / "results" / "intervals.jsonl"
_LEAST_PER_CLASS = 20
FIGURES = ("accuracy", "macro_f1")


def settings() -> Iterator[Population]:
    """All that are simulated."""
    for rows in (200, 500, 1_000):
        for classes in (2, 3, 5, 10):
            shapes = {(1 / classes,) * classes}
            if rows > _LEAST_PER_CLASS * classes:
                shapes.add(lopsided(classes, rows, _LEAST_PER_CLASS))
            for shares in sorted(shapes):
                for accuracy in (0.6, 0.8, 0.9, 0.97):
                    for grouped in (False, True):
                        yield Population(shares, accuracy, rows, grouped)


def measure(population: Population, simulations: int, seed: int) -> dict[str, Any]:
    """Draws one setting again and again, and counts the intervals that hold the truth."""
    rng = np.random.default_rng(seed)
    probabilities = np.full((population.rows, len(population.shares)), 1 / len(population.shares))
    accuracy, macro_f1 = [], []
    for _ in range(simulations):
        groups = population.groups(rng)
        targets = population.targets(groups, rng)
        found = confidence_intervals(
            targets, probabilities, population.answers(targets, groups, rng), groups, population.schema
        )
        accuracy.append(found.accuracy)
        macro_f1.append(found.macro.f1)
    shares = {"accuracy": held(accuracy, population.accuracy), "macro_f1": held(macro_f1, population.macro_f1)}
    return asdict(population) | {"held": shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1_000, help="of each setting (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    measured = [measure(population, options.simulations, options.seed) for population in settings()]
    record(options.results, {"simulations": options.simulations, "seed": options.seed, "settings": measured})
    rows = []
    for name in FIGURES:
        held_by = np.array([setting["held"][name] for setting in measured])
        ends = [f"{end:.1%}" for end in np.quantile(held_by, (0, 0.5, 1))]
        counts = [f"{np.count_nonzero(outside)}" for outside in (held_by < 0.92, held_by > 0.98)]
        rows.append((name.replace("_", " "), f"{len(held_by)}", *ends, *counts))
    print(markdown(("figure", "settings", "least", "median", "most", "under 92%", "over 98%"), rows))


if __name__ == "__main__":
    main()
