"""From labelled rows to an evaluated, saved classifier: the recipe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surefit.artifacts import RunDirectory, read_json, write_json
from surefit.config import Settings
from surefit.data.audit import Audit, Source, TokenCounts, audit
from surefit.errors import Interrupted
from surefit.inference.classifier import TextClassifier, load
from surefit.inference.engine import predict_logits
from surefit.model.hardware import Hardware, choose_hardware
from surefit.model.pretrained import Pretrained, known_schema, load_pretrained, save_classifier
from surefit.progress import Progress
from surefit.runs.carried import carried_example
from surefit.runs.directory import check_run, claim_run, default_run_path, require_other_model
from surefit.runs.fingerprint import data_fingerprint, machine, versions
from surefit.runs.model_card import write_model_card
from surefit.runs.results import Judged, compare_with_baselines, judge
from surefit.runs.resume import require_same_run, resumed_machine, resumed_settings
from surefit.runs.rows import PreparedRows, Sources, prepare_rows, source_name
from surefit.runs.tokens import EncodedRows, encode_rows
from surefit.runs.write import TrainingLog, write_preparation, write_results
from surefit.trace import STAGE_SENTENCES, PipelineRecorder, RunTrace, StageTrace, TrainingTrace
from surefit.training.checkpoint import Checkpoints
from surefit.training.early_stopping import best_epoch, should_stop
from surefit.training.loop import Plan, ValidationFigures, fit
from surefit.training.optimizer import peak_learning_rate
from surefit.training.state import TrainingRows, TrainingState
from surefit.types import DecisionRule, FloatArray


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A finished run.

    Attributes:
        directory: where its files are.
        metrics: the content of `metrics.json`.
        trace: the pipeline trace and the training trace; it shows itself in notebooks.
    """

    directory: Path
    metrics: Mapping[str, Any]
    trace: RunTrace

    def load(self, **machine: Any) -> TextClassifier:
        """The trained classifier; `machine` is as for `surefit.load`."""
        return load(self.directory, **machine)

    def _repr_html_(self) -> str:
        return self.trace._repr_html_()


