"""The benchmark of latency times single answers and first answers and records what it found."""

import json
import subprocess

import pytest

from benchmarks import latency


def test_lines_hold_medians_and_ratios_of_first_and_of_later_answers(film_run, tmp_path, capsys):
    results = tmp_path / "latency.jsonl"
    arguments = ["--run", str(film_run.path), "--profiles", "sst2", "--texts", "6", "--turns", "2", "--processes", "1"]
    latency.main([*arguments, "--results", str(results)])
    first, loaded = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    assert first["cell"] == {"processes": 1}
    assert list(first["sides"]) == ["SureFit in Python", "`surefit predict`", "`transformers.pipeline`"]
    assert loaded["cell"] == {"profile": "sst2", "texts": 6, "turns": 2}
    ours, *others = loaded["sides"]
    assert ours.startswith("SureFit, ")
    assert others == ["`transformers.pipeline`", "`transformers.pipeline`, bf16"]
    for entry, answers in ((first, 1), (loaded, 6)):
        medians = [side["median_ms"] for side in entry["sides"].values()]
        for side in entry["sides"].values():
            assert side["answers"] == answers
            assert 0 < side["median_ms"] <= side["p95_ms"]
            assert side["surefit_is_faster_by"] == pytest.approx(side["median_ms"] / medians[0], rel=0.02)
        assert entry["machine"]["versions"]["torch"]
    assert "sst2" in capsys.readouterr().out


def test_each_turn_has_texts_of_its_own_and_the_first_does_not_count(film_run):
    seconds = latency.loaded_latencies(film_run, [f"film number {number}" for number in range(9)], turns=2)
    assert [len(taken) for taken in seconds.values()] == [6, 6, 6]


def test_a_process_that_fails_is_no_answer(tmp_path, film_run):
    absent = type(film_run)(tmp_path / "absent")
    with pytest.raises(subprocess.CalledProcessError):
        latency.first_answers(absent, "a text", times=1)
