"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from surefit.config import TrainingSettings
from surefit.errors import Interrupted, TrainingError
from surefit.evaluation.observations import observe
from surefit.model.classifier import SequenceClassifier
from surefit.model.hardware import Hardware
from surefit.progress import Progress, StepRecord
from surefit.text.packing import cut_by_tokens, epoch_order, lengths_of, pack, step_rows
from surefit.trace import EpochTrace
from surefit.training.checkpoint import CheckpointInterval, Checkpoints
from surefit.training.early_stopping import best_epoch, should_stop
from surefit.training.interruption import orderly_stop
from surefit.training.optimizer import build_optimizer, learning_rate_at, peak_learning_rate, set_learning_rate
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
        hardware: where and in which precision.
        majority_share: share of the largest class in the validation rows, for the observations.
    """

    settings: TrainingSettings
    seed: int
    hardware: Hardware
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
        classifier: the model; its weights are changed in place.
        rows: what to learn from.
        plan: how.
        evaluate: judges the validation rows with the classifier as it is.
        checkpoints: where the run is saved after each epoch, at intervals and when it is interrupted.
        progress: told of each step and epoch.

    Returns:
        the state at the end.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run is saved and can be resumed.
        TrainingError: the loss is no longer a number.
    """
    settings = plan.settings
    optimizer = build_optimizer(classifier, settings)
    peak = peak_learning_rate(settings, classifier.config)
    state = checkpoints.restore(classifier, optimizer)
    steps_per_epoch = math.ceil(len(rows) / settings.batch_size)
    total_steps = settings.epochs * steps_per_epoch
    lengths = lengths_of(rows.encodings)
    interval = CheckpointInterval(settings.checkpoint_every, state.step)

    def pause_if_asked() -> None:
        if stop.requested:
            if state.position:  # at the start of an epoch the state is saved already, or there is none
                checkpoints.save(state, classifier, optimizer)
            raise Interrupted(f"interrupted after step {state.step} of {total_steps}; the run is saved")

    with orderly_stop() as stop, torch.random.fork_rng():
        while len(state.epochs) < settings.epochs and not should_stop(state.epochs, settings.patience):
            epoch = len(state.epochs) + 1
            epoch_start = step_end = time.perf_counter()
            batches = step_rows(epoch_order(len(rows), plan.seed, epoch), settings.batch_size)
            classifier.train()
            for batch in batches[state.position :]:
                pause_if_asked()
                if interval.is_over(state.step):
                    checkpoints.save(state, classifier, optimizer)
                    interval.begin(state.step)
                learning_rate = learning_rate_at(state.step + 1, total_steps, peak, settings.warmup_share)
                set_learning_rate(optimizer, learning_rate)
                torch.manual_seed(_step_seed(plan.seed, state.step))
                cuts = cut_by_tokens(batch, lengths, settings.max_batch_tokens)
                loss_sum = _accumulate_gradients(classifier, rows, cuts, plan)
                gradient_norm = torch.nn.utils.clip_grad_norm_(classifier.parameters(), settings.max_grad_norm)
                _require_finite(loss_sum + float(gradient_norm), state.step + 1, epoch)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

                weight_sum = float(rows.weights[batch].sum())
                loss = loss_sum / weight_sum
                state.count_step(loss_sum, weight_sum)
                now = time.perf_counter()
                tokens = int(lengths[batch].sum())
                record = StepRecord(state.step, epoch, loss, learning_rate, len(batch), tokens, seconds=now - step_end)
                progress.step(record, total_steps)
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
            checkpoints.save(state, classifier, optimizer)
            interval.begin(state.step)
        pause_if_asked()

    classifier.load_state_dict(state.best_weights)
    return state


def _accumulate_gradients(classifier: SequenceClassifier, rows: TrainingRows, cuts: list[Int64Array], plan: Plan) -> float:
    """Adds up the gradients of one step's rows; returns the sum of their weighted losses.

    The loss is divided by the sum of the weights of all the step's rows, so that cutting the step
    to fit in memory does not change the gradient.
    """
    weight_sum = float(sum(rows.weights[cut].sum() for cut in cuts))
    loss_sum = 0.0
    for cut in cuts:
        device = plan.hardware.device
        targets = torch.from_numpy(rows.targets[cut]).to(device)
        weights = torch.from_numpy(rows.weights[cut].astype(np.float32)).to(device)
        with plan.hardware.autocast():
            logits = classifier(pack(rows.encodings, cut))
        loss = classifier.loss(logits, targets, weights)
        (loss / weight_sum).backward()  # type: ignore[no-untyped-call]
        loss_sum += float(loss.detach())
    return loss_sum


def _require_finite(figure: float, step: int, epoch: int) -> None:
    if not math.isfinite(figure):
        raise TrainingError(
            f"the loss or its gradient is no longer a number at step {step} (epoch {epoch}): training diverged; "
            "use a lower --learning-rate, or --precision fp32"
        )


def _step_seed(seed: int, step: int) -> int:
    digest = hashlib.sha256(f"dropout {seed} {step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
