"""From labelled rows to an evaluated, saved classifier: the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from surefit.artifacts import RunDirectory, remove, sha256_of, write_json
from surefit.config import Settings, options_of_file
from surefit.data.audit import Audit, Source, Splits, TokenCounts
from surefit.data.audit import audit as describe
from surefit.errors import Interrupted, UsageError
from surefit.inference.classifier import load
from surefit.model.hardware import choose_hardware
from surefit.model.pretrained import Pretrained, load_pretrained, save_classifier
from surefit.progress import Progress
from surefit.runs.conclude import Conclusion, conclude
from surefit.runs.directory import check_run, claim_run, default_run_path, require_data_outside, require_other_model
from surefit.runs.earlier import find_earlier_run
from surefit.runs.evidence import embed_rows
from surefit.runs.fine_tune import fine_tune
from surefit.runs.fingerprint import data_fingerprint, machine, split_fingerprint, versions, weights_fingerprint
from surefit.runs.finished import TrainedRun, open_run
from surefit.runs.job import Job
from surefit.runs.lock import RunLock
from surefit.runs.model_card import write_model_card
from surefit.runs.refits import train_refits
from surefit.runs.report import write_report
from surefit.runs.resume import require_same_run, resume_command, resumed_hardware, resumed_model, resumed_settings
from surefit.runs.row_files import write_label_issues, write_mistakes, write_training_rows
from surefit.runs.rows import prepare_rows
from surefit.runs.rules import request_of
from surefit.runs.seen import unknown_account
from surefit.runs.sources import Sources, source_name
from surefit.runs.tokens import encode_rows
from surefit.runs.write import write_preparation, write_results
from surefit.trace import PipelineRecorder, PredictionTrace
from surefit.training.checkpoint import Checkpoints
from surefit.training.optimizer import peak_learning_rate

__all__ = ["TrainedRun", "open_run", "train"]


def train(
    data: Any,
    run: str | Path | None = None,
    *,
    validation: Any = None,
    test: Any = None,
    resume: bool = False,
    overwrite: bool = False,
    config: str | Path | None = None,
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
        config: TOML file with settings by their names; those given as `options` come before it.
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
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run can be resumed.
    """
    progress = progress or Progress()
    options = options if config is None else options_of_file(config) | options
    sources = Sources(data, validation, test)
    directory = RunDirectory(Path(run) if run is not None else default_run_path(source_name(data)))
    for name, file in (("validation", validation), ("test", test)):
        if file is not None and f"{name}_size" in options:
            raise UsageError(f"--{name} gives the {name} rows, so that --{name}-size has no meaning; leave one of them out")
    check_run(directory, resume=resume, overwrite=overwrite)
    require_data_outside(directory, (data, validation, test))
    with RunLock(directory.path) as lock:
        going_on = resume and directory.settings.is_file()
        if resume and not going_on:
            progress.note(f"there is no run in {directory.path} yet; starting it")
        settings = resumed_settings(directory, options) if going_on else Settings.from_options(options)
        if overwrite:
            require_other_model(directory, settings.model.model)
        return _train(sources, directory, lock, settings, progress, going_on=going_on, overwrite=overwrite)


def _train(
    sources: Sources,
    directory: RunDirectory,
    lock: RunLock,
    settings: Settings,
    progress: Progress,
    *,
    going_on: bool,
    overwrite: bool,
) -> TrainedRun:
    """What `train` does once it is settled what is trained where."""
    recorder = PipelineRecorder()
    request_of(settings.decision)  # what does not go together is said before the rows are read
    # A hub's model may have got a new version since a run began; the run goes on with its own.
    model = resumed_model(directory) if going_on else settings.model.model
    earlier = find_earlier_run(model)
    if earlier is not None and not earlier.seen.complete:
        progress.note(unknown_account(Path(model).expanduser()))
    rows = prepare_rows(sources, settings, earlier, recorder, progress)
    request = request_of(settings.decision, rows.schema)
    hardware = resumed_hardware(directory, settings.machine) if going_on else choose_hardware(settings.machine)
    pretrained = load_pretrained(model, rows.schema, settings.model, settings.seed)
    encoded = encode_rows(rows, pretrained, settings.training.batch_size, recorder, progress)
    job = Job(settings, rows, encoded, pretrained, hardware, request)
    facts = _facts(job, sources)
    if going_on:
        require_same_run(directory, facts, progress)
    else:
        directory.path.mkdir(parents=True, exist_ok=True)
        lock.take()
        check_run(directory, resume=False, overwrite=overwrite)  # another process may have been faster
        claim_run(directory, overwrite=overwrite)
        write_json(directory.settings, facts)
    for unfinished in directory.unfinished():
        remove(unfinished)
    complete = directory.metrics.is_file()
    if not complete:
        try:
            # Again where a run is gone on with: it may have been cut short here.
            write_preparation(
                directory,
                rows,
                _audit(job, sources, Progress() if going_on else progress),
                None if earlier is None else earlier.seen,
            )
            _fit_and_write(job, directory, facts, recorder, progress)
        except (Interrupted, KeyboardInterrupt) as stopped:
            what = str(stopped) or "interrupted; what was done is saved"
            raise Interrupted(f"{what}; go on with: {resume_command(sources, directory)}") from None
    finished = open_run(directory.path)
    Checkpoints(directory.checkpoints, progress).keep_newest()  # nothing will be resumed any more
    if complete:
        progress.note(f"the run {directory.path} is complete; there is nothing to resume")
    return finished


