"""A saved classifier in Python: predict, predict_proba, trace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from surefit.config import MachineSettings, ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.frames import as_table
from surefit.data.reasons import reason_against_texts
from surefit.data.texts import NOT_A_TEXT
from surefit.data.trained import read_as_trained
from surefit.decision import to_predictions
from surefit.errors import UsageError
from surefit.inference.engine import predict_logits
from surefit.inference.frames import with_predictions
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
        precision: auto, fp32 or bf16.

    Raises:
        ModelError: a file of the saved model is missing, damaged or foreign.
        UsageError: `run` is no path, or the machine does not have the device.
    """
    if not isinstance(run, str | os.PathLike):
        raise UsageError(f"give the path of a run or of its model, not {type(run).__name__}")
    hardware = choose_hardware(MachineSettings(device=device, threads=threads, precision=precision))
    return TextClassifier(load_classifier(Path(run)), hardware)


class TextClassifier:
    """A fine-tuned classifier with its tokenizer, class names and decision rule.

    Args:
        saved: what the model directory holds.
        hardware: what to compute on.
    """

    def __init__(self, saved: SavedClassifier, hardware: Hardware) -> None:
        self._saved = saved
        saved.classifier.prepare(hardware)

    @property
    def schema(self) -> LabelSchema:
        """The classes and the problem type."""
        return self._saved.schema

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `predict_proba`."""
        return self._saved.schema.id2label

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
            and the reason.

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
        predictions = self._predict(_rows_of(texts, columns), _pairs_of(text_pairs))
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
            predictions = self._predict(_rows_of(texts, columns), _pairs_of(text_pairs))
        unusable = (float("nan"),) * len(self.classes)
        shape = (len(predictions), len(self.classes))
        return np.array([item.scores or unusable for item in predictions], dtype=np.float64).reshape(shape)

    def predict_records(self, reading: ReadResult, progress: Progress | None = None) -> list[Prediction]:
        """Classifies what was read of a file, one prediction for each record in the file's order.

        Args:
            reading: its rejected records get an empty label and the reason.
            progress: told how many rows are done.
        """
        examples = reading.examples
        pairs = None if examples.text_pairs is None else examples.text_pairs.to_pylist()
        predictions = self._predict(examples.texts.to_pylist(), pairs, progress)
        return reading.in_order(predictions, [_unusable(rejected.reason) for rejected in reading.rejected])

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
        for window in windows:
            yield window, self.predict_records(window, progress)

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
        reason = _reason(text, text_pair, pairs=pairs)
        if reason:
            raise UsageError(f"there is nothing to trace: {reason}")
        texts = [text] if text_pair is None else [text, text_pair]
        return trace_prediction(self._saved, [normalize_text(part) for part in texts])

    def _predict(self, texts: list[Any], pairs: list[Any] | None, progress: Progress | None = None) -> list[Prediction]:
        self._require_kind(pairs=pairs is not None)
        if pairs is not None and len(pairs) != len(texts):
            raise UsageError(f"there are {len(texts)} texts and {len(pairs)} second texts; give one for each")
        rows = zip(texts, pairs or [None] * len(texts), strict=True)
        reasons = [_reason(text, pair, pairs=pairs is not None) for text, pair in rows]
        usable = [row for row, reason in enumerate(reasons) if not reason]
        logits, truncated = self._logits(
            [texts[row] for row in usable], None if pairs is None else [pairs[row] for row in usable], progress
        )
        predictions = [_unusable(reason) for reason in reasons]
        for row, prediction in zip(usable, to_predictions(logits, self.schema, self._saved.rule, truncated), strict=True):
            predictions[row] = prediction
        return predictions

    def _logits(
        self, texts: list[str], pairs: list[str] | None, progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        if not texts:
            return np.zeros((0, len(self.classes)), dtype=np.float32), np.zeros(0, dtype=np.bool_)
        # As in training: an invisible character in a typed "[SEP]" would otherwise keep it from being one.
        texts = [normalize_text(text) for text in texts]
        pairs = None if pairs is None else [normalize_text(pair) for pair in pairs]
        encodings = self._saved.tokenizer.encode(texts, pairs)
        truncated = np.array([encoding.truncated_tokens > 0 for encoding in encodings])
        return predict_logits(self._saved.classifier, encodings, progress), truncated

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


def _rows_of(texts: Any, columns: dict[str, str | None]) -> list[Any]:
    """One entry a row: of a text, a sequence or an Arrow array."""
    if columns:
        raise UsageError(f"{min(columns)}= names a column of a DataFrame, and no DataFrame was given")
    if isinstance(texts, str):
        return [texts]
    if _is_no_list(texts):
        raise UsageError(f"give a text, a list of texts or a pandas DataFrame, not {type(texts).__name__}")
    return texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)


def _is_no_list(texts: Any) -> bool:
    """Whether something is no sequence of texts; a set is none because its order is not defined."""
    if isinstance(texts, bytes | Mapping | set | frozenset) or hasattr(texts, "columns") or hasattr(texts, "column_names"):
        return True
    # A numpy array of no dimension has the methods of a sequence, but no rows.
    return not isinstance(texts, Iterable) or getattr(texts, "ndim", 1) == 0


def _pairs_of(text_pairs: Any) -> list[Any] | None:
    if text_pairs is not None and as_table(text_pairs) is not None:
        raise UsageError(f"give the second texts of a list of texts as a list too, not as {type(text_pairs).__name__}")
    return None if text_pairs is None else _rows_of(text_pairs, {})


def _unusable(reason: str) -> Prediction:
    return Prediction(labels=(), scores=(), score=0.0, truncated=False, reason=reason)


def _reason(text: Any, text_pair: Any, *, pairs: bool) -> str:
    """Why a row cannot be classified; empty where it can."""
    text, text_pair = (None if _is_missing(part) else part for part in (text, text_pair))
    if not all(part is None or _is_text(part) for part in (text, text_pair)):
        return NOT_A_TEXT
    return reason_against_texts(text, text_pair, pairs=pairs)


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # half of a surrogate pair: no tokenizer reads it
        return False


def _is_missing(value: object) -> bool:
    """None, NaN, and what pandas has for them, told by name so that pandas is not needed."""
    return value is None or (isinstance(value, Real) and value != value) or type(value).__name__ in ("NAType", "NaTType")
