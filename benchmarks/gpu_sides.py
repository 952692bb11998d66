"""Who trains and who classifies in the benchmark of GPUs: SureFit and Hugging Face, with the same weights.

All compute in bf16. The weights are random and have the shape of BERT-base, since what they are decides
no speed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from surefit.config import TrainingSettings
from surefit.inference.engine import BatchBudget, predict_logits
from surefit.model.classifier import Classifier
from surefit.model.hardware import Hardware
from surefit.progress import Progress, StepRecord
from surefit.text.packing import lengths_of
from surefit.training.checkpoint import Checkpoints
from surefit.training.loop import Plan, ValidationFigures, fit
from surefit.training.optimizer import AdamW
from surefit.training.state import TrainingRows, TrainingState
from surefit.types import SINGLE_LABEL, Encoding, Int64Array, LabelSchema

CUDA = torch.device("cuda")
CLASSES = ("a", "b", "c", "d")
# As in the config.json of bert-base-uncased.
BERT_BASE: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
# Steps of a turn before the clock starts: libraries choose their kernels, and torch.compile compiles.
WARM_UP_STEPS = 10
_RATE = 2e-5
_WORKERS = min(4, os.cpu_count() or 1)
# Rows of a batch that the peer is tried with when it classifies.
_PEER_BATCHES = (32, 128, 512)


@dataclass(frozen=True)
class Work:
    """What a side has done in a turn: so many rows in so many seconds."""

    rows: int
    seconds: float


class Side(ABC):
    """One side of the comparison, its weights on the GPU.

    Attributes:
        passes: what it does with a row, in forward passes; a backward pass counts as two.
    """

    passes: int

    @abstractmethod
    def work(self, rows: list[Encoding], turn: int) -> Work:
        """Works through the rows and says how long those took that count."""


class StepClock:
    """Times the steps after the warm-up; the GPU is waited for at both ends only.

    Args:
        steps: of the turn, those that warm up among them.
    """

    def __init__(self, steps: int) -> None:
        self._ends = (WARM_UP_STEPS, steps)
        self._steps = 0
        self._times: list[float] = []

    def step_ended(self) -> None:
        """To be told of each step."""
        self._steps += 1
        if self._steps in self._ends:
            torch.cuda.synchronize()
            self._times.append(time.perf_counter())

    def work(self, batch: int) -> Work:
        """The steps that count, each of so many rows."""
        start, end = self._times
        return Work((self._ends[1] - self._ends[0]) * batch, end - start)


class SureFitTraining(Side):
    """SureFit's own loop, without validation and checkpoints.

    Args:
        batch: rows of a step.
        longest: tokens of the longest row; no step is cut.
        plain: whether the plain modules compute, in bf16 too.
    """

    passes = 3

    def __init__(self, batch: int, longest: int, *, plain: bool = False) -> None:
        self._classifier = new_classifier()
        self._classifier.prepare(Hardware(CUDA, "bf16", torch.get_num_threads()), plain=plain)
        self._settings = TrainingSettings(
            epochs=1, learning_rate=_RATE, batch_size=batch, max_batch_tokens=batch * longest, checkpoint_every="999999999"
        )

    def work(self, rows: list[Encoding], turn: int) -> Work:
        batch = self._settings.batch_size
        clock = StepClock(len(rows) // batch)

        class Watch(Progress):
            def step(self, record: StepRecord, total_steps: int) -> None:
                clock.step_ended()

        fit(
            self._classifier,
            TrainingRows(tuple(rows), targets_of(rows), np.ones(len(rows))),
            Plan(self._settings, turn, 1 / len(CLASSES)),
            evaluate=lambda: ValidationFigures(1.0, 0.5, 0.5),
            checkpoints=_Unsaved(),
            progress=Watch(),
        )
        return clock.work(batch)


class _Unsaved(Checkpoints):
    """Saves nothing: a checkpoint of BERT-base is 1.7 GB, and comes after the steps that are timed."""

    def __init__(self) -> None:
        super().__init__(Path(), Progress())

    def found(self) -> list[Path]:
        return []

    def save(self, state: TrainingState, model: nn.Module, optimizer: AdamW) -> Path:
        return Path()


class TrainerTraining(Side):
    """The Trainer at its best: bf16, fused AdamW, fused attention, batches made by other processes.

    Rows of equal length are given without a mask, so that torch may take flash attention. Others are
    taken by similar length, and padded to the longest of their batch.

    Args:
        batch: rows of a step.
        compiled: whether the model goes through torch.compile.
    """

    passes = 3

    def __init__(self, batch: int, *, compiled: bool = False) -> None:
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        self._model = stock_model(new_classifier()).to(CUDA)
        self._batch, self._compiled = batch, compiled

    def work(self, rows: list[Encoding], turn: int) -> Work:
        clock = StepClock(len(rows) // self._batch)

        class Watch(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                clock.step_ended()

        ragged = len(set(lengths_of(rows).tolist())) > 1
        dataset = [
            {"input_ids": torch.from_numpy(row.input_ids.astype(np.int64)), "labels": int(label)}
            for row, label in zip(rows, targets_of(rows), strict=True)
        ]
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                model=self._model,
                args=TrainingArguments(
                    output_dir=folder,
                    num_train_epochs=1,
                    learning_rate=_RATE,
                    per_device_train_batch_size=self._batch,
                    weight_decay=0.01,
                    bf16=True,
                    optim="adamw_torch_fused",
                    torch_compile=self._compiled,
                    train_sampling_strategy="group_by_length" if ragged else "random",
                    dataloader_num_workers=_WORKERS,
                    logging_nan_inf_filter=False,  # which reads the loss at each step
                    save_strategy="no",
                    logging_strategy="no",
                    report_to="none",
                    disable_tqdm=True,
                    seed=turn,
                ),
                train_dataset=dataset,
                data_collator=_collate,
                callbacks=[Watch()],
            )
            with contextlib.suppress(ValueError):
                trainer.remove_callback(PrinterCallback)
            trainer.train()
        return clock.work(self._batch)


def _collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    labels = torch.tensor([row["labels"] for row in rows])
    return padded([row["input_ids"] for row in rows]) | {"labels": labels}


def padded(rows: list[Tensor]) -> dict[str, Tensor]:
    """A batch as wide as its longest row, in multiples of eight; without a mask where none is needed.

    Args:
        rows: token ids of each.
    """
    lengths = torch.tensor([len(row) for row in rows])
    if (lengths == lengths[0]).all():
        return {"input_ids": torch.stack(rows)}
    mask = torch.arange(-(-int(lengths.max()) // 8) * 8) < lengths[:, None]
    ids = torch.zeros(mask.shape, dtype=torch.int64)
    ids[mask] = torch.cat(rows)
    return {"input_ids": ids, "attention_mask": mask.long()}


class SureFitPredicting(Side):
    """SureFit's logits of encoded rows, in the batches that it chooses."""

    passes = 1

    def __init__(self) -> None:
        self._classifier = new_classifier()
        self._classifier.prepare(Hardware(CUDA, "bf16", torch.get_num_threads()))
        self._budget = BatchBudget.on(CUDA)

    def work(self, rows: list[Encoding], turn: int) -> Work:
        start = time.perf_counter()
        predict_logits(self._classifier, rows, budget=self._budget)
        return Work(len(rows), time.perf_counter() - start)


