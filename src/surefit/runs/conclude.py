"""The end of a run: the trained model and simpler ones judged, metrics and traces gathered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.config import TrainingSettings
from surefit.inference.engine import predict_logits
from surefit.inference.int8 import prepare_int8
from surefit.progress import Progress
from surefit.runs.carried import carried_example
from surefit.runs.job import Job
from surefit.runs.leaks import leak_warnings
from surefit.runs.results import Judged, compare_with_baselines, judge
from surefit.trace import STAGE_SENTENCES, PipelineRecorder, RunTrace, StageTrace, TrainingTrace
from surefit.training.early_stopping import best_epoch, should_stop
from surefit.training.state import TrainingState
from surefit.types import DecisionRule


@dataclass(frozen=True, eq=False)
class Conclusion:
    """What a finished run says.

    Attributes:
        test: the answers to the test rows.
        metrics: the content of `metrics.json`.
        trace: the content of `trace.json`.
        int8: how the model predicts in int8, for `surefit.json`; None where it cannot.
    """

    test: Judged
    metrics: dict[str, Any]
    trace: RunTrace
    int8: dict[str, Any] | None


def conclude(job: Job, state: TrainingState, recorder: PipelineRecorder, progress: Progress) -> Conclusion:
    """Judges test and validation rows and the baselines; gathers the metrics and the traces.

    Args:
        job: its classifier is trained.
        state: how training went.
        recorder: has all stages before; told of "evaluate" and "save".
        progress: told what is under way.
    """
    start = time.perf_counter()
    rows, encoded, settings = job.rows, job.encoded, job.settings
    progress.begin("evaluate", len(encoded.splits["test"]) + len(encoded.splits["validation"]))
    rule = DecisionRule()
    classifier = job.pretrained.classifier
    logits = {name: predict_logits(classifier, encoded.splits[name], progress) for name in ("validation", "test")}
    judged = {name: judge(logits[name], rows.splits[name].targets, rows.schema, rule) for name in ("validation", "test")}
    right = np.asarray(rows.splits["validation"].targets, dtype=np.int64)
    int8 = prepare_int8(
        classifier, encoded.splits["train"], encoded.splits["validation"], logits["validation"], right, progress
    )
    progress.begin("baselines", 0)
    baselines = compare_with_baselines(rows.splits, judged["test"].predicted, rows.schema, settings.seed)
    progress.end()
    _record_evaluation(judged["test"], judged["validation"].result.n, recorder, time.perf_counter() - start)
    trace = RunTrace(
        recorder.finish(carried_example(rows, encoded, job.pretrained, logits["test"], judged["test"])),
        TrainingTrace(
            epochs=tuple(state.epochs),
            best_epoch=best_epoch(state.epochs),
            step_losses=tuple(state.step_losses),
            ended=_ended(state, settings.training),
        ),
    )
    for warning in leak_warnings(rows.leaks):
        progress.note(warning)
    metrics = {
        "leaks": rows.leaks,
        "test": judged["test"].result.to_dict(),
        **_without_leaks(job, logits["test"], rule),
        "validation": judged["validation"].result.to_dict(),
        "baselines": baselines.to_dict(),
        "training": {
            "epochs": len(state.epochs),
            "best_epoch": best_epoch(state.epochs),
            "steps": state.step,
            "from_run": not job.pretrained.new_parameters,
        },
    }
    return Conclusion(judged["test"], metrics, trace, int8)


def _without_leaks(job: Job, logits: NDArray[np.float32], rule: DecisionRule) -> dict[str, Any]:
    """The figures of the test rows that repeat nothing which was learned from, where others do and some are left."""
    leaked = job.rows.leaked.get("test")
    test = job.rows.splits["test"]
    if leaked is None or not 0 < len(leaked) < len(test.targets):
        return {}
    others = np.setdiff1d(np.arange(len(test.targets)), leaked.rows)
    result = judge(logits[others], test.targets[others], job.rows.schema, rule).result
    return {"test_without_leaks": result.to_dict()}


def _record_evaluation(judged: Judged, validation_rows: int, recorder: PipelineRecorder, seconds: float) -> None:
    n = judged.result.n
    notes = (
        f"in are the logits of the {n:,} test rows; the {validation_rows:,} validation rows chose the epoch",
        f"accuracy {judged.result.accuracy:.2%}, macro F1 {judged.result.macro.f1:.4f} on {n:,} test rows",
    )
    classes = tuple(judged.result.per_class)
    columns = ("id", "label", "prediction", *(f"probability_{name}" for name in classes))
    logits = tuple(f"logit of {name}" for name in classes)
    recorder.add(StageTrace("evaluate", STAGE_SENTENCES["evaluate"], n, logits, n, columns, notes, seconds=seconds))
    saved = (
        "model/ has weights, tokenizer, class names and decision rule",
        f"predictions.csv has the answers to the {n:,} test rows, metrics.json the figures, trace.json this trace, "
        "README.md a summary",
    )
    recorder.add(StageTrace("save", STAGE_SENTENCES["save"], n, columns, n, columns, saved))


def _ended(state: TrainingState, settings: TrainingSettings) -> str:
    done, most, patience = len(state.epochs), settings.epochs, settings.patience
    kept = f"The weights of epoch {best_epoch(state.epochs)}, the best on the validation rows, are kept."
    if done < most and should_stop(state.epochs, patience):
        return f"Stopped early after {done} of {most} epochs: {patience} brought no better macro F1. {kept}"
    return f"Ended after {done} of {most} epochs, as asked. {kept}"
