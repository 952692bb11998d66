"""How long one answer takes: of a classifier that is loaded, and of a process that has just been started.

    python -m benchmarks.latency

Loaded: texts one at a time, SureFit's Python interface and transformers.pipeline in turns of some texts
each; every turn has texts of its own. First answer: a new process that imports, loads and classifies one
text, again in turns, after one call of each that is not counted, so that files are read from memory.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline
from transformers.utils import logging

import surefit
from benchmarks.fine_tuned import fine_tuned_run
from benchmarks.lengths import PROFILES, texts_like
from benchmarks.records import markdown, on_what, parser, run_cells
from benchmarks.startup import seconds_of
from surefit.artifacts import RunDirectory
from surefit.model.pretrained import load_classifier

_IN_PYTHON = "import sys, surefit; print(surefit.load(sys.argv[1]).predict(sys.argv[2]).label)"
_IN_PIPELINE = """
import sys
from transformers import pipeline
from transformers.utils import logging
logging.disable_progress_bar()
print(pipeline("text-classification", model=sys.argv[1])(sys.argv[2], truncation=True)[0]["label"])
"""


def loaded_latencies(run: RunDirectory, texts: Sequence[str], turns: int) -> dict[str, list[float]]:
    """Seconds of each text, one at a time, by side.

    Args:
        run: what has learned the film reviews.
        texts: shared out equally among the turns, and one more turn that warms up.
        turns: turns that count.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    classifier = surefit.load(run.path, device="cpu")
    sides: dict[str, Callable[[str], Any]] = {
        f"SureFit, {classifier.hardware.precision}": classifier.predict,
        "`transformers.pipeline`": _pipeline(run, torch.float32),
        "`transformers.pipeline`, bf16": _pipeline(run, torch.bfloat16),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    share = len(texts) // (turns + 1)
    for turn in range(turns + 1):
        for name, classify in sides.items():
            for text in texts[turn * share : (turn + 1) * share]:
                start = time.perf_counter()
                classify(text)
                if turn:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
    return seconds


def _pipeline(run: RunDirectory, dtype: torch.dtype) -> Callable[[str], Any]:
    return functools.partial(pipeline("text-classification", model=str(run.model), dtype=dtype, device="cpu"), truncation=True)


def first_answers(run: RunDirectory, text: str, times: int) -> dict[str, list[float]]:
    """Seconds from the start of a process to its end, which classifies one text, by side.

    Args:
        run: what has learned the film reviews.
        text: what to classify.
        times: processes of each side, besides one to warm up.
    """
    commands: dict[str, list[str | Path]] = {
        "SureFit in Python": [sys.executable, "-c", _IN_PYTHON, run.path, text],
        "`surefit predict`": [sys.executable, "-m", "surefit", "predict", run.path, text],
        "`transformers.pipeline`": [sys.executable, "-c", _IN_PIPELINE, run.model, text],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for process in range(times + 1):
        for name, command in commands.items():
            taken = seconds_of(command)
            if process:  # the first warms up
                seconds[name].append(taken)
    return seconds


def measure(cell: dict[str, Any], run: RunDirectory) -> dict[str, Any]:
    """The figures of a cell.

    Args:
        cell: `processes`, for first answers; or `profile`, `texts` and `turns`, for a classifier that is loaded.
        run: what has learned the film reviews.
    """
    if "processes" in cell:
        return _figures(first_answers(run, "a quiet film that stays with you for days", cell["processes"]))
    tokenizer = load_classifier(run.model).tokenizer
    drawn = texts_like(cell["profile"], cell["texts"] * (cell["turns"] + 1) // cell["turns"], tokenizer)
    tokens = round(float(np.mean([len(row) for row in tokenizer.encode(drawn)])), 1)
    return {"tokens_per_row": tokens, **_figures(loaded_latencies(run, drawn, cell["turns"]))}


def _figures(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Median, 95th percentile and ratio of the medians, by side; the first is SureFit's Python interface."""
    ours = statistics.median(next(iter(seconds.values())))
    return {
        "sides": {
            name: {
                "answers": len(taken),
                "median_ms": round(1000 * statistics.median(taken), 2),
                "p95_ms": round(1000 * float(np.percentile(taken, 95)), 2),
                "surefit_is_faster_by": round(statistics.median(taken) / ours, 3),
            }
            for name, taken in seconds.items()
        }
    }


def in_words(line: Mapping[str, Any]) -> str:
    """The table of one cell, in Markdown."""
    cell = line["cell"]
    title = "First answer of a new process"
    if "profile" in cell:
        title = f"One text at a time, {cell['profile']}, {line['tokens_per_row']} tokens a text"
    rows = [
        (
            name,
            f"{side['answers']:,}",
            f"{side['median_ms']:,.1f} ms",
            f"{side['p95_ms']:,.1f} ms",
            f"{side['surefit_is_faster_by']:.2f}" if place else "",
        )
        for place, (name, side) in enumerate(line["sides"].items())
    ]
    head = ("side", "answers", "median", "95th percentile", "SureFit is faster by")
    return "\n".join([f"{title} ({on_what(line)})", "", markdown(head, rows)])


def main(arguments: Sequence[str] | None = None) -> None:
    flags = parser("latency", "How long one answer takes")
    flags.add_argument("--run", type=Path, help="run to classify with; it is trained there if there is none")
    flags.add_argument("--profiles", nargs="+", choices=tuple(PROFILES), default=list(PROFILES))
    flags.add_argument("--texts", type=int, default=200, help="texts that count (default: %(default)s)")
    flags.add_argument("--turns", type=int, default=5, help="turns that the texts are shared out to (default: %(default)s)")
    flags.add_argument("--processes", type=int, default=5, help="first answers of each side (default: %(default)s)")
    options = flags.parse_args(arguments)
    with ExitStack() as stack:
        run = functools.cache(lambda: stack.enter_context(fine_tuned_run(options.run)))
        run_cells(options, _cells(options), lambda cell: measure(cell, run()), in_words)


def _cells(options: argparse.Namespace) -> list[dict[str, Any]]:
    # Processes first: classifiers that are loaded here would take memory from them.
    loaded = ({"profile": profile, "texts": options.texts, "turns": options.turns} for profile in options.profiles)
    return [{"processes": options.processes}, *loaded]


if __name__ == "__main__":
    main()
