import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaks")
    for name, files in {"banking77": ("train", "test"), "clinc150": ("train", "val", "test"), "sms_spam": ("all",)}.items():
        (folder / name).mkdir()
        for file in files:
            rows = [
                f"{' '.join(f'{file}{row}word{place * 7 % 31}' for place in range(10 + row % 9))},{'ab'[row % 2]}"
                for row in range(200)
            ]
            (folder / name / f"{file}.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    results = folder / "leaks.jsonl"
    command = [sys.executable, "-m", "benchmarks.leaks", "--data", str(folder), "--results", str(results)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True).stdout
    (line,) = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return printed, {of["corpus"]: of for of in line["corpora"]}


def test_every_kind_is_planted_and_its_share_found_is_kept(measured):
    printed, corpora = measured
    assert set(corpora) == {"rotten_tomatoes", "banking77", "clinc150", "sms_spam"}
    assert corpora["sms_spam"]["planted"] == 100
    assert corpora["rotten_tomatoes"]["planted"] == 2500
    for of in corpora.values():
        assert set(of["found"]) == {"unchanged", "a tenth replaced", "a tenth moved", "shuffled", "in capitals"}
        assert of["found"]["unchanged"] == 1
        assert min(of["found"].values()) >= 0.95
        assert of["share_under_half"] < 0.01
    assert "| sms_spam " in printed


def test_rows_that_were_not_planted_are_told_apart(measured):
    genuine = measured[1]["sms_spam"]["genuine"]
    assert genuine == {"exact": 0, "near": 0, "group": 0}
