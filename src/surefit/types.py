"""The data types that the stages hand to each other, in the order a row meets them.

`Examples -> Encoding -> PackedBatch -> (logits) -> Prediction`, with `LabelSchema` and
`DecisionRule` saying what the logits mean. Arrays are numpy or Arrow; torch begins in
`surefit.model`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

ProblemType = Literal["single_label_classification", "multi_label_classification"]
SINGLE_LABEL: ProblemType = "single_label_classification"
MULTI_LABEL: ProblemType = "multi_label_classification"

Int64Array = NDArray[np.int64]
Int32Array = NDArray[np.int32]
FloatArray = NDArray[np.float64]

TEXT_TYPE = pa.large_string()
LABELS_TYPE = pa.large_list(pa.large_string())


@dataclass(frozen=True)
class Rejected:
    """A record of the file that is not used, and why.

    Attributes:
        record: number of the record in its file, counted from 1 without the header.
        line: line of the file (sheet row, for Excel) where the record starts, from 1.
        reason: one of a small set of phrases, so that records can be counted by reason.
        id: the record's own id where an id column was named, empty where the record has none or it
            could not be read; its number where no id column was named.
    """

    record: int
    line: int
    reason: str
    id: str


_OPTIONAL_COLUMNS = ("text_pairs", "labels", "groups", "times")
_COLUMNS = ("ids", "texts", *_OPTIONAL_COLUMNS)


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of text as columns, all of the same length.

    Attributes:
        ids: the id column, or the record number as text (large_string).
        texts: the text to classify (large_string, no nulls).
        text_pairs: the second text of each row where rows are pairs, else None.
        labels: class names of each row (large_list of large_string; one name a row unless
            several labels a row are allowed), or None where rows are unlabelled.
        records: number of the record in its file, from 1, shape (n,).
        lines: line of the file where the record starts, from 1, shape (n,).
        groups: what the row belongs to (large_string, no nulls), or None where no column says so.
        times: when the row came to be, as it is written (large_string, no nulls), or None likewise.
    """

    ids: pa.Array
    texts: pa.Array
    text_pairs: pa.Array | None
    labels: pa.Array | None
    records: Int64Array
    lines: Int64Array
    groups: pa.Array | None = None
    times: pa.Array | None = None

    def __post_init__(self) -> None:
        for name in _COLUMNS:
            column, kind = getattr(self, name), LABELS_TYPE if name == "labels" else TEXT_TYPE
            if column is None and name in _OPTIONAL_COLUMNS:
                continue
            if column.type != kind or column.null_count:
                raise ValueError(f"Examples.{name} must be {kind} without nulls, got {column.type}")
            if len(column) != len(self.texts):
                raise ValueError(f"Examples.{name} has {len(column)} rows, texts has {len(self.texts)}")
        if not len(self.records) == len(self.lines) == len(self.texts):
            raise ValueError("Examples.records and .lines must have one entry a row")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns present, for traces."""
        present = ["id", "text"]
        if self.text_pairs is not None:
            present.append("text_pair")
        names = (("label", self.labels), ("group", self.groups), ("time", self.times))
        return (*present, *(name for name, column in names if column is not None))

    def take(self, rows: Int64Array) -> Examples:
        """The rows at the given positions, shape (m,), in that order."""
        indices = pa.array(rows)
        columns = {name: getattr(self, name) for name in _COLUMNS}
        taken = {name: None if column is None else column.take(indices) for name, column in columns.items()}
        return Examples(**taken, records=self.records[rows], lines=self.lines[rows])

    def label_counts(self) -> dict[str, int]:
        """How many rows carry each class name, by falling count, then by name."""
        if self.labels is None:
            return {}
        counted = pc.value_counts(self.labels.flatten())
        pairs = [(str(entry["values"]), int(entry["counts"])) for entry in counted.to_pylist()]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True)
class LabelSchema:
    """What the classes are and whether a row has exactly one of them.

    Attributes:
        problem_type: as in a Hugging Face config.
        id2label: class names; the position is the class id.
    """

    problem_type: ProblemType
    id2label: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.problem_type not in (SINGLE_LABEL, MULTI_LABEL):
            raise ValueError(f"unknown problem_type {self.problem_type!r}")
        if len(set(self.id2label)) != len(self.id2label):
            raise ValueError("class names must be unique")
        least = 2 if self.problem_type == SINGLE_LABEL else 1
        if len(self.id2label) < least:
            raise ValueError(f"{self.problem_type} needs at least {least} classes, got {len(self.id2label)}")

    @property
    def label2id(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.id2label)}

    def __len__(self) -> int:
        return len(self.id2label)


@dataclass(frozen=True, eq=False)
class Encoding:
    """One row as the model reads it, special tokens included, never padded.

    Attributes:
        input_ids: token ids, shape (tokens,), int32.
        token_type_ids: 0 for the first text, 1 for the second, shape (tokens,), int32.
        truncated_tokens: how many tokens were cut off to respect the maximum length.
    """

    input_ids: Int32Array
    token_type_ids: Int32Array
    truncated_tokens: int

    def __post_init__(self) -> None:
        if len(self.input_ids) == 0 or len(self.input_ids) != len(self.token_type_ids):
            raise ValueError("an Encoding needs at least one token and one type id for each token")

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, eq=False)
class PaddedBatch:
    """A batch as a rectangle, the way most encoders expect it.

    Attributes:
        input_ids: shape (rows, max_seqlen), int64.
        token_type_ids: shape (rows, max_seqlen), int64.
        attention_mask: 1 for a token, 0 for padding, shape (rows, max_seqlen), int64.
    """

    input_ids: Int64Array
    token_type_ids: Int64Array
    attention_mask: Int64Array


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Rows laid end to end without padding.

    Attributes:
        input_ids: shape (tokens,), int64.
        token_type_ids: shape (tokens,), int64.
        position_ids: position of each token in its own row, shape (tokens,), int64.
        cu_seqlens: row i owns tokens cu_seqlens[i]:cu_seqlens[i + 1], shape (rows + 1,), int32.
        max_seqlen: tokens of the longest row.
        example_ids: which example each row is, shape (rows,), int64.
    """

    input_ids: Int64Array
    token_type_ids: Int64Array
    position_ids: Int64Array
    cu_seqlens: Int32Array
    max_seqlen: int
    example_ids: Int64Array

    def __post_init__(self) -> None:
        tokens = len(self.input_ids)
        if not len(self.token_type_ids) == len(self.position_ids) == tokens:
            raise ValueError("every token needs an id, a type and a position")
        if len(self.cu_seqlens) != len(self.example_ids) + 1 or self.cu_seqlens[0] != 0 or self.cu_seqlens[-1] != tokens:
            raise ValueError("cu_seqlens must run from 0 to the number of tokens, one step a row")
        lengths = np.diff(self.cu_seqlens)
        if len(lengths) == 0 or lengths.min() < 1 or lengths.max() != self.max_seqlen:
            raise ValueError("a batch needs rows, each of at least one token and at most max_seqlen")

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def tokens(self) -> int:
        return len(self.input_ids)

    @classmethod
    def from_encodings(cls, encodings: Sequence[Encoding], example_ids: Int64Array) -> PackedBatch:
        """Lays the encodings of one batch end to end; `example_ids` has shape (rows,)."""
        lengths = np.array([len(encoding) for encoding in encodings], dtype=np.int32)
        cu_seqlens = np.zeros(len(lengths) + 1, dtype=np.int32)
        np.cumsum(lengths, out=cu_seqlens[1:])
        starts = np.repeat(cu_seqlens[:-1], lengths)
        return cls(
            input_ids=np.concatenate([encoding.input_ids for encoding in encodings], dtype=np.int64),
            token_type_ids=np.concatenate([encoding.token_type_ids for encoding in encodings], dtype=np.int64),
            position_ids=np.arange(len(starts), dtype=np.int64) - starts,
            cu_seqlens=cu_seqlens,
            max_seqlen=int(lengths.max()),
            example_ids=np.asarray(example_ids, dtype=np.int64),
        )

    def to_padded(self, pad_token_id: int) -> PaddedBatch:
        """The same rows as a rectangle, padded on the right with `pad_token_id`."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.cu_seqlens))
        shape = (len(self), self.max_seqlen)
        input_ids = np.full(shape, pad_token_id, dtype=np.int64)
        token_type_ids = np.zeros(shape, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        input_ids[rows, self.position_ids] = self.input_ids
        token_type_ids[rows, self.position_ids] = self.token_type_ids
        attention_mask[rows, self.position_ids] = 1
        return PaddedBatch(input_ids, token_type_ids, attention_mask)


# A bound that no probability reaches.
NEVER_ANSWERED = 2.0
ABSTAINED = "abstained"


@dataclass(frozen=True)
class DecisionRule:
    """How probabilities are made from logits, and labels from probabilities; `surefit.decision` applies it.

    Attributes:
        temperature: logits are divided by it (Guo et al. 2017, equation 9).
        thresholds: one for each class, or None for the rule of the problem type. Single label: the
            class is decided on whose probability is largest relative to its threshold. Several
            labels: every class that reaches its threshold.
        costs: single label only, and not beside thresholds: costs[i][j] is what answering class j
            costs where i is true. The class of least expected cost is decided on (Elkan 2001).
        abstain_below: single label only: the model abstains where the probability of the class
            decided on is below the bound of that class; `NEVER_ANSWERED` for a class that it always
            abstains from. None: it never abstains.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] | None = None
    costs: tuple[tuple[float, ...], ...] | None = None
    abstain_below: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if self.thresholds is not None and not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise ValueError("thresholds are probabilities between 0 and 1")
        if self.thresholds is not None and self.costs is not None:
            raise ValueError("a rule has thresholds or costs, not both")
        if self.costs is not None and any(len(row) != len(self.costs) for row in self.costs):
            raise ValueError("costs need a row and a column for each class")
        if self.costs is not None and not all(math.isfinite(cost) for row in self.costs for cost in row):
            raise ValueError("costs must be finite numbers")
        if self.abstain_below is not None and not all(
            0 <= bound <= 1 or bound == NEVER_ANSWERED for bound in self.abstain_below
        ):
            raise ValueError(
                f"abstain_below are probabilities between 0 and 1, or {NEVER_ANSWERED:g} for a class never answered"
            )

    def require_fit(self, schema: LabelSchema) -> None:
        """Refuses classes that the rule is not for.

        Raises:
            ValueError: there are more or fewer of them, or a row may have several where the rule
                has costs or abstains.
        """
        if schema.problem_type == MULTI_LABEL and (self.costs is not None or self.abstain_below is not None):
            raise ValueError("costs and abstention are for rows of exactly one class")
        for name in ("thresholds", "costs", "abstain_below"):
            values = getattr(self, name)
            if values is not None and len(values) != len(schema):
                raise ValueError(f"{name} are for {len(values)} classes, the model has {len(schema)}")


