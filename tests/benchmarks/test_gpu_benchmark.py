"""The benchmark of GPUs: what can be checked without one, and a run of it where there is one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu as benchmark
from benchmarks import gpu_sides
from gpu import needs_gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_without_a_gpu_it_says_so_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--results", str(tmp_path / "gpu.jsonl")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: there is no CUDA GPU here, and this benchmark measures nothing else\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", ["128", "512"])
def test_fixed_lengths_are_fixed(length):
    rows = benchmark.rows_of_shape(benchmark.SHAPES[length], 20, seed=1)
    assert {len(row) for row in rows} == {int(length)}
    assert all((row.input_ids[0], row.input_ids[-1]) == (101, 102) for row in rows)


def test_mixed_lengths_differ_and_are_those_of_the_seed():
    rows, again, others = (benchmark.rows_of_shape(benchmark.SHAPES["imdb"], 50, seed) for seed in (1, 1, 2))
    assert len({len(row) for row in rows}) > 20
    assert [len(row) for row in rows] == [len(row) for row in again] != [len(row) for row in others]
    assert all((row.input_ids == other.input_ids).all() for row, other in zip(rows, again, strict=True))


def test_rows_of_equal_length_need_no_mask():
    rows = [torch.arange(1, 6), torch.arange(11, 16)]
    assert list(gpu_sides.padded(rows)) == ["input_ids"]
    assert torch.equal(gpu_sides.padded(rows)["input_ids"], torch.stack(rows))


def test_other_rows_are_padded_to_the_longest():
    batch = gpu_sides.padded([torch.arange(1, 12), torch.arange(21, 24)])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 16)
    assert batch["input_ids"][1, :4].tolist() == [21, 22, 23, 0]
    assert batch["attention_mask"].sum(1).tolist() == [11, 3]
    assert (batch["input_ids"] * batch["attention_mask"]).equal(batch["input_ids"])


def test_work_of_a_row_is_that_of_its_products():
    """BERT-base has 85 million weights in its layers' products, each used once a token."""
    weights = 12 * (4 * 768**2 + 2 * 768 * 3072)
    scores = 12 * 2 * 768 * 128**2
    assert benchmark.forward_flops(benchmark.SHAPES["128"]) == 2 * (128 * weights + scores)


def test_ratios_are_those_of_sides_that_do_the_same():
    speeds = {"train surefit": 60.0, "train trainer": 20.0, "predict transformers": 5.0}
    ratios = benchmark._ratios({name: {"rows_per_second": speed} for name, speed in speeds.items()})
    assert ratios == {"train surefit": 1.0, "train trainer": 3.0}


@needs_gpu
def test_a_line_holds_the_figures_of_each_side(tmp_path):
    sides = [name for name in benchmark.SIDES if "compiled" not in name]
    few = ["--steps", "2", "--rows", "64", "--turns", "1", "--batch", "4", "--shapes", "imdb"]
    results = tmp_path / "gpu.jsonl"
    command = [sys.executable, "-m", "benchmarks.gpu", *few, "--sides", *sides, "--results", str(results)]
    subprocess.run(command, check=True, cwd=Path(benchmark.__file__).parents[1])
    (line,) = results.read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert list(entry["sides"]) == sides
    for side in entry["sides"].values():
        assert side["rows_per_second"] > 0
        assert 0 < side["share_of_peak"] < 1
        assert side["peak_memory_mib"] > 100
    assert entry["machine"]["gpu"]
    assert np.isfinite(list(entry["ratios"].values())).all()
