import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_command_audits_short_and_longer_texts_and_keeps_the_figures(tmp_path):
    results = tmp_path / "audit.jsonl"
    command = [sys.executable, "-m", "benchmarks.audit", "--rows", "2000", "--results", str(results)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True).stdout
    (line,) = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    assert line["rows"] == 2000
    assert list(line["texts"]) == ["short", "longer"]
    for measured in line["texts"].values():
        assert 20 < measured["peak_memory_mib"] < 1500
        assert 0 < measured["processor_seconds"] < 120
        assert measured["findings"]["exact duplicates"] > 50
    assert "short" in printed
    assert "MiB" in printed
    assert {"python", "versions", "processor"} <= set(line["machine"])
