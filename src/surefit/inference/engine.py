"""Texts to predictions, window by window: tokenised in the background, computed in batches of similar length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from surefit.inference.ahead import prepare_ahead
from surefit.model.classifier import SequenceClassifier
from surefit.progress import Progress
from surefit.text.packing import length_sorted_batches, lengths_of, pack
from surefit.text.tokenizer import TextTokenizer
from surefit.types import Encoding, Int64Array

# Rows of a list that are sorted and computed together: enough for rows of equal length to find each other.
WINDOW_ROWS = 1024
MAX_BATCH_TOKENS = 8192

Item = TypeVar("Item")


class BatchBudget:
    """The most tokens of a batch: the fastest of some, measured once on rows that are to be computed anyway.

    It decides speed and memory only. Until there are rows enough to measure with, and in the first
    window of so many, in which code for the shapes is generated, a usual budget is taken.

    Attributes:
        tokens: the budget in force.
        measured: whether it was measured.
    """

    CANDIDATES = (2048, 4096, MAX_BATCH_TOKENS)

    def __init__(self) -> None:
        self.tokens = MAX_BATCH_TOKENS
        self.measured = False
        self._warm = False

    def batches(self, lengths: Int64Array) -> Iterator[Int64Array]:
        """The row positions of each batch, to be computed one after another as they come.

        Args:
            lengths: tokens of each row, shape (rows,).
        """
        enough = int(lengths.sum()) >= len(self.CANDIDATES) * max(self.CANDIDATES)
        if self.measured or not enough or not self._warm:
            self._warm = self._warm or enough
            yield from length_sorted_batches(lengths, self.tokens)
            return
        order = np.argsort(-lengths, kind="stable")
        speeds: dict[int, float] = {}
        for number, tokens in enumerate(self.CANDIDATES):
            rows = order[number :: len(self.CANDIDATES)]  # each with its share of long and of short rows
            start = time.perf_counter()
            yield from (rows[batch] for batch in length_sorted_batches(lengths[rows], tokens))
            speeds[tokens] = float(lengths[rows].sum()) / (time.perf_counter() - start)
        self.tokens = max(speeds, key=speeds.__getitem__)
        self.measured = True


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
        budget: of the batches.

    Returns:
        logits in the order of the encodings, shape (rows, classes).
    """
    logits = np.zeros((len(encodings), len(classifier.schema)), dtype=np.float32)
    with torch.no_grad():
        for rows in (budget or BatchBudget()).batches(lengths_of(encodings)):
            logits[rows] = classifier(pack(encodings, rows)).float().cpu().numpy()
            if progress is not None:
                progress.advance(len(rows))
    return logits


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

    Attributes:
        budget: of its batches.
    """

    def __init__(self, classifier: SequenceClassifier, tokenizer: TextTokenizer) -> None:
        self.budget = BatchBudget()
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
