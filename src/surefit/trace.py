"""The three traces: what each stage did to the data, how training went, how one text was judged.

A trace is recorded as plain figures, saved as JSON, and shown as tables. What the tables say is
decided here, once; the terminal, notebooks and reports only draw them.
"""

from __future__ import annotations

import html
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from typing import Any

from surefit.types import EpochFigures

# What each stage does and why, in one plain sentence, for readers who meet it the first time. In these and the
# sentences below, what stands in braces differs between families of encoders and is filled in by who knows the model.
STAGE_SENTENCES = {
    "read": "Reads the file record by record; each record is either used or rejected with its line and the reason.",
    "clean": "Makes texts that look the same be the same: one Unicode form, no invisible characters, single spaces.",
    "labels": "Gives each class name a number, because the model answers with numbers; the names are kept with the model.",
    "duplicates": "Finds rows with the same or nearly the same text, so that the split can keep them on one side.",
    "audit": "Looks for what would make the figures doubtful: damage, markup, labels within texts, personal data; "
    "it changes nothing.",
    "split": "Sets rows aside: validation to choose the best epoch, test for the final figures, the rest to learn from.",
    "tokenise": "Cuts each text into word pieces the model knows and replaces them by their ids; {first} opens, {last} closes.",
    "pack": "Lays the rows of a batch end to end, so that no computing time is spent on padding.",
    "train": "Shows the model batches of rows and moves its weights a little after each, so that its errors get smaller; "
    "the rate is small because the pretrained weights already know the language.",
    "evaluate": "Lets the best epoch's model judge the rows kept for testing, and counts where it is right.",
    "save": "Writes weights, tokenizer and class names together, so that the model answers elsewhere as it does here, "
    "and the answers to the test rows.",
}

# What "split" does where files are given for these splits.
GIVEN_SPLIT_SENTENCES = {
    ("validation",): "Takes the validation rows, which choose the best epoch, as given; "
    "sets rows aside to test for the final figures, the rest to learn from.",
    ("test",): "Takes the test rows, which are for the final figures, as given; "
    "sets validation rows aside to choose the best epoch, the rest to learn from.",
    ("validation", "test"): "Sets no rows aside: those to choose the best epoch by and those for the final figures are given, "
    "and the data are to learn from.",
}

# What "pack" is followed by where a family's own class computes.
PADDED_SENTENCE = "Lays the rows of a batch together; this family's own class pads them to the longest of the batch again."

# What is said of the padding that examples show, by whether the model skips padding.
PADDING_SENTENCES = {
    True: "shown as it would stand in a batch with a longer row; SureFit's own BERT skips it",
    False: "shown as it would stand in a batch with a longer row; the mask hides it from attention",
}

LAYER_SENTENCES = {
    "tokenisation": "The text is cut into word pieces of the model's vocabulary{word_mark}. "
    "{first} is added in front, {last} marks the end.",
    "input ids and mask": "Each piece is replaced by its row number in the model's table of vectors. "
    "The mask is 1 for real pieces and 0 for padding, so that padding is never attended to. "
    "The token type is 0 in the first text and 1 in the second of a pair, where the model tells them apart so.",
    "encoder": "Each layer lets every piece look at the others (attention) and rewrites its vector. "
    "The meaning of the whole text is gathered in {head_input}: the head makes the decision from there.",
    "head": "The head ({head}) turns {head_input} into a number for each class, the logits: the larger, the more likely.",
    "prediction": "The logits are turned into probabilities that sum to one (softmax), and the decision rule picks the label.",
}
# Where a row may have several labels.
MULTI_LABEL_SENTENCES = {
    "prediction": "Each logit is turned into a probability of its own (sigmoid), so that they need not sum to one; "
    "every class whose probability reaches its threshold is a label.",
}
# Added where two classes were trained with the sigmoid head.
ONE_LOGIT_SENTENCES = {
    "head": "It was trained with one logit, which is shown as two: the first is always 0.",
    "prediction": "The softmax of these two logits gives the same probabilities as the sigmoid of the one that was trained.",
}

# What a stage makes of the carried example: one value, or one for each token or class.
Carried = str | int | float | list[str | int | float]

# Far above what fp32 holds; the loss curve cannot be drawn near the limit of fp64.
_LARGEST_LOSS = 1e100

