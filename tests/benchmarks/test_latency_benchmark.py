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
    assert (first["kind"], first["processes"]) == ("first answer", 1)
    assert list(first["median_ms"]) == ["surefit in Python", "surefit predict", "pipeline"]
    assert (loaded["kind"], loaded["profile"], loaded["texts"]) == ("loaded", "sst2", 6)
    assert list(loaded["median_ms"]) == ["surefit", "pipeline"]
    for name, median in loaded["median_ms"].items():
        assert 0 < median <= loaded["p95_ms"][name]
    for entry in (first, loaded):
        for name, ratio in entry["ratios"].items():
            assert ratio == pytest.approx(entry["median_ms"]["pipeline"] / entry["median_ms"][name], rel=0.02)
        assert entry["machine"]["versions"]["torch"]
    assert "sst2" in capsys.readouterr().out


def test_each_turn_has_texts_of_its_own_and_the_first_does_not_count(film_run):
    seconds = latency.loaded_latencies(film_run, [f"film number {number}" for number in range(9)], turns=2)
    assert {name: len(taken) for name, taken in seconds.items()} == {"surefit": 6, "pipeline": 6}


def test_a_process_that_fails_is_no_answer(tmp_path, film_run):
    absent = type(film_run)(tmp_path / "absent")
    with pytest.raises(subprocess.CalledProcessError):
        latency.first_answers(absent, "a text", times=1)
