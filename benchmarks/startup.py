"""How long `surefit --help` takes, from the shell's call to its answer.

    python -m benchmarks.startup

Starts the installed program again and again, prints the median, and appends it as one line of JSON
to `benchmarks/results/startup.jsonl`. The bare interpreter is measured too, in turns with the
program, since no Python program can be faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RUNS = 11
RESULTS = Path(__file__).parent / "results" / "startup.jsonl"
LARGEST_ACCEPTABLE_SECONDS = 0.3


def seconds_of(command: Sequence[str | Path]) -> float:
    """Time of one call, output thrown away."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, Any]:
    """Times the help page and the bare interpreter in turns, after one call of each that is not counted."""
    program = Path(sys.executable).with_name("surefit")
    commands: dict[str, list[str | Path]] = {
        "surefit --help": [program, "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, command in commands.items():
            taken = seconds_of(command)
            if run:
                seconds[name].append(taken)
    return {
        "runs": runs,
        "median_seconds": {name: round(statistics.median(taken), 4) for name, taken in seconds.items()},
        "seconds": {name: [round(second, 4) for second in taken] for name, taken in seconds.items()},
    }


def run(runs: int, results: Path) -> None:
    """Measures, prints, and appends to `results`."""
    load = round(os.getloadavg()[0], 2)
    measured = measure(runs) | {"load_average": load}
    from benchmarks.machine import record  # loads torch, and so comes after measuring

    machine = record(results, measured)["machine"]
    for name, taken in measured["seconds"].items():
        print(f"{name:<16}{measured['median_seconds'][name]:7.3f} s  ({min(taken):.3f} to {max(taken):.3f} in {runs} runs)")
    print(f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}", end="")
    print("".join(f", {package} {machine['versions'][package]}" for package in ("surefit", "typer", "rich")))
    print(f"Processes that were running beside it: {load} (mean of the last minute); measure on a machine that is idle.")
    print(f"The figure to reach: a median below {LARGEST_ACCEPTABLE_SECONDS} s for the help page.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="calls of each (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    run(options.runs, options.results)


if __name__ == "__main__":
    main()
