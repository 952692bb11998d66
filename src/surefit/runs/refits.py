"""Trainings beside a run's own, on request: with other seeds, and on a part of the training rows.

Each starts from the same pretrained model and goes the same way as the run's own, in checkpoints of its own, so that it is
resumed like it. What it says of the test rows is kept in one file; the checkpoints go once that is written.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from surefit.artifacts import RunDirectory, atomic_writer, left_behind, remove
from surefit.config import Settings
from surefit.errors import Interrupted, TrainingError
from surefit.evaluation.calibration import fit_temperature
from surefit.evaluation.learning_curve import SHARES, FittedOnShare, LearningCurve, draw_curve, nested_subsets
from surefit.evaluation.seeds import SeedSpread, spread_over_seeds
from surefit.inference.engine import predict_logits
from surefit.interruption import stop_afterwards
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.runs.fine_tune import fit_job
from surefit.runs.job import Job
from surefit.runs.outcome import Outcome
from surefit.runs.results import Judged, judge
from surefit.runs.split import SplitRows
from surefit.types import DecisionRule, Int64Array


@dataclass(frozen=True)
class Refit:
    """A training beside the run's own.

    Attributes:
        name: of its files in the run.
        title: what it is called while it is under way.
        seed: of the head, the order of the rows and dropout; the split stays that of the run.
        share: of the training rows.
    """

    name: str
    title: str
    seed: int
    share: float


@dataclass(frozen=True, eq=False)
class RefitAnswers:
    """What a model says of the test rows.

    Attributes:
        logits: shape (n, classes).
        temperature: fitted on the validation rows.
    """

    logits: NDArray[np.float32]
    temperature: float


def planned_refits(settings: Settings) -> tuple[Refit, ...]:
    """What the settings of a run ask for, in the order in which it is trained."""
    first, count = settings.seed, settings.evidence.seeds
    others = [
        Refit(f"seed-{seed}", f"seed {number} of {count}", seed, share=1.0)
        for number, seed in enumerate(range(first + 1, first + count), 2)
    ]
    parts = [Refit(f"share-{100 * share:.0f}", f"{share:.0%} of the training rows", first, share) for share in SHARES[:-1]]
    return (*others, *(parts if settings.evidence.learning_curve else []))


def train_refits(job: Job, directory: RunDirectory, progress: Progress) -> dict[Refit, RefitAnswers]:
    """Trains what the settings ask for beside the run's own model; goes on with what was begun, and keeps what is done.

    Args:
        job: that of the run's own training.
        directory: the run.
        progress: told of each training, its steps and its epochs.

    Raises:
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; what was done is saved.

    Returns:
        what each says of the test rows; without those that diverged, which is said: the run's own model stands.
    """
    refits = planned_refits(job.settings)
    if not refits:
        return {}
    directory.refits.mkdir(exist_ok=True)
    for unfinished in left_behind(directory.refits, [_answers_file(directory, refit).name for refit in refits]):
        remove(unfinished)
    found = {}
    for refit in refits:
        file, checkpoints = _answers_file(directory, refit), directory.refits / refit.name
        answers = _read(file, job, progress)
        if answers is None:
            try:
                answers = _train(refit, job, checkpoints, progress)
            except TrainingError as error:
                progress.note(f"{refit.title}: {error}; it is left out")
                remove(checkpoints)
                continue
            _write(file, answers)
        remove(checkpoints)
        found[refit] = answers
    return found


def seed_spread(job: Job, outcome: Outcome, refits: Mapping[Refit, RefitAnswers]) -> SeedSpread | None:
    """How far the test figures hang on the seed; None where no other seed was asked for, or all others diverged.

    The most probable class of each row is judged, whatever the decision rule of the run says.

    Args:
        job: that of the run's own training.
        outcome: what the run's own model says of its rows.
        refits: as `train_refits` gave them.
    """
    judged = {job.settings.seed: _judge_own(job, outcome)}
    judged |= {refit.seed: _judge(job, outcome, answers) for refit, answers in refits.items() if refit.share == 1}
    if len(judged) == 1:
        return None
    results, predicted = {seed: of.result for seed, of in judged.items()}, [of.predicted for of in judged.values()]
    return spread_over_seeds(results, predicted, diverged=job.settings.evidence.seeds - len(judged))


def fine_tuned_curve(job: Job, outcome: Outcome, refits: Mapping[Refit, RefitAnswers]) -> LearningCurve | None:
    """The learning curve of the fine-tuned model; None where it was not asked for, or a part of it diverged.

    Arguments as for `seed_spread`.
    """
    by_share = {refit.share: _judge(job, outcome, answers) for refit, answers in refits.items() if refit.share < 1}
    if len(by_share) < len(SHARES) - 1:
        return None
    by_share[1.0] = _judge_own(job, outcome)
    fitted = [
        FittedOnShare(len(rows), by_share[share].predicted, by_share[share].result, by_share[share].intervals)
        for share, rows in _subsets(job).items()
    ]
    groups = job.rows.splits["test"].groups
    return draw_curve(fitted, outcome.targets["test"], groups, job.rows.schema, "the fine-tuned model")


def _judge_own(job: Job, outcome: Outcome) -> Judged:
    return _judge(job, outcome, RefitAnswers(outcome.logits["test"], outcome.rule.temperature))


def _judge(job: Job, outcome: Outcome, answers: RefitAnswers) -> Judged:
    rule = DecisionRule(temperature=answers.temperature)
    return judge(answers.logits, outcome.targets["test"], job.rows.splits["test"].groups, job.rows.schema, rule)


def _train(refit: Refit, job: Job, checkpoints: Path, progress: Progress) -> RefitAnswers:
    progress.training(refit.title)
    own = _job_of(refit, job)
    try:
        fit_job(own, checkpoints, progress)
    except Interrupted as error:
        raise Interrupted(f"{refit.title}: {error}") from None
    encoded, validation = own.encoded.splits, np.asarray(own.rows.splits["validation"].targets, dtype=np.int64)
    progress.begin(f"{refit.title}: evaluate", len(encoded["validation"]) + len(encoded["test"]))
    of_validation, of_test = (
        predict_logits(own.pretrained.classifier, part, progress) for part in (encoded["validation"], encoded["test"])
    )
    progress.end()
    return RefitAnswers(of_test, fit_temperature(of_validation, validation, own.rows.schema.problem_type))


def _job_of(refit: Refit, job: Job) -> Job:
    """The run's job from its beginning, with the seed and the training rows of a refit."""
    settings = dataclasses.replace(job.settings, seed=refit.seed)
    # Its source names the version too, where a hub's model has several.
    pretrained = load_pretrained(job.pretrained.source, job.rows.schema, settings.model, refit.seed)
    rows, encoded = _subsets(job)[refit.share], job.encoded
    train, encodings = job.rows.splits["train"], encoded.splits["train"]
    part = SplitRows(train.examples.take(rows), train.targets[rows], train.groups[rows])
    return dataclasses.replace(
        job,
        settings=settings,
        rows=dataclasses.replace(job.rows, splits=job.rows.splits | {"train": part}),
        encoded=dataclasses.replace(encoded, splits=encoded.splits | {"train": tuple(encodings[row] for row in rows.tolist())}),
        pretrained=pretrained,
    )


