"""How fast SureFit classifies, beside its peers in the same run.

    python -m benchmarks.inference

All sides turn the same list of raw texts into probabilities with the same fine-tuned weights, on the
processor, in turns, so that the machine's drifting speed meets all of them; every turn has texts of its
own. Tokenising is within the timing; loading, converting and quantising the model are outside it, on all
sides. The ratio is the median of the turns' ratios. The share of the peak is that of a plain model's
multiply-adds on true tokens (what SureFit skips is not credited to it) per second, over a bf16 product of
2,048-square matrices timed in the same turns.

Faster is worth nothing if it is wrong: in the same run each side classifies the test rows of the film
reviews, and a side whose accuracy is more than 0.3 points below that of the pipeline in fp32 is marked as
not eligible.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import surefit
from benchmarks.corpora import Corpus
from benchmarks.fine_tuned import fine_tuned_run, reviews_of
from benchmarks.inference_peers import PipelineSide, Side, absent, onnxruntime_int8, openvino_bf16, openvino_int8
from benchmarks.lengths import PROFILES, multiply_adds, texts_like
from benchmarks.machine import peak_flops, record
from surefit.artifacts import RunDirectory
from surefit.model.pretrained import load_classifier

RESULTS = Path(__file__).parent / "results" / "inference.jsonl"
# Texts of a turn: some seconds to a minute of the slowest side.
ROWS = {"sst2": 3000, "ag_news": 2000, "imdb": 300}
MOST_POINTS_LOST = 0.3
_REFERENCE = "pipeline"
_TRIAL_ROWS = 256
_CALIBRATION_ROWS = 300
# Between sides, until the threads of the one before no longer wait for work on the cores.
_PAUSE_SECONDS = 0.3
# What each side needs besides SureFit.
_PACKAGES = {
    "onnxruntime int8": ("onnx", "onnxruntime"),
    "openvino bf16": ("openvino",),
    "openvino int8": ("openvino", "nncf"),
}
SIDES = ("surefit", "surefit fp32", _REFERENCE, "pipeline bf16", *_PACKAGES)


class SureFitSide(Side):
    """SureFit's Python interface."""

    def __init__(self, run: RunDirectory, precision: str) -> None:
        self._classifier = surefit.load(run.path, device="cpu", precision=precision)
        self.setting = self._classifier.hardware.precision

    def answer(self, texts: list[str]) -> Any:
        return self._classifier.predict(texts)

    def labels(self, answers: Any) -> list[str]:
        return [prediction.label for prediction in answers]


def build_side(name: str, run: RunDirectory) -> Side:
    """One side of the comparison, ready to classify.

    Args:
        name: one of `SIDES`.
        run: what has learned the film reviews.
    """
    if name == "openvino int8":
        return openvino_int8(run.model, reviews_of(run, "train").texts[:_CALIBRATION_ROWS])
    builders: dict[str, Callable[[], Side]] = {
        "surefit": lambda: SureFitSide(run, "auto"),
        "surefit fp32": lambda: SureFitSide(run, "fp32"),
        _REFERENCE: lambda: PipelineSide(run.model, torch.float32),
        "pipeline bf16": lambda: PipelineSide(run.model, torch.bfloat16),
        "onnxruntime int8": lambda: onnxruntime_int8(run.model),
        "openvino bf16": lambda: openvino_bf16(run.model),
    }
    return builders[name]()


def build_sides(names: Sequence[str], run: RunDirectory) -> dict[str, Side]:
    """The sides whose packages are installed; what is left out is said."""
    sides = {}
    for name in names:
        missing = absent(_PACKAGES.get(name, ()))
        if missing:
            advice = "install the peers with: pip install -r benchmarks/peers.txt"
            print(f"{name}: skipped, {' and '.join(missing)} not installed; {advice}", file=sys.stderr)
        else:
            print(f"{name}: preparing", file=sys.stderr, flush=True)
            sides[name] = build_side(name, run)
    return sides


def accuracies(sides: Mapping[str, Side], rows: Corpus) -> dict[str, float]:
    """Share of the rows that each side has right."""
    found = {}
    for name, side in sides.items():
        answers = side.labels(side.answer(list(rows.texts)))
        found[name] = statistics.fmean(answer == label for answer, label in zip(answers, rows.labels, strict=True))
    return found


def is_eligible(accuracy: float, in_fp32: float) -> bool:
    """Whether a side is as accurate as it must be for its speed to count."""
    return 100 * (in_fp32 - accuracy) <= MOST_POINTS_LOST


