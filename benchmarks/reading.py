"""How long, and in how much memory, a million short rows take from the file to the split.

    python -m benchmarks.reading

Writes a seeded CSV file to a temporary directory, runs read, clean, duplicate groups, groups of
similar texts and split on it in a fresh process, prints the seconds of each step, their total and the peak memory, and
appends the same as one line of JSON to `benchmarks/results/reading.jsonl`.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 1_000_000
SEED = 0
RESULTS = Path(__file__).parent / "results" / "reading.jsonl"

_CLASSES = ("account", "delivery", "payment", "product")
_WORDS = 5_000
_DUPLICATE_SHARE = 0.05
_CHUNK_ROWS = 10_000


def write_rows(path: Path, rows: int, words: tuple[int, int] = (5, 20)) -> None:
    """Writes labelled texts of 5 to 20 words, or so many; about 5% repeat an earlier text, about 30% need quotes."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(_rows(rows, words))


def _rows(rows: int, words_a_row: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """The rows, made in chunks so that this process stays small (see `measure`)."""
    rng = np.random.default_rng(SEED)
    words = _vocabulary(rng)
    likelihood = 1 / np.arange(1, _WORDS + 1)  # Zipf's law
    likelihood /= likelihood.sum()
    for start in range(0, rows, _CHUNK_ROWS):
        count = min(_CHUNK_ROWS, rows - start)
        chunk: list[tuple[str, str]] = []
        lengths = rng.integers(words_a_row[0], words_a_row[1] + 1, count)
        ids = rng.choice(_WORDS, size=int(lengths.sum()), p=likelihood)
        labels = rng.integers(0, len(_CLASSES), count)
        repeated = rng.random(count) < _DUPLICATE_SHARE
        commas = rng.random(count) < 0.3
        for row, chosen in enumerate(np.split(ids, np.cumsum(lengths)[:-1])):
            if repeated[row] and chunk:
                chunk.append(chunk[int(rng.integers(len(chunk)))])
                continue
            text = [words[word] for word in chosen]
            if commas[row]:
                text[len(text) // 2] += ","
            chunk.append((" ".join(text), _CLASSES[labels[row]]))
        yield from chunk


def _vocabulary(rng: np.random.Generator) -> list[str]:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return ["".join(rng.choice(letters, int(length))) for length in rng.integers(2, 10, _WORDS)]


def measure(path: Path) -> dict[str, Any]:
    """Runs the steps on one file and times them; for a process that has done nothing else.

    The operating system carries the peak memory of a parent over to the process it starts, so the
    parent must stay smaller than what is measured here.
    """
    from surefit.config import ReadSettings, SplitSettings
    from surefit.data.clean import clean, encode_labels, label_schema
    from surefit.data.duplicates import exact_groups
    from surefit.data.near_duplicates import WordSets, near_groups
    from surefit.data.read import read
    from surefit.data.split import SPLIT_NAMES, split
    from surefit.types import SINGLE_LABEL

    marks = [time.perf_counter()]
    result = read(path, ReadSettings())
    marks.append(time.perf_counter())
    examples = clean(result.examples).examples
    schema = label_schema(examples, SINGLE_LABEL)
    targets = encode_labels(examples, schema)
    marks.append(time.perf_counter())
    exact_groups(examples.texts, examples.text_pairs)
    marks.append(time.perf_counter())
    groups = near_groups(WordSets.of(examples))
    marks.append(time.perf_counter())
    parts = split(targets, groups, SplitSettings(), SEED, schema)
    marks.append(time.perf_counter())

    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, KiB on Linux
    steps = ("read", "clean", "exact_groups", "near_groups", "split")
    return {
        "rows": len(examples),
        "rejected": len(result.rejected),
        "groups": int(groups.max()) + 1,
        "split": {name: len(parts.rows(name)) for name in SPLIT_NAMES},
        "seconds": {step: round(end - start, 3) for step, start, end in zip(steps, marks, marks[1:], strict=False)},
        "total_seconds": round(marks[-1] - marks[0], 3),
        "processor_seconds": round(time.process_time(), 3),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1),
    }


def run(rows: int, results: Path) -> None:
    """Measures in a fresh process, prints, and appends to `results`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rows.csv"
        write_rows(path, rows)
        command = [sys.executable, "-m", "benchmarks.reading", "--measure", str(path)]
        measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        measured["file_mib"] = round(path.stat().st_size / 2**20, 1)
    # Loads torch, and so comes after measuring.
    from benchmarks.machine import describe_machine

    machine = describe_machine()
    machine["versions"]["pyarrow"] = version("pyarrow")
    for step, seconds in measured["seconds"].items():
        print(f"{step:<14}{seconds:8.2f} s")
    print(f"{'total':<14}{measured['total_seconds']:8.2f} s")
    print(f"{'processor':<14}{measured['processor_seconds']:8.2f} s (imports included)")
    print(f"{'peak memory':<14}{measured['peak_memory_mib']:8.0f} MiB")
    print(f"{measured['rows']:,} rows, {measured['file_mib']:.0f} MiB; {machine['processor']}, {machine['cores']} cores")
    print(", ".join(f"{name} {machine['versions'][name]}" for name in ("numpy", "pyarrow")) + f", Python {machine['python']}")
    results.parent.mkdir(parents=True, exist_ok=True)
    with open(results, "a", encoding="utf-8") as file:
        file.write(
            json.dumps({"when": datetime.now(UTC).isoformat(timespec="seconds")} | measured | {"machine": machine}) + "\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the file (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    parser.add_argument("--measure", type=Path, help="measure this file here and print JSON; used by the benchmark itself")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
    else:
        run(options.rows, options.results)


if __name__ == "__main__":
    main()
