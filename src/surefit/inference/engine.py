"""Texts to predictions, window by window: tokenised in the background, computed in batches of similar length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surefit.inference.ahead import prepare_ahead
from surefit.model.classifier import SequenceClassifier
from surefit.model.hardware import Hardware
from surefit.model.measured import Figure, is_steady
from surefit.progress import Progress
from surefit.text.packing import length_sorted_batches, lengths_of, pack
from surefit.text.tokenizer import TextTokenizer
from surefit.types import Encoding, Int64Array, PackedBatch

# Rows of a list that are sorted and computed together: enough for rows of equal length to find each other.
WINDOW_ROWS = 1024
MAX_BATCH_TOKENS = 8192
_CPU_BUDGETS = (2048, 4096, MAX_BATCH_TOKENS)
# A GPU needs more tokens at once, so that computing them takes longer than telling it what to do.
_GPU_BUDGETS = (8192, 16384, 32768)

Item = TypeVar("Item")


def token_budgets(device: torch.device) -> Sequence[int]:
    """The budgets that a device's batches may have."""
    return _GPU_BUDGETS if device.type == "cuda" else _CPU_BUDGETS


class BatchBudget:
    """The most tokens of a batch: the fastest of some, measured on rows that are to be computed anyway.

    It decides speed and memory only. Until there are rows enough to measure with, and in the first
    window of so many, in which code for the shapes is generated, a usual budget is taken.

    Args:
        figure: under which it is kept for later processes; it is measured anew when not given.
        candidates: the budgets to choose from; the largest is the usual one.

    Attributes:
        figure, candidates: as given.
        tokens: the budget in force.
        measured: whether it was measured, here or by an earlier process.
    """

    ROUNDS = 3

    def __init__(self, figure: Figure | None = None, candidates: Sequence[int] = _CPU_BUDGETS) -> None:
        self.figure = figure
        self.candidates = candidates
        kept = None if figure is None else figure.kept()
        self.measured = kept in candidates
        self.tokens = next((tokens for tokens in candidates if tokens == kept), max(candidates))
        self._warm = False
        self._seconds: dict[int, list[float]] = {tokens: [] for tokens in candidates}

    @classmethod
    def of(cls, classifier: SequenceClassifier, hardware: Hardware) -> BatchBudget:
        """The budget of models such as a classifier, as it was kept where it was.

        Args:
            classifier: its family and width decide, whatever it was trained on.
            hardware: what it computes on.
        """
        family, width = classifier.config.get("model_type"), classifier.word_embeddings.shape[1]
        name = f"batch_tokens_{family}_{width}_{hardware.precision}"
        return cls(Figure(name, hardware.device, hardware.threads), token_budgets(hardware.device))

    def batches(self, lengths: Int64Array) -> Iterator[Int64Array]:
        """The row positions of each batch, to be computed one after another as they come.

        Args:
            lengths: tokens of each row, shape (rows,).
        """
        possible = int(lengths.sum()) // (len(self.candidates) * max(self.candidates))
        rounds = min(possible, self.ROUNDS - min(map(len, self._seconds.values())))
        if self.measured or rounds < 1 or not self._warm:
            self._warm = self._warm or possible > 0
            yield from length_sorted_batches(lengths, self.tokens)
            return
        order = np.argsort(-lengths, kind="stable")
        shares = rounds * len(self.candidates)
        for number in range(shares):  # in turns, so that a burst of load does not meet one of them alone
            tokens = self.candidates[number % len(self.candidates)]
            rows = order[number::shares]  # each with its share of long and of short rows
            start = time.perf_counter()
            yield from (rows[batch] for batch in length_sorted_batches(lengths[rows], tokens))
            self._seconds[tokens].append((time.perf_counter() - start) / float(lengths[rows].sum()))
        if min(map(len, self._seconds.values())) >= self.ROUNDS:
            self._choose()

    def _choose(self) -> None:
        self.tokens = min(self.candidates, key=lambda tokens: min(self._seconds[tokens]))
        self.measured = True
        if self.figure is not None and all(map(is_steady, self._seconds.values())):
            self.figure.keep(self.tokens)


