import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*options):
    command = [sys.executable, "-m", "benchmarks.reading", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout


def test_one_command_measures_every_step_and_keeps_the_figures(tmp_path):
    results = tmp_path / "results" / "reading.jsonl"
    printed = run("--rows", "3000", "--results", str(results))
    (line,) = results.read_text(encoding="utf-8").splitlines()
    measured = json.loads(line)
    assert (measured["rows"], measured["rejected"]) == (3000, 0)
    assert 0.02 < 1 - measured["groups"] / measured["rows"] < 0.08
    assert sum(measured["split"].values()) == 3000
    assert list(measured["seconds"]) == ["read", "clean", "exact_groups", "near_groups", "split"]
    assert sum(measured["seconds"].values()) == pytest.approx(measured["total_seconds"], abs=0.01)
    assert 20 < measured["peak_memory_mib"] < 1000
    assert {"numpy", "pyarrow"} <= set(measured["machine"]["versions"])
    assert f"{measured['peak_memory_mib']:.0f} MiB" in printed


def test_rows_are_the_same_each_time_and_some_are_quoted(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.reading import write_rows

    paths = [tmp_path / "once.csv", tmp_path / "again.csv"]
    for path in paths:
        write_rows(path, 500)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with open(paths[0], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 500
    assert all(5 <= len(row["text"].split()) <= 20 for row in rows)
    assert len({row["label"] for row in rows}) == 4
    assert 0.2 < sum("," in row["text"] for row in rows) / 500 < 0.4