class StockPredicting(Side):
    """Hugging Face's model in bf16 on encoded rows sorted by length, in the fastest of a few sizes of batches."""

    passes = 1

    def __init__(self) -> None:
        self._model = stock_model(new_classifier()).to(CUDA, torch.bfloat16)
        self._batch: int | None = None

    def work(self, rows: list[Encoding], turn: int) -> Work:
        if self._batch is None:
            for batch in _PEER_BATCHES:
                self._seconds(rows, batch)  # warms up
            self._batch = min(_PEER_BATCHES, key=lambda batch: self._seconds(rows, batch))
        return Work(len(rows), self._seconds(rows, self._batch))

    @torch.inference_mode()
    def _seconds(self, rows: list[Encoding], batch: int) -> float:
        start = time.perf_counter()
        ids = [torch.from_numpy(rows[row].input_ids.astype(np.int64)) for row in np.argsort(-lengths_of(rows))]
        logits = []
        for first in range(0, len(ids), batch):
            inputs = padded(ids[first : first + batch])
            inputs = {name: tensor.pin_memory().to(CUDA, non_blocking=True) for name, tensor in inputs.items()}
            logits.append(self._model(**inputs).logits)
        torch.cat(logits).float().cpu()
        return time.perf_counter() - start


def new_classifier() -> Classifier:
    """SureFit's classifier with the weights that all sides begin with, on the CPU."""
    torch.manual_seed(0)
    return Classifier(LabelSchema(SINGLE_LABEL, CLASSES), "softmax", BERT_BASE)


def stock_model(classifier: Classifier) -> Any:
    """Hugging Face's model with the same weights, in evaluation mode."""
    settings = {"num_labels": len(CLASSES), "problem_type": SINGLE_LABEL, "attn_implementation": "sdpa"}
    model: Any = BertForSequenceClassification(BertConfig(**BERT_BASE | settings))
    model.load_state_dict(classifier.state_dict())
    return model.eval()


def targets_of(rows: list[Encoding]) -> Int64Array:
    """A class for each row."""
    return np.arange(len(rows), dtype=np.int64) % len(CLASSES)