# Characters shown of a long value, at its beginning and at its end.
_BRIEF_START, _BRIEF_END = 90, 50
# Rows shown of a long table, at its beginning and at its end.
_ROWS_START, _ROWS_END = 20, 6


@dataclass(frozen=True)
class Table:
    """A table to be drawn, its cells already in words.

    Attributes:
        title: what the table shows.
        columns: the header.
        rows: cells as text.
        note: one sentence below, or empty.
        lead: what the reader should know first, or empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    lead: str = ""

    def to_html(self) -> str:
        """The table as HTML, every text escaped."""
        head = "".join(f"<th style='text-align:left'>{html.escape(cell)}</th>" for cell in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{_lines(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        lead = f"<br>{html.escape(self.lead)}" if self.lead else ""
        title = f"<p><b>{html.escape(self.title)}</b>{lead}</p>"  # no caption, which would be as narrow as the table
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def _lines(cell: str) -> str:
    """A cell's text as HTML that keeps its line breaks."""
    return html.escape(cell).replace("\n", "<br>")


class _Shown:
    """What is shown in notebooks: its tables, one below the other."""

    def tables(self) -> tuple[Table, ...]:
        raise TypeError("a trace says what its tables are")

    def _repr_html_(self) -> str:
        return "\n".join(table.to_html() for table in self.tables())


def _shape(rows: int, columns: Sequence[str]) -> str:
    return f"{rows:,} × {len(columns)}"


def _brief(value: Any, separator: str = " ") -> str:
    """A value on a line or two; of a long one, the middle is left out, of a list between its items."""
    items = [str(item) for item in value] if isinstance(value, list | tuple) else None
    text = str(value) if items is None else separator.join(items)
    if len(text) <= _BRIEF_START + _BRIEF_END:
        return text
    if items is None:
        return f"{text[:_BRIEF_START].rstrip()} … {text[-_BRIEF_END:].lstrip()}"
    start = _fitting(items, len(separator), _BRIEF_START)
    end = _fitting(items[::-1], len(separator), _BRIEF_END)
    return separator.join([*items[:start], "…", *items[len(items) - end :]])


def _fitting(items: Sequence[str], between: int, width: int) -> int:
    """How many of the first items fit into so many characters, one at least."""
    ends = list(accumulate(len(item) + between for item in items))
    return max(1, bisect_right(ends, width + between))


def _shown_rows(rows: Sequence[tuple[Any, ...]]) -> tuple[tuple[str, ...], ...]:
    """Rows in words; of many, those in the middle are left out, and of long cells their middle."""
    shown = [tuple(f"{cell:.4f}" if isinstance(cell, float) else _brief(cell) for cell in row) for row in rows]
    if len(shown) > _ROWS_START + _ROWS_END + 1:
        left_out = ("…", f"{len(shown) - _ROWS_START - _ROWS_END} more", *[""] * len(shown[0]))[: len(shown[0])]
        shown[_ROWS_START:-_ROWS_END] = [left_out]
    return tuple(shown)


