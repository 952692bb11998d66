"""How long one answer takes: of a classifier that is loaded, and of a process that has just been started.

    python -m benchmarks.latency

Loaded: texts one at a time, SureFit's Python interface and transformers.pipeline in turns of some texts
each; every turn has texts of its own. First answer: a new process that imports, loads and classifies one
text, again in turns, after one call of each that is not counted, so that files are read from memory.
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
from transformers import pipeline
from transformers.utils import logging

import surefit
from benchmarks.fine_tuned import fine_tuned_run
from benchmarks.lengths import PROFILES, texts_like
from benchmarks.machine import record
from benchmarks.startup import seconds_of
from surefit.artifacts import RunDirectory
from surefit.model.pretrained import load_classifier

RESULTS = Path(__file__).parent / "results" / "latency.jsonl"
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
    classifier, of_transformers = surefit.load(run.path), pipeline("text-classification", model=str(run.model))
    sides: dict[str, Callable[[str], Any]] = {
        "surefit": classifier.predict,
        "pipeline": lambda text: of_transformers(text, truncation=True),
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


def first_answers(run: RunDirectory, text: str, times: int) -> dict[str, list[float]]:
    """Seconds from the start of a process to its end, which classifies one text, by side.

    Args:
        run: what has learned the film reviews.
        text: what to classify.
        times: processes of each side, besides one to warm up.
    """
    commands: dict[str, list[str | Path]] = {
        "surefit in Python": [sys.executable, "-c", _IN_PYTHON, run.path, text],
        "surefit predict": [sys.executable, "-m", "surefit", "predict", run.path, text],
        "pipeline": [sys.executable, "-c", _IN_PIPELINE, run.model, text],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for process in range(times + 1):
        for name, command in commands.items():
            taken = seconds_of(command)
            if process:  # the first warms up
                seconds[name].append(taken)
    return seconds


def measure_loaded(profile: str, run: RunDirectory, texts: int, turns: int) -> dict[str, Any]:
    """Figures of a classifier that is loaded, on texts of one profile."""
    tokenizer = load_classifier(run.model).tokenizer
    drawn = texts_like(profile, texts * (turns + 1) // turns, tokenizer)
    seconds = loaded_latencies(run, drawn, turns)
    return {
        "kind": "loaded",
        "profile": profile,
        "tokens_per_row": round(float(np.mean([len(row) for row in tokenizer.encode(drawn)])), 1),
        "texts": len(seconds["surefit"]),
        "median_ms": {name: round(1000 * statistics.median(taken), 2) for name, taken in seconds.items()},
        "p95_ms": {name: round(1000 * float(np.percentile(taken, 95)), 2) for name, taken in seconds.items()},
        "ratios": _ratios(seconds),
    }


def measure_first_answer(run: RunDirectory, times: int) -> dict[str, Any]:
    """Figures of a process that has just been started."""
    seconds = first_answers(run, "a quiet film that stays with you for days", times)
    return {
        "kind": "first answer",
        "processes": times,
        "median_ms": {name: round(1000 * statistics.median(taken), 1) for name, taken in seconds.items()},
        "ratios": _ratios(seconds),
    }


def _ratios(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """By how much the pipeline takes longer than each side, median by median."""
    of_pipeline = statistics.median(seconds["pipeline"])
    return {name: round(of_pipeline / statistics.median(taken), 3) for name, taken in seconds.items() if name != "pipeline"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description="How long one answer takes")
    parser.add_argument("--run", type=Path, help="run to classify with; it is trained there if there is none")
    parser.add_argument("--profiles", nargs="+", choices=tuple(PROFILES), default=list(PROFILES))
    parser.add_argument("--texts", type=int, default=200, help="texts that count (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="turns that the texts are shared out to (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=5, help="first answers of each side (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    with fine_tuned_run(options.run) as run:
        # Processes first: classifiers that are loaded here would take memory from them.
        entry = measure_first_answer(run, options.processes)
        print_entry("first answer of a new process", entry)
        record(options.results, entry)
        for profile in options.profiles:
            entry = measure_loaded(profile, run, options.texts, options.turns)
            print_entry(f"{profile}, {entry['tokens_per_row']} tokens a text", entry)
            record(options.results, entry)


def print_entry(title: str, entry: Mapping[str, Any]) -> None:
    """Prints medians, the 95th percentiles where there are any, and ratios."""
    print(title)
    for name, median in entry["median_ms"].items():
        tail = f", 95% within {entry['p95_ms'][name]:,.1f} ms" if "p95_ms" in entry else ""
        ratio = f"; the pipeline takes {entry['ratios'][name]:.2f} times as long" if name in entry["ratios"] else ""
        print(f"  {name:<18}{median:>9,.1f} ms{tail}{ratio}")


if __name__ == "__main__":
    main()
