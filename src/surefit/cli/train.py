"""`surefit train DATA`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from surefit.artifacts import RunDirectory
from surefit.cli import options
from surefit.cli.output import print_json, shown_progress


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV, TSV, JSONL, Parquet or Excel file with texts and labels.")],
    validation: Annotated[Path | None, typer.Option(help="File with the validation rows, used as given.")] = None,
    test: Annotated[Path | None, typer.Option(help="File with the test rows, used as given.")] = None,
    run: Annotated[Path | None, typer.Option(help="Directory for the run (runs/NAME-TIME when not given).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    model: options.Model = None,
    head: options.Head = None,
    max_length: options.MaxLength = None,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    id: options.Id = None,
    group: options.Group = None,
    time: options.Time = None,
    min_rows_per_class: options.MinRowsPerClass = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    quote: options.Quote = None,
    no_header: options.NoHeader = False,
    sheet: options.Sheet = None,
    validation_size: options.ValidationSize = None,
    test_size: options.TestSize = None,
    seed: options.Seed = None,
    epochs: options.Epochs = None,
    learning_rate: options.LearningRate = None,
    batch_size: options.BatchSize = None,
    weight_decay: options.WeightDecay = None,
    warmup_share: options.WarmupShare = None,
    max_grad_norm: options.MaxGradNorm = None,
    patience: options.Patience = None,
    class_weight: options.ClassWeight = None,
    checkpoint_every: options.CheckpointEvery = None,
    max_batch_tokens: options.MaxBatchTokens = None,
    positive: options.Positive = None,
    min_precision: options.MinPrecision = None,
    min_recall: options.MinRecall = None,
    best_f1: options.BestF1 = False,
    max_error: options.MaxError = None,
    costs: options.Costs = None,
    seeds: options.Seeds = None,
    learning_curve: options.LearningCurve = False,
    require: Annotated[
        str | None,
        typer.Option(help="good: end with exit code 1 unless the verdict is good.", rich_help_panel="Decision"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with settings by their names; flags come before it.", rich_help_panel="Training"),
    ] = None,
    device: options.Device = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fine-tune a BERT on labelled texts, evaluate it and save it."""
    file = {"encoding": encoding, "delimiter": delimiter, "quote": quote, "sheet": sheet}
    read = options.read_options(text=text, text_pair=text_pair, label=label, id=id, file=file, no_header=no_header)
    read |= options.given({"group": group, "time": time})
    split = {"min_rows_per_class": min_rows_per_class, "validation_size": validation_size, "test_size": test_size, "seed": seed}
    model_options = {"model": model, "head": head, "max_length": max_length}
    training = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "warmup_share": warmup_share,
        "max_grad_norm": max_grad_norm,
        "patience": patience,
        "class_weight": class_weight,
        "checkpoint_every": checkpoint_every,
        "max_batch_tokens": max_batch_tokens,
    }
    decision = {
        "positive": positive,
        "min_precision": min_precision,
        "min_recall": min_recall,
        "best_f1": best_f1 or None,
        "max_error": max_error,
        "costs": costs,
    }
    evidence = {"seeds": seeds, "learning_curve": learning_curve or None}
    machine = {"device": device, "threads": threads, "precision": precision}
    chosen = split | model_options | training | decision | evidence | machine
    settings = read | options.given(chosen | {"config": config})

    from surefit.runs.required import check_required, require_verdict
    from surefit.runs.train import train as run_training

    check_required(require)

    with shown_progress(quiet) as progress:
        trained = run_training(
            data, run, validation=validation, test=test, resume=resume, overwrite=overwrite, progress=progress, **settings
        )
    if json:
        print_json({"run": str(trained.directory), "metrics": trained.metrics, "trace": trained.trace.to_dict()})
    elif not quiet:
        _show(trained)
    require_verdict(trained, require)


def _show(trained: Any) -> None:
    from rich.console import Console

    from surefit.cli.render import plain, print_run_trace, print_tables
    from surefit.runs.tables import evaluation_tables

    console = Console()
    print_run_trace(console, trained.trace)
    print_tables(console, evaluation_tables(trained.metrics))
    prose = Console(stderr=True)
    prose.print()
    report = RunDirectory(trained.directory).report
    prose.print(plain(f"The run is in {trained.directory}. Open {report}. Next:", "bold"), soft_wrap=True)
    run = shlex.quote(str(trained.directory))
    pair = ' --text-pair "its second text"' if "text_pair" in trained.trace.pipeline.stages[0].columns_out else ""
    prose.print(plain(f'  surefit predict {run} "a text to classify"{pair}'), soft_wrap=True)
    prose.print(plain(f'  surefit trace {run} "a text to see through the model"{pair}'), soft_wrap=True)
