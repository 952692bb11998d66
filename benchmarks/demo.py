"""How long `make demo` takes from a fresh clone, of that fine-tuning, and in how much memory.

    python -m benchmarks.demo

Clones this checkout's commit into an empty temporary directory and runs `make demo` there, with
pip's cache as it is. Seconds of fine-tuning are those of the stage "train" in the run's
`trace.json`; the peak memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "demo.jsonl"


def measure(directory: Path) -> dict[str, Any]:
    """Clones, runs the demo, and reads what it left."""
    clone = directory / "surefit"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    start = time.perf_counter()
    subprocess.run(["make", "demo", f"PYTHON={sys.executable}"], cwd=clone, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, KiB on Linux
    run = clone / "runs" / "demo"
    stages = json.loads((run / "trace.json").read_text(encoding="utf-8"))["pipeline"]["stages"]
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    return {
        "seconds": round(seconds, 1),
        "fine_tuning_seconds": round(next(stage["seconds"] for stage in stages if stage["stage"] == "train"), 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**20),
        "precision": settings["machine"]["precision"],
        "epochs": metrics["training"]["epochs"],
        "training_rows": next(stage["rows_out"] for stage in stages if stage["stage"] == "train"),
        "accuracy": metrics["test"]["accuracy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measured = measure(Path(directory))
    from benchmarks.machine import describe_machine  # loads torch, and so comes after measuring

    for name, value in measured.items():
        print(f"{name:<22}{value}")
    entry = {"when": datetime.now(UTC).isoformat(timespec="seconds")} | measured | {"machine": describe_machine()}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with open(options.results, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
