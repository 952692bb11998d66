"""Flags made from the settings they set, so that nothing is documented twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from surefit.config import (
    DecisionSettings,
    EvidenceSettings,
    MachineSettings,
    ModelSettings,
    ReadSettings,
    Settings,
    SplitSettings,
    TrainingSettings,
    describe,
)


def _flag(group: type[Any], name: str, panel: str, *names: str) -> Any:
    """A flag for one setting; its help and default are the setting's own."""
    default = next(slot.default for slot in dataclasses.fields(group) if slot.name == name)
    shown = default if default is not None and not isinstance(default, bool) else False
    flag = names or ("--" + name.replace("_", "-"),)
    return typer.Option(*flag, help=describe(group, name), rich_help_panel=panel, show_default=str(shown) if shown else False)


Text = Annotated[str | None, _flag(ReadSettings, "text", "Columns")]
TextPair = Annotated[str | None, _flag(ReadSettings, "text_pair", "Columns")]
Label = Annotated[str | None, _flag(ReadSettings, "label", "Columns")]
Id = Annotated[str | None, _flag(ReadSettings, "id", "Columns")]
Group = Annotated[str | None, _flag(ReadSettings, "group", "Columns")]
Time = Annotated[str | None, _flag(ReadSettings, "time", "Columns")]
Encoding = Annotated[str | None, _flag(ReadSettings, "encoding", "File")]
Delimiter = Annotated[str | None, _flag(ReadSettings, "delimiter", "File")]
Quote = Annotated[str | None, _flag(ReadSettings, "quote", "File")]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The first line is data; columns are named 1, 2, 3, ...", rich_help_panel="File")
]
Sheet = Annotated[str | None, _flag(ReadSettings, "sheet", "File")]

ValidationSize = Annotated[float | None, _flag(SplitSettings, "validation_size", "Split")]
TestSize = Annotated[float | None, _flag(SplitSettings, "test_size", "Split")]
MinRowsPerClass = Annotated[int | None, _flag(SplitSettings, "min_rows_per_class", "Split")]
Seed = Annotated[int | None, _flag(Settings, "seed", "Split")]

Model = Annotated[str | None, _flag(ModelSettings, "model", "Model")]
Head = Annotated[str | None, _flag(ModelSettings, "head", "Model")]
MaxLength = Annotated[int | None, _flag(ModelSettings, "max_length", "Model")]

Epochs = Annotated[int | None, _flag(TrainingSettings, "epochs", "Training")]
LearningRate = Annotated[float | None, _flag(TrainingSettings, "learning_rate", "Training")]
BatchSize = Annotated[int | None, _flag(TrainingSettings, "batch_size", "Training")]
WeightDecay = Annotated[float | None, _flag(TrainingSettings, "weight_decay", "Training")]
WarmupShare = Annotated[float | None, _flag(TrainingSettings, "warmup_share", "Training")]
MaxGradNorm = Annotated[float | None, _flag(TrainingSettings, "max_grad_norm", "Training")]
Patience = Annotated[int | None, _flag(TrainingSettings, "patience", "Training")]
ClassWeight = Annotated[str | None, _flag(TrainingSettings, "class_weight", "Training")]
CheckpointEvery = Annotated[str | None, _flag(TrainingSettings, "checkpoint_every", "Training")]
MaxBatchTokens = Annotated[int | None, _flag(TrainingSettings, "max_batch_tokens", "Machine")]

Positive = Annotated[str | None, _flag(DecisionSettings, "positive", "Decision")]
MinPrecision = Annotated[float | None, _flag(DecisionSettings, "min_precision", "Decision")]
MinRecall = Annotated[float | None, _flag(DecisionSettings, "min_recall", "Decision")]
BestF1 = Annotated[bool, _flag(DecisionSettings, "best_f1", "Decision")]
MaxError = Annotated[float | None, _flag(DecisionSettings, "max_error", "Decision")]
Costs = Annotated[str | None, _flag(DecisionSettings, "costs", "Decision")]

Seeds = Annotated[int | None, _flag(EvidenceSettings, "seeds", "Evidence")]
LearningCurve = Annotated[bool, _flag(EvidenceSettings, "learning_curve", "Evidence")]

Device = Annotated[str | None, _flag(MachineSettings, "device", "Machine")]
Threads = Annotated[int | None, _flag(MachineSettings, "threads", "Machine")]
Precision = Annotated[str | None, _flag(MachineSettings, "precision", "Machine")]

Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on standard output and nothing else there.", rich_help_panel="Output"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no prose.", rich_help_panel="Output")]
Rejected = Annotated[
    Path | None,
    typer.Option(help="Write each rejected row with its line and reason to this CSV file.", rich_help_panel="Output"),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a model directory in one.")]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given on the command line; the others keep their defaults."""
    return {name: value for name, value in options.items() if value is not None}


def read_options(
    *, text: str | None, text_pair: str | None, label: str | None, id: str | None, file: Mapping[str, Any], no_header: bool
) -> dict[str, Any]:
    """The reading settings that were given, `--no-header` turned into `header=False`."""
    columns = {"text": text, "text_pair": text_pair, "label": label, "id": id}
    return given(columns | dict(file) | {"header": False if no_header else None})
