"""A saved classifier in Python: predict, predict_proba, trace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from surefit.config import MachineSettings, ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.frames import as_table
from surefit.data.trained import read_as_trained
from surefit.decision import to_predictions
from surefit.errors import UsageError
from surefit.inference.engine import WINDOW_ROWS, Answers, BatchBudget, InferenceEngine, TextWindow
from surefit.inference.frames import with_predictions
from surefit.inference.given import pairs_of, reason_against, rows_of
from surefit.inference.trace import trace_prediction
from surefit.model.hardware import Hardware, choose_hardware
from surefit.model.pretrained import SavedClassifier, load_classifier
from surefit.normalization import normalize_text
from surefit.progress import Progress
from surefit.trace import PredictionTrace
from surefit.types import FloatArray, LabelSchema, Prediction


def load(run: str | Path, *, device: str = "auto", threads: int | None = None, precision: str = "auto") -> TextClassifier:
    """Loads a trained classifier.

    Args:
        run: a run directory, or the model directory in one.
        device: auto, cpu, cuda, cuda:N or mps.
        threads: processor threads; all when not given.
        precision: auto, fp32, bf16 or int8; auto takes the fastest here, int8 only where it was found
            to change next to no answer.

    Raises:
        ModelError: a file of the saved model is missing, damaged or foreign.
        UsageError: `run` is no path, or the machine does not have the device.
    """
    if not isinstance(run, str | os.PathLike):
        raise UsageError(f"give the path of a run or of its model, not {type(run).__name__}")
    settings = MachineSettings(device=device, threads=threads, precision=precision)
    saved = load_classifier(Path(run))
    return TextClassifier(saved, choose_hardware(settings, saved.int8))


class TextClassifier:
    """A fine-tuned classifier with its tokenizer, class names and decision rule.

    Args:
        saved: what the model directory holds.
        hardware: what to compute on.

    Attributes:
        hardware: as given.
    """

    def __init__(self, saved: SavedClassifier, hardware: Hardware) -> None:
        self._saved = saved
        int8 = saved.int8 if hardware.precision == "int8" else None
        saved.classifier.prepare(hardware, int8=None if int8 is None else int8.ranges)
        self.hardware = hardware
        self._engine = InferenceEngine(saved.classifier, saved.tokenizer, BatchBudget.of(saved.classifier, hardware))

    @property
    def saved(self) -> SavedClassifier:
        """What the model directory holds, prepared to compute."""
        return self._saved

    @property
    def schema(self) -> LabelSchema:
        """The classes and the problem type."""
        return self._saved.schema

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `predict_proba`."""
        return self._saved.schema.id2label

    @property
    def engine_in_words(self) -> str:
        """How predictions are computed on this machine; the tokens at once are measured on long input."""
        hardware, budget = self.hardware, self._engine.budget
        threads = f" with {hardware.threads} thread{'' if hardware.threads == 1 else 's'}"
        loops = "compiled loops" if self._saved.classifier.compiled else "torch"
        int8 = self._saved.int8
        unsafe = hardware.precision == "int8" and int8 is not None and not int8.safe
        doubt = "; int8 was not found safe for this model" if unsafe else ""
        chosen = "measured to be fastest" if budget.measured else "the usual number"
        return (
            f"computed in {hardware.precision} on {hardware.device}{threads if hardware.device.type == 'cpu' else ''} "
            f"by {loops}, up to {budget.tokens:,} tokens at once ({chosen}){doubt}"
        )

    @property
    def columns(self) -> dict[str, str]:
        """Role (text, text_pair, label, id) -> column that was trained on; empty where that is not known."""
        return self._saved.columns

    @property
    def max_length(self) -> int:
        """Most tokens that the model reads of a row."""
        return self._saved.max_length

    @overload
    def predict(self, texts: str, text_pairs: str | None = None) -> Prediction: ...
    @overload
    def predict(self, texts: list[str], text_pairs: Sequence[str] | None = None) -> list[Prediction]: ...
    @overload
    def predict(self, texts: Any, text_pairs: Any = None, **columns: str | None) -> Any: ...

    def predict(self, texts: Any, text_pairs: Any = None, **columns: str | None) -> Any:
        """Classifies one text, several, or the rows of a DataFrame.

        Args:
            texts: a text; a sequence, Series or Arrow array of texts; or a table: a pandas
                DataFrame, an Arrow table, what offers itself as an Arrow stream, as polars does,
                or a `datasets.Dataset`. Missing and empty texts are allowed.
            text_pairs: the second text or texts, where the model was trained on pairs.
            columns: for a table, which columns to read, as `text="review"` and
                `text_pair="answer"`; when not given, those of the training data, else the text is
                found by its name.

        Returns:
            one `Prediction` for a text, a list of them for several, both in order; for a DataFrame
            a copy with the columns "prediction", "probability", "truncated" and "reason" added,
            for other tables an Arrow table with them. A row that cannot be used has an empty label
            and the reason; one that the model abstains from has its scores and an empty label, and
            `abstained` says so, in a table the reason "abstained".

        Raises:
            DataError: the column of a table is not certain, or its rows cannot be read.
            UsageError: there are not as many second texts as texts, or they are neither texts nor
                a table; the model judges pairs and single texts are given, or the reverse; a table
                and second texts beside it are given; or the table has a column of a name that is to
                be added.
        """
        table = as_table(texts)
        if table is not None:
            return with_predictions(table, self._predict_table(table, text_pairs, columns))
        predictions = self._predict(rows_of(texts, columns), pairs_of(text_pairs))
        return predictions[0] if isinstance(texts, str) else predictions

    def predict_proba(self, texts: Any, text_pairs: Any = None, **columns: str | None) -> FloatArray:
        """Probability of each class for each text.

        Args:
            texts: n texts, or a table, as for `predict`.
            text_pairs: their second texts, where the model was trained on pairs.
            columns: as for `predict`.

        Returns:
            shape (n, classes), columns as in `classes`; a row that cannot be used is all NaN.

        Raises:
            DataError, UsageError: as in `predict`.
        """
        table = as_table(texts)
        if table is not None:
            predictions = self._predict_table(table, text_pairs, columns)
        else:
            predictions = self._predict(rows_of(texts, columns), pairs_of(text_pairs))
        unusable = (float("nan"),) * len(self.classes)
        shape = (len(predictions), len(self.classes))
        return np.array([item.scores or unusable for item in predictions], dtype=np.float64).reshape(shape)

    def predict_records(self, reading: ReadResult, progress: Progress | None = None) -> list[Prediction]:
        """Classifies what was read of a file, one prediction for each record in the file's order.

        Args:
            reading: its rejected records get an empty label and the reason.
            progress: told how many rows are done.
        """
        predictions = self._predict(*_texts_of(reading), progress)
        return _in_order(reading, predictions)

    def predict_windows(
        self, windows: Iterable[ReadResult], progress: Progress | None = None
    ) -> Iterator[tuple[ReadResult, list[Prediction]]]:
        """Classifies a file window by window, in memory that does not grow with it.

        Args:
            windows: as `surefit.data.passes.windows` makes them.
            progress: told how many rows are done.

        Returns:
            each window with its predictions, one for each record in the file's order.
        """
        for window, answers in self._engine.run(windows, self._window_of, progress):
            yield window, _in_order(window, self._decide(answers))

    def trace(self, text: str, text_pair: str | None = None) -> PredictionTrace:
        """Shows how one text is judged, layer by layer.

        Args:
            text: what to classify.
            text_pair: the second text, where the model was trained on pairs.

        Raises:
            UsageError: a text is empty or none, or the second one is missing or not wanted.
        """
        pairs = text_pair is not None
        self._require_kind(pairs=pairs)
        reason = reason_against(text, text_pair, pairs=pairs)
        if reason:
            raise UsageError(f"there is nothing to trace: {reason}")
        texts = [text] if text_pair is None else [text, text_pair]
        return trace_prediction(self._saved, [normalize_text(part) for part in texts])

    def _predict(self, texts: list[Any], pairs: list[Any] | None, progress: Progress | None = None) -> list[Prediction]:
        self._require_kind(pairs=pairs is not None)
        if pairs is not None and len(pairs) != len(texts):
            raise UsageError(f"there are {len(texts)} texts and {len(pairs)} second texts; give one for each")

        def window(start: int) -> TextWindow:
            own = slice(start, start + WINDOW_ROWS)
            return _window(texts[own], None if pairs is None else pairs[own])

        if len(texts) <= WINDOW_ROWS:
            return self._decide(self._engine.answer(window(0), progress))
        runs = self._engine.run(range(0, len(texts), WINDOW_ROWS), window, progress)
        return [prediction for _, answers in runs for prediction in self._decide(answers)]

    def _decide(self, answers: Answers) -> list[Prediction]:
        decided = iter(to_predictions(answers.logits, self.schema, self._saved.rule, answers.truncated))
        return [_unusable(reason) if reason else next(decided) for reason in answers.reasons]

    def _window_of(self, reading: ReadResult) -> TextWindow:
        self._require_kind(pairs=reading.examples.text_pairs is not None)
        return _window(*_texts_of(reading))

    def _require_kind(self, *, pairs: bool) -> None:
        """Refuses single texts for a model of pairs, and the reverse: its answers would be worthless."""
        if self.columns and ("text_pair" in self.columns) != pairs:
            second = "the second one (--text-pair, in Python text_pair)"
            wanted = f"single texts: leave {second} out" if pairs else f"pairs of texts: give {second} too"
            raise UsageError(f"this model judges {wanted}")

    def _predict_table(self, table: Any, text_pairs: Any, columns: dict[str, str | None]) -> list[Prediction]:
        unknown = set(columns) - {"text", "text_pair"}
        if unknown:
            raise UsageError(f"predict takes text= and text_pair= as names of columns, not {min(unknown)}=")
        if text_pairs is not None:
            raise UsageError("the second texts of a table are a column of it; name it with text_pair=")
        if not len(table):
            return []
        settings = ReadSettings(text=columns.get("text"), text_pair=columns.get("text_pair"))
        return self.predict_records(read_as_trained(table, settings, self.columns, labelled=False))

    def __repr__(self) -> str:
        more = ", ..." if len(self.classes) > 5 else ""
        return f"TextClassifier({len(self.classes)} classes: {', '.join(self.classes[:5])}{more})"


def _unusable(reason: str) -> Prediction:
    return Prediction(labels=(), scores=(), score=0.0, truncated=False, reason=reason)


def _window(texts: list[Any], pairs: list[Any] | None) -> TextWindow:
    """Rows as the engine takes them."""
    rows = list(zip(texts, pairs or [None] * len(texts), strict=True))
    reasons = [reason_against(text, pair, pairs=pairs is not None) for text, pair in rows]
    usable = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    # Normalised as in training: an invisible character in a typed "[SEP]" would otherwise keep it from being one.
    return TextWindow(
        reasons,
        [normalize_text(text) for text, _ in usable],
        None if pairs is None else [normalize_text(pair) for _, pair in usable],
    )


def _in_order(reading: ReadResult, predictions: list[Prediction]) -> list[Prediction]:
    """One for each record, from those of the rows that could be used."""
    return reading.in_order(predictions, [_unusable(rejected.reason) for rejected in reading.rejected])


def _texts_of(reading: ReadResult) -> tuple[list[Any], list[Any] | None]:
    examples = reading.examples
    return examples.texts.to_pylist(), None if examples.text_pairs is None else examples.text_pairs.to_pylist()
