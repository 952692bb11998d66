"""What a report is made from: what the files of a run say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surefit.data.audit import Audit
from surefit.trace import PredictionTrace, RunTrace

Scalar = str | int | float | bool | None
# Columns of files that quote texts which hold figures from 0 to 1.
SHARES = ("probability", "probability_of_label", "probability_of_suggested", "confidence", "variability", "correctness")


@dataclass(frozen=True)
class SourceFacts:
    """A source of rows, as `settings.json` holds it: a file has bytes, a table in memory has rows."""

    name: str
    sha256: str
    bytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class RunFacts:
    """What `settings.json` says of how a run was made.

    Attributes:
        settings: by group; `seed` stands for itself.
        base_model: what was fine-tuned.
        base_weights_sha256: of its weights.
        columns: role -> column.
        max_length: most tokens that the model reads of a row.
        head: softmax or sigmoid.
        learning_rate: its peak.
        data: the sources by what they were given as.
        split_sha256: of which row is in which split.
        versions: by package.
        machine: what the run was made on.
    """

    settings: Mapping[str, Scalar | dict[str, Scalar]]
    base_model: str
    base_weights_sha256: str
    columns: Mapping[str, str]
    max_length: int
    head: str
    learning_rate: float
    data: Mapping[str, SourceFacts]
    split_sha256: str
    versions: Mapping[str, str]
    machine: Mapping[str, Scalar]

    def __post_init__(self) -> None:
        if "train" not in self.data:
            raise ValueError("has no training data")
        if "surefit" not in self.versions:
            raise ValueError("has no version of surefit")


@dataclass(frozen=True)
class TextRows:
    """The first rows of a file that quotes texts.

    Attributes:
        columns: its header.
        rows: their cells.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of one column."""
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)

    def where(self, name: str, value: str) -> TextRows:
        """The rows whose cell of one column is this."""
        place = self.columns.index(name)
        return TextRows(self.columns, tuple(row for row in self.rows if row[place] == value))

    def texts(self) -> tuple[str, ...]:
        """The text of each row, with the second one of a pair below it."""
        names = [name for name in ("text", "text_pair") if name in self.columns]
        return tuple("\n".join(parts) for parts in zip(*map(self.column, names), strict=True))


@dataclass(frozen=True)
class ReportContent:
    """All that a report says.

    Attributes:
        name: of the run's directory.
        metrics: the content of `metrics.json`.
        facts: how the run was made.
        audit: of its training data.
        trace: the pipeline trace and the training trace.
        prediction: how one test row was judged.
        label_issues: rows whose label may be wrong, the most doubtful first; None where their file is gone.
        mistakes: test rows that were answered wrong, the surest answers first; None likewise.
        training_examples: training rows that are most what their region is called, with their texts; None likewise.
    """

    name: str
    metrics: Mapping[str, Any]
    facts: RunFacts
    audit: Audit
    trace: RunTrace
    prediction: PredictionTrace
    label_issues: TextRows | None
    mistakes: TextRows | None
    training_examples: TextRows | None