@dataclass(frozen=True)
class StageTrace:
    """What one stage did.

    Attributes:
        stage: its name.
        does: what it does and why, in one sentence.
        rows_in: rows that came in.
        columns_in: names of their columns.
        rows_out: rows that went out.
        columns_out: names of their columns.
        notes: what is worth saying of this run, for instance how many rows were rejected.
        example: the carried example as this stage left it, name -> value.
        seconds: time the stage took.
    """

    stage: str
    does: str
    rows_in: int
    columns_in: tuple[str, ...]
    rows_out: int
    columns_out: tuple[str, ...]
    notes: tuple[str, ...] = ()
    example: Mapping[str, Carried] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class PipelineTrace(_Shown):
    """The stages, at least one, in the order the rows went through them."""

    stages: tuple[StageTrace, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("has no stages")

    def tables(self) -> tuple[Table, ...]:
        stages = Table(
            "Pipeline trace: rows × columns in and out of each stage",
            ("stage", "in", "out", "what it does, and what it did here"),
            tuple(
                (
                    stage.stage,
                    _shape(stage.rows_in, stage.columns_in),
                    _shape(stage.rows_out, stage.columns_out),
                    "\n".join((stage.does, f"out: {_brief(stage.columns_out, ', ')}", *(f"- {note}" for note in stage.notes))),
                )
                for stage in self.stages
            ),
        )
        carried = Table(
            "One example carried through all stages",
            ("after", "what it is", "value"),
            tuple(
                (stage.stage if first else "", name, _brief(value))
                for stage in self.stages
                for first, (name, value) in zip((True, *[False] * len(stage.example)), stage.example.items(), strict=False)
            ),
        )
        return stages, carried


@dataclass(frozen=True)
class EpochTrace(EpochFigures):
    """One pass over the training rows and what it showed.

    Attributes:
        observation: what the figures so far say, in words.
        seconds: time the epoch took, validation included.
    """

    observation: str
    seconds: float


@dataclass(frozen=True)
class TrainingTrace(_Shown):
    """How training went.

    Attributes:
        epochs: the epochs in order, at least one.
        best_epoch: number of the epoch whose weights are kept.
        step_losses: loss of each optimizer step, in order, at least one.
        ended: why training ended, in words.
    """

    epochs: tuple[EpochTrace, ...]
    best_epoch: int
    step_losses: tuple[float, ...]
    ended: str

    def __post_init__(self) -> None:
        if not self.step_losses:
            raise ValueError("has no step_losses")
        if self.best_epoch not in [epoch.epoch for epoch in self.epochs]:
            raise ValueError("has a best_epoch that is none of its epochs")
        if any(abs(loss) > _LARGEST_LOSS for loss in (*self.step_losses, *(epoch.validation_loss for epoch in self.epochs))):
            raise ValueError("has a loss that is too large for any number format to train in")

    def tables(self) -> tuple[Table, ...]:
        rows = tuple(
            (
                f"{epoch.epoch}{' (kept)' if epoch.epoch == self.best_epoch else ''}",
                f"{epoch.training_loss:.4f}",
                f"{epoch.validation_loss:.4f}",
                f"{epoch.accuracy:.2%}",
                f"{epoch.macro_f1:.4f}",
                epoch.observation,
            )
            for epoch in self.epochs
        )
        columns = ("epoch", "training loss", "validation loss", "accuracy", "macro F1", "observation")
        return (Table("Training trace", columns, rows, note=self.ended),)


def smooth(losses: Sequence[float]) -> list[float]:
    """Mean of each loss and those just before it, over about a thirtieth of the run."""
    window = max(1, len(losses) // 30)
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    return [(sums[end] - sums[max(0, end - window)]) / min(end, window) for end in range(1, len(sums))]


@dataclass(frozen=True)
class LayerTrace:
    """One of the five layers of a prediction.

    Attributes:
        layer: its name.
        does: what it does and why, in one or two sentences.
        columns: header of what it shows.
        rows: what it shows: texts and numbers.
        note: one sentence on this text, or empty.
    """

    layer: str
    does: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.columns or any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("has no columns, or rows with more or fewer cells than there are columns")


@dataclass(frozen=True)
class PredictionTrace(_Shown):
    """How one text was judged, layer by layer.

    Attributes:
        text: the text (and the second text of a pair) after normalisation.
        layers: tokenisation, input ids and mask, encoder, head, prediction.
        label: the label decided on; empty where there is none.
        score: as in `Prediction`.
    """

    text: tuple[str, ...]
    layers: tuple[LayerTrace, ...]
    label: str
    score: float

    def tables(self) -> tuple[Table, ...]:
        return tuple(
            Table(f"{number}. {layer.layer}", layer.columns, _shown_rows(layer.rows), layer.note, lead=layer.does)
            for number, layer in enumerate(self.layers, 1)
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class RunTrace(_Shown):
    """The pipeline trace and the training trace of a run, as `trace.json` holds them."""

    pipeline: PipelineTrace
    training: TrainingTrace

    def tables(self) -> tuple[Table, ...]:
        return (*self.pipeline.tables(), *self.training.tables())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class PipelineRecorder:
    """Collects the stages of a run as they end; stages are only ever added."""

    def __init__(self) -> None:
        self._stages: list[StageTrace] = []

    def add(self, stage: StageTrace) -> None:
        self._stages.append(stage)

    def finish(self, example: Mapping[str, Mapping[str, Any]]) -> PipelineTrace:
        """The trace, with the carried example set into its stages.

        Args:
            example: stage name -> the example as that stage left it. It is chosen only after the
                split, so what earlier stages made of it is looked up then.
        """
        return PipelineTrace(tuple(replace(stage, example=example.get(stage.stage, {})) for stage in self._stages))