@dataclass(frozen=True)
class Prediction:
    """What the model says of one row.

    Attributes:
        labels: the class names decided on; empty where the model abstains or the row could not be
            used.
        scores: probability of each class in the order of `LabelSchema.id2label`; empty where
            the row could not be used.
        score: probability of the first label; where the model abstains the largest of the scores,
            so that it can be seen how sure it was; 0.0 where there is none.
        truncated: whether tokens were cut off to respect the maximum length.
        reason: why the row could not be used, else empty.
        abstained: whether the model was too unsure to answer by its decision rule.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    score: float
    truncated: bool
    reason: str = ""
    abstained: bool = False

    @property
    def label(self) -> str:
        """The class name; several are joined with a vertical bar, none is the empty string."""
        return "|".join(self.labels)

    @property
    def unanswered(self) -> str:
        """Why there is no answer: the row's reason, or that the model abstained; else empty."""
        return ABSTAINED if self.abstained else self.reason


@dataclass(frozen=True)
class EpochFigures:
    """What one pass over the training rows came to.

    Attributes:
        epoch: number of the pass, from 1.
        training_loss: mean loss of its training rows while it learned from them, in nats.
        validation_loss: log loss of the validation rows after it, in nats.
        accuracy: share of the validation rows decided right.
        macro_f1: macro F1 on the validation rows.
    """

    epoch: int
    training_loss: float
    validation_loss: float
    accuracy: float
    macro_f1: float
