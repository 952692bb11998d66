"""The fine-tuning of a run, validated after each epoch, and the stage that records it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from surefit.artifacts import RunDirectory
from surefit.decision import decide, probabilities
from surefit.evaluation.metrics import evaluate
from surefit.inference.engine import predict_logits
from surefit.progress import Progress
from surefit.runs.job import Job
from surefit.runs.write import TrainingLog
from surefit.trace import STAGE_SENTENCES, PipelineRecorder, StageTrace
from surefit.training.checkpoint import Checkpoints
from surefit.training.early_stopping import best_epoch
from surefit.training.loop import Plan, ValidationFigures, fit
from surefit.training.state import TrainingRows, TrainingState
from surefit.types import DecisionRule, FloatArray


def fine_tune(job: Job, directory: RunDirectory, recorder: PipelineRecorder, progress: Progress) -> TrainingState:
    """Fine-tunes the job's classifier in place; its best epoch's weights are in it afterwards.

    Args:
        job: what is trained on what.
        directory: where checkpoints and the training log go.
        recorder: told of the stage "train".
        progress: told of steps and epochs.

    Raises:
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run is saved.
        TrainingError: training diverged.
    """
    start = time.perf_counter()
    state = fit_job(job, directory.checkpoints, TrainingLog(directory, progress))
    encodings, classifier, hardware = job.encoded.splits["train"], job.pretrained.classifier, job.hardware
    tokens = sum(map(len, encodings))
    weights = sum(parameter.numel() for parameter in classifier.parameters())
    notes = (
        f"in are the {tokens:,} tokens of the {len(encodings):,} training rows; out are the logits of each of these rows",
        f"{state.step:,} steps in {len(state.epochs)} of at most {job.settings.training.epochs} epochs; "
        f"epoch {best_epoch(state.epochs)} is kept",
        f"{weights:,} weights of {job.pretrained.source}, {len(job.pretrained.new_parameters)} tensors of them new",
        f"on {hardware.device}, {hardware.precision}, threads: {hardware.threads}",
    )
    columns = tuple(f"logit of {name}" for name in job.rows.schema.id2label)
    seconds = time.perf_counter() - start
    packed = ("input_ids", "token_type_ids", "position_ids")
    recorder.add(StageTrace("train", STAGE_SENTENCES["train"], tokens, packed, len(encodings), columns, notes, seconds=seconds))
    return state


def fit_job(job: Job, checkpoints: Path, progress: Progress) -> TrainingState:
    """Trains the job's classifier in place, validated after each epoch, which chooses the epoch.

    Args:
        job: what is trained on what.
        checkpoints: directory that they go to, and that training goes on from.
        progress: told of steps, epochs and validation.

    Raises:
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; what was done is saved.
        TrainingError: training diverged.
    """
    rows, encoded, settings = job.rows, job.encoded, job.settings
    classifier = job.pretrained.classifier
    classifier.prepare(job.hardware)
    targets = {name: np.asarray(part.targets, dtype=np.int64) for name, part in rows.splits.items()}

    def validate() -> ValidationFigures:
        progress.begin("validate", len(targets["validation"]))
        logits = predict_logits(classifier, encoded.splits["validation"], progress)
        progress.end()
        scores = probabilities(logits, rows.schema.problem_type)
        result = evaluate(targets["validation"], scores, decide(scores, rows.schema, DecisionRule()), rows.schema)
        return ValidationFigures(result.loss, result.accuracy, result.macro.f1)

    training_rows = TrainingRows(
        encoded.splits["train"],
        targets["train"],
        _row_weights(targets["train"], len(rows.schema), settings.training.class_weight),
    )
    shares = np.bincount(targets["validation"], minlength=len(rows.schema)) / len(targets["validation"])
    return fit(
        classifier,
        training_rows,
        Plan(settings.training, settings.seed, float(shares.max())),
        evaluate=validate,
        checkpoints=Checkpoints(checkpoints, progress),
        progress=progress,
    )


def _row_weights(targets: Any, classes: int, class_weight: str) -> FloatArray:
    """One for each row, or with balanced classes n / (classes × rows of its class) (King and Zeng 2001)."""
    if class_weight == "none":
        return np.ones(len(targets))
    counts = np.bincount(targets, minlength=classes)
    weights: FloatArray = len(targets) / (classes * counts[targets])
    return weights
