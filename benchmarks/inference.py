"""How fast SureFit classifies, beside its peers in the same run.

    python -m benchmarks.inference

All sides turn the same list of raw texts into probabilities with the same fine-tuned weights, on the
processor, in turns, so that the machine's drifting speed meets all of them; each is a process of its own,
and every turn has texts of its own. Tokenising is within the timing; loading, converting and quantising the
model are outside it, on all sides. Figures are medians of the turns. The share of the peak is that of a
plain model's multiply-adds on true tokens (what SureFit skips is not credited to it) per second, over a
bf16 product of 2,048-square matrices timed in the same turns. Peak memory is that of the side's process,
from its start on.

Faster is worth nothing if it is wrong: in the same run each side classifies the test rows of the film
reviews, and a side whose accuracy is more than 0.3 points below that of the pipeline in fp32 is marked as
not eligible. By how much a side moves a probability from that pipeline's is said too.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.comparison import SUREFIT, Comparison, add_limit
from benchmarks.corpora import Corpus
from benchmarks.fine_tuned import fine_tuned_run, reviews_of
from benchmarks.inference_sides import PEERS, Setup
from benchmarks.lengths import PROFILES, multiply_adds, texts_like
from benchmarks.machine import absent
from benchmarks.records import markdown, on_what, parser, run_cells
from surefit.artifacts import RunDirectory
from surefit.model.pretrained import load_classifier

_REFERENCE = "pipeline"
_REQUIRED = (SUREFIT, _REFERENCE)
# Each side, and what the table calls it.
SIDES = {
    SUREFIT: "SureFit",
    "surefit bf16": "SureFit, bf16",
    "surefit fp32": "SureFit, fp32",
    _REFERENCE: "`transformers.pipeline`",
    "pipeline bf16": "`transformers.pipeline`, bf16",
    "onnxruntime int8": "ONNX Runtime, int8",
    "openvino bf16": "OpenVINO, bf16",
    "openvino int8": "OpenVINO, int8",
}
# Texts of a turn: some seconds to a minute of the slowest side on two cores.
ROWS = {"sst2": 3000, "ag_news": 1200, "imdb": 256}
MOST_POINTS_LOST = 0.3
FARTHEST_MOVE = 0.02
_TRIAL_ROWS = 256
_CALIBRATION_ROWS = 300


def measure(cell: dict[str, Any], run: RunDirectory, graphs: Path, limit: float) -> dict[str, Any]:
    """Times all sides of a cell in turns, and judges their answers.

    Args:
        cell: `profile`, `rows`, `turns`, `sides` and `test_rows`.
        run: what has learned the film reviews.
        graphs: folder that keeps what the model is converted to.
        limit: seconds that a side may take to get ready, and for each turn.
    """
    rows, turns = cell["rows"], cell["turns"]
    saved = load_classifier(run.model)
    texts = texts_like(cell["profile"], (turns + 1) * rows, saved.tokenizer)
    encodings = saved.tokenizer.encode(texts[rows:])
    config = saved.classifier.config
    sizes = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    setup = Setup(run.model, graphs, torch.get_num_threads(), reviews_of(run, "train").texts[:_CALIBRATION_ROWS])
    with Comparison(limit, _REQUIRED) as comparison:
        for name in cell["sides"]:
            start_side(comparison, name, setup, texts[:_TRIAL_ROWS])

        def work(name: str, turn: int) -> float:
            return float(rows / comparison.sides[name].ask("time_answers", texts[turn * rows : (turn + 1) * rows]))

        figures = comparison.take_turns(turns, work, 2 * multiply_adds(encodings, *sizes) / len(encodings))
        tested = reviews_of(run, "test")
        tested = tested.take(range(min(cell["test_rows"] or len(tested), len(tested))))
        verdicts = judge(comparison, tested, saved.classifier.schema.id2label)
    return {
        "tokens_per_row": round(float(np.mean([len(row) for row in encodings])), 1),
        "test_rows": len(tested),
        "peak_tflops": figures["peak_tflops"],
        "sides": {name: figures["sides"][name] | verdict for name, verdict in verdicts.items()},
        "left_out": comparison.left_out,
    }


def start_side(comparison: Comparison, name: str, setup: Setup, trial: list[str]) -> None:
    """Starts a side, unless its packages are not installed.

    A side that can be run in several ways is started again with the way that was the fastest on the
    trial's texts, so that neither the others nor converting the model stand in its memory.
    """
    builder = "benchmarks.inference_sides:build_side"
    if name in PEERS and (missing := absent(PEERS[name])):
        advice = "install the peers with: pip install -r benchmarks/peers.txt"
        comparison.leave_out(name, f"needs {' and '.join(missing)}; {advice}")
        return
    side = comparison.start(name, builder, name, setup)
    with comparison.leaving_out(name):
        if side and name in PEERS:
            comparison.start(name, builder, name, setup, side.ask("fastest_way", trial))


def judge(comparison: Comparison, tested: Corpus, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How each side runs, how many of the rows it has right, and how far its answers are from the pipeline's in fp32."""
    settings: dict[str, str] = {}
    answers: dict[str, NDArray[np.float64]] = {}
    for name, side in list(comparison.sides.items()):
        with comparison.leaving_out(name):
            answers[name], settings[name] = side.ask("probabilities", list(tested.texts), classes), side.ask("setting")
    truth = np.array([classes.index(label) for label in tested.labels])
    return {name: {"setting": settings[name]} | verdict(answers[name], answers[_REFERENCE], truth) for name in settings}


