"""How long, and in how much memory, `surefit audit` takes for a million rows, their tokens counted by the embedded model.

    python -m benchmarks.audit

Writes seeded CSV files with short texts (5 to 20 words) and longer ones (20 to 60) to a temporary directory, runs
the command on each, and prints and appends to `benchmarks/results/audit.jsonl`: seconds, peak memory, tokens of the
median row, findings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.reading import write_rows

ROWS = 1_000_000
WORDS = {"short": (5, 20), "longer": (20, 60)}
RESULTS = Path(__file__).parent / "results" / "audit.jsonl"


def measure(path: Path) -> dict[str, Any]:
    """Runs the command on a file."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "surefit", "audit", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        written = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # of this process alone
    if status:
        raise RuntimeError("surefit audit failed")
    audit = json.loads(written)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, KiB on Linux
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mib": round(usage.ru_maxrss * unit / 2**20),
        "file_mib": round(path.stat().st_size / 2**20),
        "median_tokens": audit["lengths"]["tokens"]["median"],
        "findings": {finding["kind"]: finding["rows"] for finding in audit["findings"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of each file (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    measured = {}
    for name, words in WORDS.items():
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "rows.csv"
            write_rows(path, options.rows, words)
            measured[name] = measure(path)
    from benchmarks.machine import record  # loads torch, and so comes after measuring

    record(options.results, {"rows": options.rows, "texts": measured})
    for name, of in measured.items():
        print(
            f"{name:<8}{of['seconds']:8.1f} s ({of['processor_seconds']:.1f} s of processor time)"
            f"{of['peak_memory_mib']:8,} MiB   file of {of['file_mib']:,} MiB"
        )


if __name__ == "__main__":
    main()
