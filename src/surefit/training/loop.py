"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surefit.config import TrainingSettings
from surefit.errors import Interrupted, TrainingError
from surefit.evaluation.observations import observe
from surefit.interruption import orderly_stop
from surefit.model.classifier import SequenceClassifier
from surefit.model.dropout import StepDropout
from surefit.model.transfer import on_device, to_cpu
from surefit.progress import Progress, StepRecord
from surefit.text.packing import ROWS_PER_GROUP, cut_by_tokens, epoch_order, lengths_of, pack, step_rows
from surefit.trace import EpochTrace
from surefit.training.checkpoint import CheckpointInterval, Checkpoints
from surefit.training.dynamics import TrainingDynamics
from surefit.training.early_stopping import best_epoch, should_stop
from surefit.training.optimizer import AdamW, learning_rate_at, peak_learning_rate
from surefit.training.state import TrainingRows, TrainingState
from surefit.types import EpochFigures, Int64Array


@dataclass(frozen=True)
class ValidationFigures:
    """What the validation rows say of the model.

    Attributes:
        loss: mean loss.
        accuracy: share of the rows that are right.
        macro_f1: mean F1 over the classes.
    """

    loss: float
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        settings: epochs, rates and the like.
        seed: decides the order of the rows and dropout.
        majority_share: share of the largest class in the validation rows, for the observations.
    """

    settings: TrainingSettings
    seed: int
    majority_share: float


def fit(
    classifier: SequenceClassifier,
    rows: TrainingRows,
    plan: Plan,
    *,
    evaluate: Callable[[], ValidationFigures],
    checkpoints: Checkpoints,
    progress: Progress,
) -> TrainingState:
    """Fine-tunes the classifier and leaves the best epoch's weights in it.

    Goes on from the newest good checkpoint where there is one. The order of the rows is a function
    of (seed, epoch) and dropout of (seed, step), so a resumed run makes the same steps.

    Args:
        classifier: the model, prepared; its weights are changed in place.
        rows: what to learn from.
        plan: how.
        evaluate: judges the validation rows with the classifier as it is.
        checkpoints: where the run is saved after each epoch, at intervals and when it is interrupted.
        progress: told of each step and epoch.

    Returns:
        the state at the end.

    Raises:
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run is saved and can be resumed.
        TrainingError: the loss is no longer a number.
    """
    settings = plan.settings
    trainer = _Trainer(classifier, rows, plan, math.ceil(len(rows) / settings.batch_size) * settings.epochs)
    state = checkpoints.restore(classifier, trainer.optimizer)
    state = state or TrainingState(TrainingDynamics.blank(settings.epochs, len(rows)))
    interval = CheckpointInterval(settings.checkpoint_every, state.step)

    def save() -> None:
        checkpoints.save(state, classifier, trainer.optimizer)
        interval.begin(state.step)

    def pause_if_asked() -> None:
        if stop.requested:
            if interval.has_steps(state.step):  # else it is saved already, and would only be at risk
                save()
            raise Interrupted(f"interrupted after step {state.step} of {trainer.total_steps}; the run is saved")

    with orderly_stop() as stop, torch.random.fork_rng(devices=_generators_beside_the_cpu(classifier)):
        while len(state.epochs) < settings.epochs and not should_stop(state.epochs, settings.patience):
            epoch = len(state.epochs) + 1
            epoch_start = step_end = time.perf_counter()
            for batch in trainer.epoch_steps(epoch)[state.position :]:
                pause_if_asked()
                if interval.is_over(state.step):
                    save()
                made = trainer.make_step(batch, state.step + 1, epoch)
                state.count_step(made.loss_sum, made.weight_sum)
                state.dynamics.record(epoch, batch, made.logits, rows.targets[batch], classifier.schema)
                now = time.perf_counter()
                loss, rate = made.loss_sum / made.weight_sum, made.learning_rate
                record = StepRecord(state.step, epoch, loss, rate, len(batch), made.tokens, seconds=now - step_end)
                progress.step(record, trainer.total_steps)
                step_end = now

            validation = evaluate()
            training_loss = state.loss_sum / state.weight_sum
            figures = EpochFigures(epoch, training_loss, validation.loss, validation.accuracy, validation.macro_f1)
            observation = observe([*state.epochs, figures], len(classifier.schema), plan.majority_share)
            state.epochs.append(EpochTrace(**vars(figures), observation=observation, seconds=time.perf_counter() - epoch_start))
            state.begin_epoch()
            if best_epoch(state.epochs) == epoch:
                state.keep_weights(classifier)
            progress.epoch(state.epochs[-1])  # before saving: a log that says too much is corrected by a resumed run
            save()
        pause_if_asked()

    classifier.load_state_dict(state.best_weights)
    return state


@dataclass(frozen=True)
class _StepMade:
    """What one optimizer step came to; sums are over its rows, logits are theirs before it."""

    logits: NDArray[np.float32]
    loss_sum: float
    weight_sum: float
    tokens: int
    learning_rate: float


class _Trainer:
    """Makes single steps; what it needs to know of the steps before is in the optimizer alone."""

    def __init__(self, classifier: SequenceClassifier, rows: TrainingRows, plan: Plan, total_steps: int) -> None:
        self._classifier = classifier
        self._rows = rows
        self._plan = plan
        self._lengths = lengths_of(rows.encodings)
        self._peak = peak_learning_rate(plan.settings, classifier.config)
        self.total_steps = total_steps
        self.optimizer = AdamW(classifier.flat, plan.settings.weight_decay)

    def epoch_steps(self, epoch: int) -> list[Int64Array]:
        """The rows of each step of an epoch."""
        order = epoch_order(len(self._rows), self._plan.seed, epoch)
        return step_rows(order, self._lengths, self._plan.settings.batch_size)

    def make_step(self, batch: Int64Array, step: int, epoch: int) -> _StepMade:
        """Learns from some rows.

        Args:
            batch: row positions, shape (rows,).
            step: number of the step in the run, from 1.
            epoch: number of the epoch, for the message.

        Raises:
            TrainingError: the loss or its gradient is not a number.
        """
        settings, flat = self._plan.settings, self._classifier.flat
        loss_sum, logits, word_rows = self._gradients(batch, step)
        norm = flat.shorten_gradients(settings.max_grad_norm, word_rows)
        _require_finite(loss_sum + norm, step, epoch)
        learning_rate = learning_rate_at(step, self.total_steps, self._peak, settings.warmup_share)
        self.optimizer.step(learning_rate, word_rows)
        self._classifier.weights_changed()
        weight_sum, tokens = float(self._rows.weights[batch].sum()), int(self._lengths[batch].sum())
        return _StepMade(logits, loss_sum, weight_sum, tokens, learning_rate)

    def _gradients(self, batch: Int64Array, step: int) -> tuple[float, NDArray[np.float32], Tensor]:
        """Adds up the gradients of one step's rows.

        The loss is divided by the sum of the weights of all the step's rows, so that cutting the step
        to fit in memory does not change the gradient.

        Returns:
            the sum of the rows' weighted losses, their logits, shape (rows, classes), and the rows of the word
            embeddings that have gradients.
        """
        device = self._classifier.device
        weight_sum = float(self._rows.weights[batch].sum())
        dropout = StepDropout(self._plan.seed, step)
        dropout.begin()
        losses, answers, words = [], [], []
        # Where dropout goes by place, groups of rows stay together.
        together = ROWS_PER_GROUP if self._classifier.skips_padding else 1
        for cut in cut_by_tokens(batch, self._lengths, self._plan.settings.max_batch_tokens, together):
            packed = pack(self._rows.encodings, cut)
            targets = on_device(self._rows.targets[cut], device)
            weights = on_device(self._rows.weights[cut].astype(np.float32), device)
            logits = self._classifier(packed, dropout)
            loss = self._classifier.loss(logits, targets, weights)
            (loss / weight_sum).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            answers.append(to_cpu(logits.detach()))
            del logits, loss  # and with them what the backward pass needed
            dropout = dropout.after(packed)
            words.append(packed.input_ids)
        word_rows = on_device(np.unique(np.concatenate(words)), device)
        # Not read before all is under way: a GPU's work is waited for here, and the logits are there then.
        loss_sum = sum(map(float, losses))
        return loss_sum, torch.cat(answers).numpy(), word_rows


def _generators_beside_the_cpu(classifier: SequenceClassifier) -> list[torch.device]:
    return [classifier.device] if classifier.device.type == "cuda" else []


def _require_finite(figure: float, step: int, epoch: int) -> None:
    if not math.isfinite(figure):
        raise TrainingError(
            f"the loss or its gradient is no longer a number at step {step} (epoch {epoch}): training diverged; "
            "use a lower --learning-rate, or --precision fp32"
        )