def train(
    data: Any,
    run: str | Path | None = None,
    *,
    validation: Any = None,
    test: Any = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> TrainedRun:
    """Fine-tunes a classifier on labelled rows, evaluates it and saves it.

    Args:
        data: path of a CSV, TSV, JSONL, Parquet or Excel file, or a DataFrame.
        run: directory for the run; `runs/NAME-TIME` when not given.
        validation: file or frame with the validation rows, used as given.
        test: file or frame with the test rows, used as given.
        resume: go on with the run that is there; where there is none yet, start.
        overwrite: replace the run that is there.
        progress: told what happens.
        options: settings by their names in `surefit.config`, for instance `epochs=2` or
            `text="review"`.

    Returns:
        the finished run.

    Raises:
        UsageError: a setting is unknown or out of range.
        DataError: the rows cannot be read or used.
        ModelError: the pretrained model cannot be used.
        RunError: the run directory is in the way, or is of other data or settings.
        TrainingError: training diverged.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    progress = progress or Progress()
    sources = Sources(data, validation, test)
    directory = RunDirectory(Path(run) if run is not None else default_run_path(source_name(data)))
    check_run(directory, resume=resume, overwrite=overwrite)
    going_on = resume and directory.settings.is_file()
    if resume and not going_on:
        progress.note(f"there is no run in {directory.path} yet; starting it")
    settings = resumed_settings(directory, options) if going_on else Settings.from_options(options)
    if overwrite:
        require_other_model(directory, settings.model.model)
    recorder = PipelineRecorder()

    schema = known_schema(settings.model.model)
    rows = prepare_rows(sources, settings, schema, recorder, progress)
    hardware = choose_hardware(resumed_machine(directory, settings.machine) if going_on else settings.machine)
    pretrained = load_pretrained(settings.model.model, rows.schema, settings.model, settings.seed)
    encoded = encode_rows(rows, pretrained.tokenizer, settings.training.batch_size, recorder, progress)
    facts = _facts(settings, sources, rows, pretrained, hardware)
    if going_on:
        require_same_run(directory, facts, progress)
        if directory.metrics.is_file():
            progress.note(f"the run {directory.path} is complete; there is nothing to resume")
            return open_run(directory.path)
    else:
        claim_run(directory, overwrite=overwrite)
        write_json(directory.settings, facts)
    write_preparation(directory, rows, _audit(rows, encoded, pretrained, sources))  # again, should it have been cut short

    try:
        state = _train(rows, encoded, pretrained, settings, hardware, directory, recorder, progress)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}; go on with --run {directory.path} --resume") from None
    judged, metrics, trace = _evaluate(rows, encoded, pretrained, settings, hardware, state, recorder, progress)
    _save(directory, pretrained, metrics, facts)
    write_results(directory, metrics, trace, rows, judged)
    return TrainedRun(directory.path, metrics, trace)


def open_run(path: Path) -> TrainedRun:
    """A run that was finished before.

    Raises:
        RunError: it is not finished, or a file of it is damaged.
    """
    directory = RunDirectory(path)
    return TrainedRun(path, read_json(directory.metrics), RunTrace.from_dict(read_json(directory.trace)))


def _facts(
    settings: Settings, sources: Sources, rows: PreparedRows, pretrained: Pretrained, hardware: Hardware
) -> dict[str, Any]:
    """The content of `settings.json`: all that decides the result."""
    return {
        "settings": settings.to_dict(),
        "base_model": pretrained.source,
        "new_parameters": list(pretrained.new_parameters),
        "classes": list(rows.schema.id2label),
        "columns": dict(rows.reading.chosen),
        "max_length": pretrained.tokenizer.max_length,
        "head": pretrained.classifier.head,
        "learning_rate": peak_learning_rate(settings.training, pretrained.classifier.config),
        "data": data_fingerprint(sources, rows),
        "versions": versions(),
        "machine": machine(hardware),
    }


def _audit(rows: PreparedRows, encoded: EncodedRows, pretrained: Pretrained, sources: Sources) -> Audit:
    main = [name for name in rows.splits if name not in sources.given]
    encodings = [encoding for name in main for encoding in encoded.splits[name]]
    cut = np.array([encoding.truncated_tokens for encoding in encodings], dtype=np.int64)
    lengths = np.array([len(encoding) for encoding in encodings], dtype=np.int64) + cut
    return audit(
        rows.audited,
        Source(rows.reading.file_format, rows.reading.records, rows.left_out, rows.texts_changed),
        rows.duplicates,
        TokenCounts(lengths, cut > 0, pretrained.tokenizer.max_length),
        exact_leaks=rows.leaks,
    )


def _train(
    rows: PreparedRows,
    encoded: EncodedRows,
    pretrained: Pretrained,
    settings: Settings,
    hardware: Hardware,
    directory: RunDirectory,
    recorder: PipelineRecorder,
    progress: Progress,
) -> TrainingState:
    """Fine-tunes and records the stage "train"."""
    start = time.perf_counter()
    classifier = pretrained.classifier.to(hardware.device)
    targets = {name: np.asarray(part.targets, dtype=np.int64) for name, part in rows.splits.items()}

    def validate() -> ValidationFigures:
        progress.begin("validate", len(targets["validation"]))
        logits = predict_logits(classifier, encoded.splits["validation"], hardware, progress)
        progress.end()
        result = judge(logits, targets["validation"], rows.schema, DecisionRule()).result
        return ValidationFigures(result.loss, result.accuracy, result.macro.f1)

    training_rows = TrainingRows(
        encoded.splits["train"], targets["train"], _row_weights(targets["train"], len(rows.schema), settings)
    )
    shares = np.bincount(targets["validation"], minlength=len(rows.schema)) / len(targets["validation"])
    state = fit(
        classifier,
        training_rows,
        Plan(settings.training, settings.seed, hardware, float(shares.max())),
        evaluate=validate,
        checkpoints=Checkpoints(directory.checkpoints, progress),
        progress=TrainingLog(directory, progress),
    )
    tokens = sum(len(encoding) for encoding in encoded.splits["train"])
    weights = sum(parameter.numel() for parameter in classifier.parameters())
    notes = (
        f"{state.step:,} steps in {len(state.epochs)} of at most {settings.training.epochs} epochs; "
        f"epoch {best_epoch(state.epochs)} is kept",
        f"{weights:,} weights of {pretrained.source}, {len(pretrained.new_parameters)} tensors of them new",
        f"on {hardware.device}, {hardware.threads} threads, {hardware.precision}",
    )
    columns = tuple(f"logit of {name}" for name in rows.schema.id2label)
    seconds = time.perf_counter() - start
    packed = ("input_ids", "token_type_ids", "position_ids")
    recorder.add(
        StageTrace("train", STAGE_SENTENCES["train"], tokens, packed, len(training_rows), columns, notes, seconds=seconds)
    )
    return state


def _row_weights(targets: Any, classes: int, settings: Settings) -> FloatArray:
    """One for each row, or with balanced classes n / (classes × rows of its class) (King and Zeng 2001)."""
    if settings.training.class_weight == "none":
        return np.ones(len(targets))
    counts = np.bincount(targets, minlength=classes)
    weights: FloatArray = len(targets) / (classes * counts[targets])
    return weights


def _evaluate(
    rows: PreparedRows,
    encoded: EncodedRows,
    pretrained: Pretrained,
    settings: Settings,
    hardware: Hardware,
    state: TrainingState,
    recorder: PipelineRecorder,
    progress: Progress,
) -> tuple[Judged, dict[str, Any], RunTrace]:
    """Judges test and validation rows and the baselines; gathers the metrics and the traces."""
    start = time.perf_counter()
    progress.begin("evaluate", len(encoded.splits["test"]) + len(encoded.splits["validation"]))
    rule = DecisionRule()
    logits = {
        name: predict_logits(pretrained.classifier, encoded.splits[name], hardware, progress) for name in ("validation", "test")
    }
    judged = {name: judge(logits[name], rows.splits[name].targets, rows.schema, rule) for name in ("validation", "test")}
    progress.begin("baselines", 0)
    baselines = compare_with_baselines(rows.splits, judged["test"].predicted, rows.schema, settings.seed)
    progress.end()
    _record_evaluation(judged["test"], recorder, time.perf_counter() - start)
    trace = RunTrace(
        recorder.finish(carried_example(rows, encoded, pretrained.tokenizer, logits["test"], judged["test"])),
        TrainingTrace(
            epochs=tuple(state.epochs),
            best_epoch=best_epoch(state.epochs),
            step_losses=tuple(state.step_losses),
            ended=_ended(state, settings),
        ),
    )
    metrics = {
        "test": judged["test"].result.to_dict(),
        "validation": judged["validation"].result.to_dict(),
        "baselines": baselines.to_dict(),
        "training": {"epochs": len(state.epochs), "best_epoch": best_epoch(state.epochs), "steps": state.step},
    }
    return judged["test"], metrics, trace


def _record_evaluation(judged: Judged, recorder: PipelineRecorder, seconds: float) -> None:
    n = judged.result.n
    notes = [f"accuracy {judged.result.accuracy:.2%}, macro F1 {judged.result.macro.f1:.4f} on {n:,} test rows"]
    classes = tuple(judged.result.per_class)
    columns = ("label", "prediction", *(f"probability of {name}" for name in classes))
    logits = tuple(f"logit of {name}" for name in classes)
    recorder.add(StageTrace("evaluate", STAGE_SENTENCES["evaluate"], n, logits, n, columns, tuple(notes), seconds=seconds))
    recorder.add(StageTrace("save", STAGE_SENTENCES["save"], n, columns, n, columns, ("weights, tokenizer and class names",)))


def _ended(state: TrainingState, settings: Settings) -> str:
    done, most, patience = len(state.epochs), settings.training.epochs, settings.training.patience
    kept = f"The weights of epoch {best_epoch(state.epochs)}, the best on the validation rows, are kept."
    if done < most and should_stop(state.epochs, patience):
        return f"Stopped early after {done} of {most} epochs: {patience} brought no better macro F1. {kept}"
    return f"Ended after {done} of {most} epochs, as asked. {kept}"


def _save(directory: RunDirectory, pretrained: Pretrained, metrics: dict[str, Any], facts: dict[str, Any]) -> None:
    save_classifier(
        directory.model,
        pretrained.classifier,
        pretrained.tokenizer,
        DecisionRule(),
        base_model=facts["base_model"],
        facts={
            "training": {name: facts[name] for name in ("data", "versions", "machine")} | {"seed": facts["settings"]["seed"]},
            "text_pairs": "text_pair" in facts["columns"],
        },
    )
    write_model_card(directory, facts, metrics)