def measure(profile: str, sides: Mapping[str, Side], run: RunDirectory, rows: int, turns: int) -> dict[str, Any]:
    """Times all sides in turns on texts of one profile.

    Args:
        profile: one of `PROFILES`.
        sides: who classifies, "surefit" among them.
        run: whose tokenizer counts the tokens.
        rows: texts of a turn.
        turns: turns that count; one more warms up.
    """
    saved = load_classifier(run.model)
    texts = texts_like(profile, (turns + 1) * rows, saved.tokenizer)
    for side in sides.values():
        side.choose(texts[:_TRIAL_ROWS])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    peaks = []
    for turn in range(turns + 1):
        peaks.append(peak_flops())
        for name in list(sides)[:: -1 if turn % 2 else 1]:  # nobody always comes after the same side
            time.sleep(_PAUSE_SECONDS)
            start = time.perf_counter()
            sides[name].answer(texts[turn * rows : (turn + 1) * rows])
            taken = time.perf_counter() - start
            print(f"{profile}, turn {turn}, {name}: {rows / taken:.0f} rows/s", file=sys.stderr, flush=True)
            if turn:
                seconds[name].append(taken)
    encodings = saved.tokenizer.encode(texts[rows:])
    config = saved.classifier.config
    sizes = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    flops = 2 * multiply_adds(encodings, *sizes) / turns
    peak = statistics.median(peaks)
    return {
        "profile": profile,
        "rows": rows,
        "turns": turns,
        "tokens_per_row": round(float(np.mean([len(row) for row in encodings])), 1),
        "peak_tflops": round(peak / 1e12, 3),
        "sides": {
            name: {
                "setting": sides[name].setting,
                "rows_per_second": round(rows / statistics.median(taken), 1),
                "rows_per_second_of_turns": [round(rows / second, 1) for second in taken],
                "share_of_peak": round(flops / statistics.median(taken) / peak, 4),
            }
            for name, taken in seconds.items()
        },
        "ratios": {name: round(_median_ratio(taken, seconds["surefit"]), 3) for name, taken in seconds.items()},
    }


def _median_ratio(seconds: Sequence[float], of_surefit: Sequence[float]) -> float:
    """How many times faster SureFit is, turn by turn."""
    return statistics.median(one / other for one, other in zip(seconds, of_surefit, strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference", description="SureFit's inference against its peers'"
    )
    parser.add_argument("--run", type=Path, help="run to classify with; it is trained there if there is none")
    parser.add_argument("--profiles", nargs="+", choices=tuple(PROFILES), default=list(PROFILES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="surefit is always among them")
    parser.add_argument("--rows", type=int, help=f"texts of a turn (default: {ROWS})")
    parser.add_argument("--turns", type=int, default=5, help="turns, besides one to warm up (default: %(default)s)")
    parser.add_argument("--test-rows", type=int, help="film reviews to judge accuracy by (default: all test rows)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    with fine_tuned_run(options.run) as run:
        # The reference is always asked for its accuracy, and only timed if it is wanted.
        judged = build_sides([name for name in SIDES if name in {"surefit", _REFERENCE, *options.sides}], run)
        tested = reviews_of(run, "test")
        tested = tested.take(range(min(options.test_rows or len(tested), len(tested))))
        accuracy = accuracies(judged, tested)
        timed = {name: side for name, side in judged.items() if name == "surefit" or name in options.sides}
        for profile in options.profiles:
            entry = measure(profile, timed, run, options.rows or ROWS[profile], options.turns)
            entry["accuracy_fp32"], entry["test_rows"] = round(accuracy[_REFERENCE], 4), len(tested)
            for name, side in entry["sides"].items():
                side["accuracy"] = round(accuracy[name], 4)
                side["eligible"] = is_eligible(accuracy[name], accuracy[_REFERENCE])
            print_cell(entry)
            record(options.results, entry)


def print_cell(entry: Mapping[str, Any]) -> None:
    """Prints one profile's figures."""
    print(f"{entry['profile']}: {entry['tokens_per_row']} tokens a row, peak {entry['peak_tflops']:.2f} TFLOP/s", end="; ")
    print(f"accuracy in fp32 {entry['accuracy_fp32']:.2%} on {entry['test_rows']:,} film reviews")
    print(f"  {'':<18}{'rows/s':>8}{'of peak':>9}{'accuracy':>10}{'SureFit is faster by':>22}")
    for name, side in entry["sides"].items():
        line = f"  {name:<18}{side['rows_per_second']:>8,.0f}{side['share_of_peak']:>9.1%}{side['accuracy']:>10.2%}"
        remark = "" if side["eligible"] else f"; not eligible: more than {MOST_POINTS_LOST} points below fp32"
        print(f"{line}{entry['ratios'][name]:>22.2f}  {side['setting']}{remark}")


if __name__ == "__main__":
    main()
