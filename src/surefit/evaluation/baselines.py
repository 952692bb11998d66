"""What simpler models reach on the same test rows, so that the cost of BERT can be justified.

Three baselines, fitted on the training rows and judged by the same `evaluate`:

- the majority class: always the most frequent class, with the class shares as probabilities;
- TF-IDF + logistic regression: words and pairs of neighbouring words, sublinear term frequency,
  L2 penalty. Its one free setting, the inverse penalty C, is chosen by macro F1 on the validation
  rows, the rows that also choose BERT's epoch;
- logistic regression on frozen embeddings: the same on what the pretrained encoder makes of each
  text before it is fine-tuned, which says what fine-tuning adds. Embeddings are standardised, so
  that one grid of C fits encoders whose dimensions differ in size.

A "word" is cut as BERT's own pre-tokeniser cuts it: a run of letters and digits, or one
punctuation mark or symbol, or one character of a script without spaces. So texts in Chinese, of
one word, or of emoji alone have words too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from surefit.decision import decide
from surefit.evaluation.logistic_regression import (
    EMBEDDING_C_GRID,
    best_logistic_regression,
    class_probabilities,
    macro_f1_on,
    sample_rows,
)
from surefit.evaluation.metrics import EvaluationResult, evaluate
from surefit.types import TEXT_TYPE, DecisionRule, Examples, FloatArray, Int64Array, LabelSchema

MAJORITY_CLASS = "majority class"
TFIDF_LOGISTIC_REGRESSION = "TF-IDF + logistic regression"
EMBEDDING_LOGISTIC_REGRESSION = "logistic regression on frozen embeddings"

# Thai and Lao, Burmese, Khmer, Japanese kana, Chinese characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD_PATTERN = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]"

_TFIDF_C_GRID = (1.0, 10.0, 100.0)
_MAX_TRAIN_ROWS = 50_000
_MAX_VALIDATION_ROWS = 10_000
# About what BERT reads of a text at 512 tokens.
_MAX_CHARACTERS = 2_000
_MAX_FEATURES = 100_000
# L-BFGS keeps some 20 vectors of this length.
_MAX_COEFFICIENTS = 3_000_000


@dataclass(frozen=True, eq=False)
class LabelledExamples:
    """Rows and what they truly are, for single-label problems.

    Attributes:
        examples: the rows.
        targets: class ids, shape (n,).
    """

    examples: Examples
    targets: Int64Array

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.examples),):
            raise ValueError(f"targets must have shape ({len(self.examples)},), got {self.targets.shape}")

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Int64Array) -> LabelledExamples:
        """The rows at the given positions, shape (m,), in that order."""
        return LabelledExamples(self.examples.take(rows), self.targets[rows])

    def documents(self) -> list[str]:
        """One text a row, the second of a pair behind the first, cut where BERT stops reading too."""
        texts = pc.utf8_slice_codeunits(self.examples.texts, 0, _MAX_CHARACTERS)
        if self.examples.text_pairs is not None:
            pairs = pc.utf8_slice_codeunits(self.examples.text_pairs, 0, _MAX_CHARACTERS)
            texts = pc.binary_join_element_wise(texts, pairs, pa.scalar(" ", TEXT_TYPE))
        documents: list[str] = texts.to_pylist()
        return documents


@dataclass(frozen=True, eq=False)
class LabelledEmbeddings:
    """Rows as an encoder sees them and what they truly are, for single-label problems.

    Attributes:
        embeddings: shape (n, hidden), float32.
        targets: class ids, shape (n,).
    """

    embeddings: NDArray[np.float32]
    targets: Int64Array

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.targets.shape != self.embeddings.shape[:1]:
            raise ValueError(f"embeddings of shape {self.embeddings.shape} need as many targets, got {self.targets.shape}")

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Int64Array) -> LabelledEmbeddings:
        """The rows at the given positions, shape (m,), in that order."""
        return LabelledEmbeddings(self.embeddings[rows], self.targets[rows])


@dataclass(frozen=True, eq=False)
class Baseline:
    """A simple model and how it did on the test rows.

    Attributes:
        name: what it is called in reports.
        result: its figures on the test rows.
        probabilities: of the test rows, shape (n, classes).
        predicted: its answer to each test row, class ids of shape (n,).
        fitted_rows: how many training rows it was fitted on; large data sets are sampled.
        seconds: time from its first row to its last answer.
    """

    name: str
    result: EvaluationResult
    probabilities: FloatArray
    predicted: Int64Array
    fitted_rows: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Its figures as plain values, as they stand in `metrics.json`."""
        return self.result.to_dict() | {"fitted_rows": self.fitted_rows, "seconds": round(self.seconds, 3)}


