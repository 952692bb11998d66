"""The end of a run: the trained model and simpler ones judged, metrics and traces gathered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefit.config import TrainingSettings
from surefit.decision import decide, probabilities
from surefit.evaluation.calibration import fit_temperature, scale_temperature
from surefit.evaluation.threshold_report import threshold_report
from surefit.evaluation.thresholds import ScoredRows, fit_rule
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
from surefit.types import DecisionRule, Int64Array, LabelSchema

_MOST_TRAINING_ROWS = 2000


@dataclass(frozen=True, eq=False)
class Conclusion:
    """What a finished run says.

    Attributes:
        test: the answers to the test rows.
        metrics: the content of `metrics.json`.
        trace: the content of `trace.json`.
        rule: the decision rule, for `surefit.json`.
        int8: how the model predicts in int8, for `surefit.json`; None where it cannot.
    """

    test: Judged
    metrics: dict[str, Any]
    trace: RunTrace
    rule: DecisionRule
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
    schema, classifier = rows.schema, job.pretrained.classifier
    targets = {name: np.asarray(part.targets, dtype=np.int64) for name, part in rows.splits.items()}
    known = _sample_of_training(len(targets["train"]), settings.seed)
    encodings = {
        "train": [encoded.splits["train"][row] for row in known.tolist()],
        "validation": encoded.splits["validation"],
        "test": encoded.splits["test"],
    }
    progress.begin("evaluate", sum(map(len, encodings.values())))
    logits = {name: predict_logits(classifier, of_split, progress) for name, of_split in encodings.items()}
    temperature = fit_temperature(logits["validation"], targets["validation"], schema.problem_type)
    scored = {
        name: ScoredRows(probabilities(logits[name], schema.problem_type, temperature), targets[name])
        for name in ("validation", "test")
    }
    fitted = fit_rule(scored["validation"], schema, job.request, temperature)
    judged = {name: judge(logits[name], targets[name], schema, fitted.rule) for name in ("validation", "test")}
    int8 = prepare_int8(
        classifier,
        encoded.splits["train"],
        encoded.splits["validation"],
        logits["validation"],
        targets["validation"],
        fitted.rule,
        progress,
    )
    progress.begin("baselines", 0)
    baselines = compare_with_baselines(rows.splits, judged["test"].predicted, rows.schema, settings.seed)
    progress.end()
    _record_evaluation(judged["test"], judged["validation"].result.n, recorder, time.perf_counter() - start)
    trace = RunTrace(
        recorder.finish(
            carried_example(rows, encoded, job.pretrained, logits["test"] / np.float32(temperature), judged["test"])
        ),
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
        **_without_leaks(job, logits["test"], fitted.rule),
        "validation": judged["validation"].result.to_dict(),
        "baselines": baselines.to_dict(),
        "calibration": scale_temperature(temperature, logits["test"], targets["test"], schema.problem_type).to_dict(),
        "thresholds": threshold_report(scored["validation"], scored["test"], schema, job.request, fitted).to_dict(),
        "overfitting": _overfitting(logits["train"], targets["train"][known], scored["validation"], schema),
        "training": {
            "epochs": len(state.epochs),
            "best_epoch": best_epoch(state.epochs),
            "steps": state.step,
            "from_run": not job.pretrained.new_parameters,
        },
    }
    return Conclusion(judged["test"], metrics, trace, fitted.rule, int8)


def _sample_of_training(rows: int, seed: int) -> Int64Array:
    """Training rows that are judged too, so that overfitting can be seen: at most 2,000, rising."""
    order = np.random.default_rng(seed).permutation(rows)[:_MOST_TRAINING_ROWS]
    return np.sort(order).astype(np.int64)


def _overfitting(
    logits: NDArray[np.float32], targets: Int64Array, validation: ScoredRows, schema: LabelSchema
) -> dict[str, float | int]:
    """The most probable class on rows that were learned from, beside the validation rows."""
    plain = DecisionRule()
    known = judge(logits, targets, schema, plain).result.accuracy
    unknown = float((decide(validation.probabilities, schema, plain) == validation.targets).mean())
    return {
        "training_rows": len(targets),
        "training_accuracy": known,
        "validation_accuracy": unknown,
        "gap": known - unknown,
    }


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