def verdict(given: NDArray[np.float64], reference: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, Any]:
    """What is said of one side's answers.

    Args:
        given: its probabilities, shape (rows, classes).
        reference: those in fp32, the same shape.
        truth: the right classes, shape (rows,).
    """
    accuracy, in_fp32 = (float((probabilities.argmax(axis=1) == truth).mean()) for probabilities in (given, reference))
    moves = np.abs(given - reference)
    return {
        "accuracy": round(accuracy, 4),
        "eligible": bool(100 * (in_fp32 - accuracy) <= MOST_POINTS_LOST + 1e-9),
        "largest_move": round(float(moves.max()), 6),
        "mean_move": round(float(moves.mean()), 6),
    }


def in_words(line: Mapping[str, Any]) -> str:
    """The table of one profile, in Markdown."""
    cell, sides = line["cell"], line["sides"]
    rows = [
        (
            SIDES[name],
            side["setting"],
            f"{side['rows_per_second']:,.0f}",
            f"{side['share_of_peak']:.1%}",
            f"{side['peak_memory_mib']:,} MiB",
            f"{side['accuracy']:.2%}{'' if side['eligible'] else ' (not eligible)'}",
            f"{side['largest_move']:.4f}",
            f"{side['mean_move']:.4f}",
            f"{side['surefit_is_faster_by']:.2f}" if name != SUREFIT else "",
        )
        for name, side in sides.items()
    ]
    head = ["side", "computed in", "rows/s", "of the bf16 peak", "peak memory", "accuracy"]
    head += ["largest move from fp32", "mean move", "SureFit is faster by"]
    remarks = [f"{SIDES[name]}: left out, since it {reason}." for name, reason in line["left_out"].items()]
    if not all(side["eligible"] for side in sides.values()):
        remarks.append(f"Not eligible: accuracy more than {MOST_POINTS_LOST} points below fp32.")
    if in_bf16 := sides.get("surefit bf16"):
        reached = "reached" if in_bf16["largest_move"] <= FARTHEST_MOVE else "not reached"
        remarks.append(
            f"In bf16 SureFit moves a probability by {in_bf16['largest_move']:.4f} at most, "
            f"{in_bf16['mean_move']:.4f} on average; to reach: {FARTHEST_MOVE} at most; {reached}."
        )
    title = (
        f"{cell['profile']}: {line['tokens_per_row']} tokens a row, peak {line['peak_tflops']:.2f} TFLOP/s, "
        f"answers to {line['test_rows']:,} film reviews ({on_what(line)})"
    )
    return "\n".join([title, "", markdown(head, rows, words=2), *([""] if remarks else []), *remarks])


def main(arguments: Sequence[str] | None = None) -> None:
    flags = parser("inference", "SureFit's inference against its peers'")
    flags.add_argument("--run", type=Path, help="run to classify with; it is trained there if there is none")
    flags.add_argument("--profiles", nargs="+", choices=tuple(PROFILES), default=list(PROFILES))
    always = f"{' and '.join(_REQUIRED)} are always among them"
    flags.add_argument("--sides", nargs="+", choices=tuple(SIDES), default=list(SIDES), help=always)
    flags.add_argument("--rows", type=int, help=f"texts of a turn (default: {ROWS})")
    flags.add_argument("--turns", type=int, default=3, help="turns, besides one to warm up (default: %(default)s)")
    flags.add_argument("--test-rows", type=int, help="film reviews to judge answers by (default: all test rows)")
    add_limit(flags)
    options = flags.parse_args(arguments)
    with ExitStack() as stack:

        @functools.cache
        def prepared() -> tuple[RunDirectory, Path]:
            run = stack.enter_context(fine_tuned_run(options.run))
            return run, Path(stack.enter_context(tempfile.TemporaryDirectory()))

        run_cells(options, _cells(options), lambda cell: measure(cell, *prepared(), options.limit), in_words)


def _cells(options: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        {
            "profile": profile,
            "rows": options.rows or ROWS[profile],
            "turns": options.turns,
            "sides": [name for name in SIDES if name in {*_REQUIRED, *options.sides}],
            "test_rows": options.test_rows,
        }
        for profile in options.profiles
    ]


if __name__ == "__main__":
    main()