def predict_logits(
    classifier: SequenceClassifier,
    encodings: Sequence[Encoding],
    progress: Progress | None = None,
    budget: BatchBudget | None = None,
) -> NDArray[np.float32]:
    """Runs the classifier over all rows, in batches of similar length.

    Args:
        classifier: the model, prepared.
        encodings: one a row.
        progress: told how many rows are done.
        budget: of the batches; the usual one of the device when not given.

    Returns:
        logits in the order of the encodings, shape (rows, classes).
    """
    logits = np.zeros((len(encodings), len(classifier.schema)), dtype=np.float32)
    for rows, values in compute_in_batches(classifier, classifier, encodings, progress, budget):
        logits[rows] = values
    return logits


def compute_in_batches(
    classifier: SequenceClassifier,
    compute: Callable[[PackedBatch], Tensor],
    encodings: Sequence[Encoding],
    progress: Progress | None = None,
    budget: BatchBudget | None = None,
) -> Iterator[tuple[Int64Array, NDArray[np.float32]]]:
    """Computes something of all rows, in batches of similar length.

    Args:
        classifier: the model, prepared.
        compute: what it computes of a batch, of shape (rows, anything), on its device.
        encodings: one a row.
        progress: told how many rows are done.
        budget: of the batches; the usual one of the device when not given.

    Yields:
        positions of a batch's rows, shape (rows,), and what was computed of them, in that order.
    """
    classifier.take_threads()
    for rows in (budget or BatchBudget(candidates=token_budgets(classifier.device))).batches(lengths_of(encodings)):
        with torch.no_grad():
            values = compute(pack(encodings, rows)).float().cpu().numpy()
        yield rows, values
        if progress is not None:
            progress.advance(len(rows))


@dataclass(frozen=True, eq=False)
class TextWindow:
    """Rows to be classified together.

    Attributes:
        reasons: of each row why it cannot be classified, empty where it can.
        texts: the normalised texts of those that can.
        text_pairs: their second texts, None where rows are single texts.
    """

    reasons: Sequence[str]
    texts: Sequence[str]
    text_pairs: Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Answers:
    """What the model says of a window.

    Attributes:
        reasons: as in the window.
        logits: of the rows that could be classified, shape (rows, classes).
        truncated: which of them were cut, shape (rows,).
    """

    reasons: Sequence[str]
    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]


class InferenceEngine:
    """A classifier and its tokenizer at work.

    Args:
        classifier: prepared.
        tokenizer: its own.
        budget: of its batches.

    Attributes:
        budget: as given.
    """

    def __init__(self, classifier: SequenceClassifier, tokenizer: TextTokenizer, budget: BatchBudget) -> None:
        self.budget = budget
        self._classifier = classifier
        self._tokenizer = tokenizer

    def run(
        self, items: Iterable[Item], window_of: Callable[[Item], TextWindow], progress: Progress | None
    ) -> Iterator[tuple[Item, Answers]]:
        """Classifies window after window; while one is computed, the next is read and tokenised.

        Args:
            items: what windows are made of; two at a time are held.
            window_of: makes one of an item.
            progress: told how many rows are done.
        """
        for item, (window, encodings) in prepare_ahead(items, lambda item: self._encode(window_of(item))):
            yield item, self._compute(window, encodings, progress)

    def answer(self, window: TextWindow, progress: Progress | None) -> Answers:
        """Classifies a single window, at once and in this thread."""
        return self._compute(*self._encode(window), progress)

    def _encode(self, window: TextWindow) -> tuple[TextWindow, list[Encoding]]:
        return window, self._tokenizer.encode(window.texts, window.text_pairs) if window.texts else []

    def _compute(self, window: TextWindow, encodings: list[Encoding], progress: Progress | None) -> Answers:
        truncated = np.array([encoding.truncated_tokens > 0 for encoding in encodings], dtype=np.bool_)
        return Answers(window.reasons, predict_logits(self._classifier, encodings, progress, self.budget), truncated)
