"""Predictions in int8: the ranges of a model's activations, and whether its answers stay."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from surefit.decision import decide, probabilities
from surefit.inference.engine import MAX_BATCH_TOKENS, predict_logits
from surefit.model.classifier import SequenceClassifier
from surefit.model.hardware import Hardware
from surefit.model.int8_products import int8_is_exact
from surefit.model.int8_ranges import Int8Facts, Range, RangeFinder
from surefit.progress import Progress
from surefit.text.packing import length_sorted_batches, lengths_of, pack
from surefit.types import DecisionRule, Encoding, Int64Array, LabelSchema

_RANGE_TOKENS = 8192
_MOST_LOST = 0.01
_MOST_CHECKED_ROWS = 4096


@dataclass(frozen=True)
class Int8Check:
    """How far answers in int8 are from those in float, on rows that the model did not learn from.

    Attributes:
        rows: how many rows were answered.
        changed: how many of them were decided otherwise.
        lost: how many of these were decided right in float and wrong in int8.
        most_lost: with 95% confidence a smaller share of rows is lost (Clopper and Pearson 1934, one-sided).
        mean_move: by how much a row's probabilities moved, the largest of each row, on average.
        largest_move: the same at most.
    """

    rows: int
    changed: int
    lost: int
    most_lost: float
    mean_move: float
    largest_move: float

    @property
    def safe(self) -> bool:
        """Whether accuracy falls by less than a point, with 95% confidence; what int8 gains is not counted."""
        return self.most_lost < _MOST_LOST


def prepare_int8(
    classifier: SequenceClassifier,
    training: Sequence[Encoding],
    validation: Sequence[Encoding],
    logits: NDArray[np.float32],
    targets: Int64Array,
    rule: DecisionRule,
    progress: Progress | None = None,
) -> dict[str, Any] | None:
    """What a model must know to predict in int8, and what doing so changes.

    Args:
        classifier: fine-tuned and prepared; it is not changed.
        training: rows that it learned from.
        validation: rows that it did not learn from.
        logits: its answers to these, shape (rows, classes).
        targets: the right answers, in the form that `surefit.decision.decide` gives.
        rule: makes answers of logits.
        progress: told how many rows are checked.

    Returns:
        for `surefit.json`: what `Int8Facts` holds and the figures of `Int8Check`; None where the model
        or the processor cannot do it.
    """
    if not classifier.int8_activations or not int8_is_exact():
        return None
    checked = slice(_MOST_CHECKED_ROWS)
    progress = progress or Progress()
    progress.begin("check int8", len(validation[checked]))
    twin = copy.deepcopy(classifier)
    hardware = Hardware(torch.device("cpu"), "int8", torch.get_num_threads(), classifier.compiled)
    twin.prepare(hardware)
    ranges = find_ranges(twin, training)
    twin.prepare(hardware, int8=ranges)
    found = predict_logits(twin, validation[checked], progress)
    progress.end()
    check = compare(found, logits[checked], targets[checked], classifier.schema, rule)
    return Int8Facts(ranges, check.safe).to_json() | {"check": asdict(check)}


def find_ranges(classifier: SequenceClassifier, encodings: Sequence[Encoding]) -> dict[str, Range]:
    """The ranges of the activations, from rows that hold some thousand tokens together.

    Args:
        classifier: prepared on the CPU; it is not changed.
        encodings: rows such as it was trained on.
    """
    order = np.random.default_rng(0).permutation(len(encodings))
    ends = np.cumsum(lengths_of(encodings)[order])
    rows = [encodings[row] for row in order[: 1 + int(np.searchsorted(ends, _RANGE_TOKENS))]]

    finder = RangeFinder()
    batches = (pack(rows, own) for own in length_sorted_batches(lengths_of(rows), MAX_BATCH_TOKENS))
    classifier.observe(batches, finder.see)
    return finder.ranges()


def compare(
    int8: NDArray[np.float32], plain: NDArray[np.float32], targets: Int64Array, schema: LabelSchema, rule: DecisionRule
) -> Int8Check:
    """Compares answers to the same rows.

    Args:
        int8: logits, shape (rows, classes).
        plain: logits of the same classifier in float.
        targets: the right answers.
        schema: the classes.
        rule: makes answers of logits.
    """
    from scipy.stats import binomtest

    ours, others = (probabilities(logits, schema.problem_type, rule.temperature) for logits in (int8, plain))
    answers = [decide(scores, schema, rule).reshape(len(scores), -1) for scores in (ours, others)]
    changed = (answers[0] != answers[1]).any(axis=1)
    was_right = (answers[1] == targets.reshape(len(targets), -1)).all(axis=1)
    lost = int((changed & was_right).sum())
    moves = np.abs(ours - others).max(axis=1)
    most_lost = binomtest(lost, len(moves), alternative="less").proportion_ci(0.95, method="exact").high
    return Int8Check(len(moves), int(changed.sum()), lost, float(most_lost), float(moves.mean()), float(moves.max()))