def _subsets(job: Job) -> dict[float, Int64Array]:
    """The training rows of each share."""
    train = job.rows.splits["train"]
    subsets = nested_subsets(np.asarray(train.targets, dtype=np.int64), train.groups, SHARES, job.settings.seed)
    return dict(zip(SHARES, subsets, strict=True))


def _answers_file(directory: RunDirectory, refit: Refit) -> Path:
    return directory.refits / f"{refit.name}.safetensors"


def _write(file: Path, answers: RefitAnswers) -> None:
    tensors: dict[str, NDArray[Any]] = {"logits": answers.logits, "temperature": np.array([answers.temperature])}
    # One entry at most: safetensors writes several in no fixed order.
    with atomic_writer(file, binary=True) as opened:
        opened.write(save(tensors, {"sha256": _hash(tensors)}))


def _read(file: Path, job: Job, progress: Progress) -> RefitAnswers | None:
    """What `_write` wrote; None where there is nothing, or where it is damaged, which is said."""
    if not file.is_file():
        return None
    try:
        with stop_afterwards(), safe_open(file, "numpy") as opened:
            tensors = {name: opened.get_tensor(name) for name in ("logits", "temperature")}
            whole = (opened.metadata() or {}).get("sha256") == _hash(tensors)
    except SafetensorError:
        whole = False
    if not whole or tensors["logits"].shape != (len(job.rows.splits["test"].targets), len(job.rows.schema)):
        progress.note(f"{file} is damaged; it is made again")
        return None
    return RefitAnswers(tensors["logits"], float(tensors["temperature"][0]))


def _hash(tensors: Mapping[str, NDArray[Any]]) -> str:
    return hashlib.sha256(b"".join(tensor.tobytes() for tensor in tensors.values())).hexdigest()