def fit_baselines(
    train: LabelledExamples,
    validation: LabelledExamples,
    test: LabelledExamples,
    schema: LabelSchema,
    seed: int,
    embeddings: Sequence[LabelledEmbeddings],
) -> tuple[Baseline, ...]:
    """Fits the baselines and judges them on the test rows.

    Args:
        train: rows with at least two classes among them.
        validation: rows that choose the penalty, at least one.
        test: rows to be judged on, at least one.
        schema: the classes of a single-label problem.
        seed: decides which rows stand for a training set of more than 50,000 rows.
        embeddings: the rows of train, validation and test as the model sees them before it is fine-tuned.

    Returns:
        The majority class, TF-IDF + logistic regression, and logistic regression on frozen embeddings.
    """
    majority = majority_class(train.targets, test.targets, schema)
    tfidf = tfidf_logistic_regression(train, validation, test, schema, seed)
    return majority, tfidf, embedding_logistic_regression(embeddings[0], embeddings[1], embeddings[2], schema, seed)


def majority_class(train_targets: Int64Array, test_targets: Int64Array, schema: LabelSchema) -> Baseline:
    """Always answers the most frequent class, with the class shares as probabilities.

    Args:
        train_targets: class ids, shape (n,).
        test_targets: class ids, shape (m,).
        schema: the classes.
    """
    started = time.perf_counter()
    shares = np.bincount(train_targets, minlength=len(schema)) / len(train_targets)
    probabilities = np.tile(shares, (len(test_targets), 1))
    return _judge(MAJORITY_CLASS, test_targets, probabilities, schema, len(train_targets), started)


def tfidf_logistic_regression(
    train: LabelledExamples, validation: LabelledExamples, test: LabelledExamples, schema: LabelSchema, seed: int
) -> Baseline:
    """Fits a linear model on weighted word counts; arguments as for `fit_baselines`."""
    started = time.perf_counter()
    train = train.take(sample_rows(train.targets, _MAX_TRAIN_ROWS, seed))
    validation = validation.take(sample_rows(validation.targets, _MAX_VALIDATION_ROWS, seed))
    vectorizer = _vectorizer(len(schema))
    features = vectorizer.fit_transform(train.documents())
    score = macro_f1_on(vectorizer.transform(validation.documents()), validation.targets)
    model = best_logistic_regression(features, train.targets, _TFIDF_C_GRID, score)
    probabilities = class_probabilities(model, vectorizer.transform(test.documents()), len(schema))
    return _judge(TFIDF_LOGISTIC_REGRESSION, test.targets, probabilities, schema, len(train), started)


def embedding_logistic_regression(
    train: LabelledEmbeddings, validation: LabelledEmbeddings, test: LabelledEmbeddings, schema: LabelSchema, seed: int
) -> Baseline:
    """Fits a linear model on standardised embeddings, a linear probe (Alain and Bengio 2016, arXiv 1610.01644).

    Args:
        train: rows with at least two classes among them, embedded by a model that has learned from no label.
        validation, test, schema, seed: as for `fit_baselines`.
    """
    from sklearn.preprocessing import StandardScaler

    started = time.perf_counter()
    train = train.take(sample_rows(train.targets, _MAX_TRAIN_ROWS, seed))
    validation = validation.take(sample_rows(validation.targets, _MAX_VALIDATION_ROWS, seed))
    scaler = StandardScaler()
    features = scaler.fit_transform(train.embeddings)
    score = macro_f1_on(scaler.transform(validation.embeddings), validation.targets)
    model = best_logistic_regression(features, train.targets, EMBEDDING_C_GRID, score)
    probabilities = class_probabilities(model, scaler.transform(test.embeddings), len(schema))
    return _judge(EMBEDDING_LOGISTIC_REGRESSION, test.targets, probabilities, schema, len(train), started)


def _judge(
    name: str, targets: Int64Array, probabilities: FloatArray, schema: LabelSchema, fitted_rows: int, started: float
) -> Baseline:
    predicted = decide(probabilities, schema, DecisionRule())
    seconds = time.perf_counter() - started
    return Baseline(name, evaluate(targets, probabilities, predicted, schema), probabilities, predicted, fitted_rows, seconds)


def _vectorizer(classes: int) -> Any:
    # scikit-learn takes a second to import; most commands fit no baseline.
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        token_pattern=_WORD_PATTERN,
        max_features=min(_MAX_FEATURES, _MAX_COEFFICIENTS // classes),
        dtype=np.float32,
    )
