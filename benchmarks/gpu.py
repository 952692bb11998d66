"""How fast SureFit trains and classifies on a GPU, beside Hugging Face in the same run.

    python -m benchmarks.gpu

All sides have the same weights of BERT-base's shape and get the same encoded rows, in turns; they compute
in bf16. Training is timed over many steps, with the GPU waited for at both ends: SureFit, its plain
modules, the Trainer at its best, and that with torch.compile. Classifying is timed from encoded rows to
logits on the host: SureFit, and Hugging Face's model on batches sorted by length.

The share of the peak is that of a plain model's multiply-adds on true tokens (what SureFit skips is not
credited to it) per second, over a bf16 product of 8,192-square matrices timed in the same turns. Peak
memory is what torch held at most, each side in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_sides import (
    BERT_BASE,
    CUDA,
    WARM_UP_STEPS,
    Side,
    StockPredicting,
    SureFitPredicting,
    SureFitTraining,
    TrainerTraining,
)
from benchmarks.lengths import PROFILES, Lengths, draw_lengths, multiply_adds
from benchmarks.machine import record
from surefit.types import Encoding

RESULTS = Path(__file__).parent / "results" / "gpu.jsonl"
SHAPES = {
    "128": Lengths(median=128, spread=0.0, least=128, most=128),
    "512": Lengths(median=512, spread=0.0, least=512, most=512),
    "imdb": PROFILES["imdb"],
}
SIDES: dict[str, Callable[[int, int], Side]] = {
    "train surefit": SureFitTraining,
    "train surefit plain": lambda batch, longest: SureFitTraining(batch, longest, plain=True),
    "train trainer": lambda batch, longest: TrainerTraining(batch),
    "train trainer compiled": lambda batch, longest: TrainerTraining(batch, compiled=True),
    "predict surefit": lambda batch, longest: SureFitPredicting(),
    "predict transformers": lambda batch, longest: StockPredicting(),
}
_NO_GPU = "there is no CUDA GPU here, and this benchmark measures nothing else"
_PEAK_SIDE = 8192
_WORD_IDS = (1000, 30522)  # of whole words and pieces in the vocabulary
_FIRST, _LAST = 101, 102


def rows_of_shape(shape: Lengths, count: int, seed: int) -> list[Encoding]:
    """Rows of random tokens between the usual first and last one.

    Args:
        shape: how long they are.
        count: how many.
        seed: decides lengths and tokens.
    """
    source = np.random.default_rng(seed)
    rows = []
    for length in draw_lengths(shape, count, source).tolist():
        ids = source.integers(*_WORD_IDS, length, dtype=np.int32)
        ids[0], ids[-1] = _FIRST, _LAST
        rows.append(Encoding(ids, np.zeros_like(ids), truncated_tokens=0))
    return rows


def rows_for(name: str, shape: Lengths, turn: int, options: argparse.Namespace) -> list[Encoding]:
    """What a side works through in a turn: the same rows for all sides of its kind."""
    training = (WARM_UP_STEPS + options.steps) * options.batch
    return rows_of_shape(shape, training if name.startswith("train") else options.rows, seed=turn)


def peak_flops() -> float:
    """Floating-point operations per second of one bf16 product of 8,192-square matrices, the fastest of a few."""
    matrix = torch.randn(_PEAK_SIDE, _PEAK_SIDE, device=CUDA).bfloat16()
    into = torch.empty_like(matrix)
    milliseconds: list[float] = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        torch.mm(matrix, matrix, out=into)
        end.record()
        end.synchronize()
        milliseconds.append(start.elapsed_time(end))
    return 2 * _PEAK_SIDE**3 / (min(milliseconds) / 1000)


def forward_flops(shape: Lengths) -> float:
    """Of a plain forward pass over one row, on average."""
    rows = rows_of_shape(shape, 1000, seed=0)
    sizes = (BERT_BASE[name] for name in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    return 2 * multiply_adds(rows, *sizes) / len(rows)


def measure(shape: str, options: argparse.Namespace) -> dict[str, Any]:
    """Times all sides in turns on rows of one shape."""
    lengths = SHAPES[shape]
    sides = {name: SIDES[name](options.batch, lengths.most) for name in options.sides}
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    peaks = []
    for turn in range(options.turns + 1):
        peaks.append(peak_flops())
        for name in list(sides)[:: -1 if turn % 2 else 1]:  # nobody always comes after the same side
            work = sides[name].work(rows_for(name, lengths, turn, options), turn)
            torch.cuda.empty_cache()
            print(f"{shape}, turn {turn}, {name}: {work.rows / work.seconds:.0f} rows/s", file=sys.stderr, flush=True)
            if turn:  # the first warms up
                speeds[name].append(work.rows / work.seconds)
    peak, flops = statistics.median(peaks[1:]), forward_flops(lengths)
    figures: dict[str, Any] = {}
    for name, side in sides.items():
        speed = statistics.median(speeds[name])
        figures[name] = {
            "rows_per_second": round(speed, 1),
            "share_of_peak": round(side.passes * flops * speed / peak, 4),
        }
    return {
        "shape": shape,
        "batch": options.batch,
        "steps": options.steps,
        "rows": options.rows,
        "turns": options.turns,
        "cuda": torch.version.cuda,
        "peak_tflops": round(peak / 1e12, 1),
        "sides": figures,
        "ratios": _ratios(figures),
    }


def _ratios(figures: dict[str, Any]) -> dict[str, float]:
    """How many times faster SureFit is than each side that does the same."""
    ours = {name: f"{name.split()[0]} surefit" for name in figures}
    return {
        name: round(figures[ours[name]]["rows_per_second"] / side["rows_per_second"], 3)
        for name, side in figures.items()
        if ours[name] in figures
    }


def peak_memory(name: str, shape: str, options: argparse.Namespace) -> int:
    """MiB of the GPU that torch holds at most in a process with one side only."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--alone", name, "--shapes", shape]
    for flag in ("batch", "steps", "rows"):
        command += [f"--{flag}", str(getattr(options, flag))]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def work_alone(name: str, shape: str, options: argparse.Namespace) -> None:
    """Lets one side work for a turn and prints the most memory that torch held, in MiB."""
    SIDES[name](options.batch, SHAPES[shape].most).work(rows_for(name, SHAPES[shape], 0, options), 0)
    print(torch.cuda.max_memory_allocated() // 2**20)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="SureFit on a GPU beside Hugging Face")
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=list(SHAPES), help="lengths of the rows")
    parser.add_argument("--sides", nargs="+", choices=tuple(SIDES), default=list(SIDES))
    parser.add_argument("--batch", type=int, default=32, help="rows of a step of training (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="steps of a turn that count (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=4096, help="rows of a turn to classify (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=4, help="turns, besides one to warm up (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--alone", choices=tuple(SIDES), help="run one side only and print the peak memory in MiB")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print(f"error: {_NO_GPU}", file=sys.stderr)
        sys.exit(2)
    if options.alone:
        work_alone(options.alone, options.shapes[0], options)
        return
    for shape in options.shapes:
        entry = measure(shape, options)
        for name in options.sides:
            entry["sides"][name]["peak_memory_mib"] = peak_memory(name, shape, options)
        print_cell(entry)
        record(options.results, entry)


def print_cell(entry: dict[str, Any]) -> None:
    """Prints the figures of one shape."""
    print(f"{entry['shape']}: batch {entry['batch']}, peak {entry['peak_tflops']} TFLOP/s")
    print(f"  {'':<24}{'rows/s':>9}{'of peak':>9}{'MiB':>8}  SureFit is faster by")
    for name, side in entry["sides"].items():
        ratio = f"{entry['ratios'][name]:.2f}" if name in entry["ratios"] else ""
        print(
            f"  {name:<24}{side['rows_per_second']:>9,.0f}{side['share_of_peak']:>9.1%}{side['peak_memory_mib']:>8,}  {ratio}"
        )


if __name__ == "__main__":
    main()
