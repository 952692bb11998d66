"""The end of a run: the trained model and simpler ones judged, metrics and traces gathered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from surefit.config import TrainingSettings
from surefit.data.personal import shown_id
from surefit.data.split import SplitName
from surefit.evaluation.baselines import LabelledEmbeddings
from surefit.evaluation.cartography import DataMap
from surefit.inference.int8 import prepare_int8
from surefit.progress import Progress
from surefit.runs.carried import carried_example
from surefit.runs.drift import reference_of
from surefit.runs.evidence import Evidence, gather_evidence
from surefit.runs.job import Job
from surefit.runs.leaks import leak_warnings
from surefit.runs.outcome import Outcome, judge_model
from surefit.runs.refits import Refit, RefitAnswers
from surefit.runs.results import Judged
from surefit.trace import STAGE_SENTENCES, PipelineRecorder, RunTrace, StageTrace, TrainingTrace
from surefit.training.early_stopping import best_epoch, should_stop
from surefit.training.state import TrainingState


@dataclass(frozen=True, eq=False)
class Conclusion:
    """What a finished run says.

    Attributes:
        outcome: the model's answers.
        evidence: what speaks for and against it.
        data_map: how training went, row by row.
        metrics: the content of `metrics.json`.
        trace: the content of `trace.json`.
        int8: how the model predicts in int8, for `surefit.json`; None where it cannot.
        reference: of the test rows, for `surefit.json`, to compare later rows with.
    """

    outcome: Outcome
    evidence: Evidence
    data_map: DataMap
    metrics: dict[str, Any]
    trace: RunTrace
    int8: dict[str, Any] | None
    reference: dict[str, Any]


def conclude(
    job: Job,
    state: TrainingState,
    embedded: Mapping[SplitName, LabelledEmbeddings],
    refits: Mapping[Refit, RefitAnswers],
    recorder: PipelineRecorder,
    progress: Progress,
) -> Conclusion:
    """Judges the trained model and gathers the metrics and the traces.

    Args:
        job: its classifier is trained.
        state: how training went.
        embedded: the rows as the model saw them before it was trained.
        refits: what was trained beside it.
        recorder: has all stages before; told of "evaluate" and "save".
        progress: told what is under way.
    """
    start = time.perf_counter()
    rows, encoded = job.rows, job.encoded
    outcome = judge_model(job, progress)
    int8 = prepare_int8(
        job.pretrained.classifier,
        encoded.splits["train"],
        encoded.splits["validation"],
        outcome.logits["validation"],
        outcome.targets["validation"],
        outcome.rule,
        progress,
    )
    evidence = gather_evidence(job, outcome, embedded, refits, progress)
    judged = outcome.judged["test"]
    _record_evaluation(judged, outcome.judged["validation"].result.n, recorder, time.perf_counter() - start)
    trace = RunTrace(
        recorder.finish(carried_example(rows, encoded, job.pretrained, outcome.saved_logits, judged)),
        TrainingTrace(
            epochs=tuple(state.epochs),
            best_epoch=best_epoch(state.epochs),
            step_losses=tuple(state.step_losses),
            ended=_ended(state, job.settings.training),
        ),
    )
    for warning in leak_warnings(rows.leaks):
        progress.note(warning)
    training = {
        "epochs": len(state.epochs),
        "best_epoch": best_epoch(state.epochs),
        "steps": state.step,
        "from_run": not job.pretrained.new_parameters,
    }
    data_map = state.dynamics.data_map(len(state.epochs))
    shown = data_map.to_dict(partial(shown_id, rows.splits["train"].examples))
    course = {"data_map": shown, "training": training}
    reference = reference_of(job, judged, progress).to_json()
    return Conclusion(outcome, evidence, data_map, evidence.metrics | course, trace, int8, reference)


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
        "README.md a summary, report.html the report",
    )
    recorder.add(StageTrace("save", STAGE_SENTENCES["save"], n, columns, n, columns, saved))


def _ended(state: TrainingState, settings: TrainingSettings) -> str:
    done, most, patience = len(state.epochs), settings.epochs, settings.patience
    epochs = "epoch" if most == 1 else "epochs"
    kept = f"The weights of epoch {best_epoch(state.epochs)}, the best on the validation rows, are kept."
    if done < most and should_stop(state.epochs, patience):
        return f"Stopped early after {done} of {most} {epochs}: {patience} brought no better macro F1. {kept}"
    return f"Ended after {done} of {most} {epochs}, as asked. {kept}"