def _fit_and_write(
    job: Job, directory: RunDirectory, facts: dict[str, Any], recorder: PipelineRecorder, progress: Progress
) -> None:
    """From encoded rows to a complete run."""
    embedded = embed_rows(job, progress)
    state = fine_tune(job, directory, recorder, progress)
    refits = train_refits(job, directory, progress)
    end = conclude(job, state, embedded, refits, recorder, progress)
    _save(directory, job.pretrained, end, facts)
    write_label_issues(directory, job.rows, end.evidence.label_issues, end.data_map)
    write_training_rows(directory, job.rows, end.data_map)
    write_mistakes(directory, job.rows, end.outcome.judged["test"])
    write_json(directory.prediction_trace, _trace_carried(directory, job, end).to_dict())
    write_report(directory, end.metrics, end.trace, directory.report)
    write_results(directory, end.metrics, end.trace, job.rows, end.outcome.judged["test"])


def _facts(job: Job, sources: Sources) -> dict[str, Any]:
    """The content of `settings.json`: all that decides the result."""
    settings, rows, pretrained = job.settings, job.rows, job.pretrained
    return {
        "settings": settings.to_dict(),
        "base_model": pretrained.source,
        "base_weights_sha256": weights_fingerprint(pretrained),
        "new_parameters": list(pretrained.new_parameters),
        "classes": list(rows.schema.id2label),
        "columns": dict(rows.reading.chosen),
        "max_length": pretrained.tokenizer.max_length,
        "head": pretrained.classifier.head,
        "learning_rate": peak_learning_rate(settings.training, pretrained.classifier.config),
        "data": data_fingerprint(sources, rows),
        "costs": job.request.costs and [list(row) for row in job.request.costs],  # as JSON has them
        "split_sha256": split_fingerprint(rows),
        "versions": versions(),
        "machine": machine(job.hardware),
    }


def _audit(job: Job, sources: Sources, progress: Progress) -> Audit:
    """The audit of the training data, now that its tokens are counted; says what is more than a note."""
    rows, encoded = job.rows, job.encoded
    main = [name for name in rows.splits if name not in sources.given]
    # In the order of the file, as the audited rows stand.
    order = np.argsort(np.concatenate([rows.splits[name].examples.records for name in main]))
    encodings = [encoding for name in main for encoding in encoded.splits[name]]
    cut = np.array([encoding.truncated_tokens for encoding in encodings], dtype=np.int64)[order]
    lengths = np.array([len(encoding) for encoding in encodings], dtype=np.int64)[order] + cut
    judging = sum(len(part.targets) for name, part in rows.splits.items() if name != "train")
    found = describe(
        rows.audited,
        Source(rows.reading.file_format, rows.reading.records, rows.left_out, rows.texts_changed, rows.reading.notes),
        rows.duplicates,
        rows.near_duplicates,
        rows.in_texts,
        Splits(
            TokenCounts(lengths, cut > 0, job.pretrained.tokenizer.max_length),
            rows.leaking,
            judging,
        ),
    )
    for finding in found.findings:
        if finding.severity != "note":
            progress.note(f"audit, {finding.severity}: {finding.sentence}; {finding.advice}")
    return found


def _save(directory: RunDirectory, pretrained: Pretrained, end: Conclusion, facts: dict[str, Any]) -> None:
    save_classifier(
        directory.model,
        pretrained.classifier,
        pretrained.tokenizer,
        end.outcome.rule,
        base_model=facts["base_model"],
        facts={
            "training": {name: facts[name] for name in ("data", "versions", "machine")} | {"seed": facts["settings"]["seed"]},
            "columns": facts["columns"],
            "seen_texts_sha256": sha256_of(directory.seen_texts),
            "int8": end.int8,
            "reference": end.reference,
        },
    )
    write_model_card(directory, facts, end.metrics)


def _trace_carried(directory: RunDirectory, job: Job, end: Conclusion) -> PredictionTrace:
    """How the saved model judges the example that the pipeline trace carries: in fp32, alike on every machine."""
    example = next(stage.example for stage in end.trace.pipeline.stages if stage.stage == "clean")
    classifier = load(directory.path, device="cpu", threads=job.hardware.threads, precision="fp32")
    return classifier.trace(*map(str, example.values()))
