"""What simpler models reach on the same test rows, so that the cost of BERT can be justified.

Two baselines, fitted on the training rows and judged by the same `evaluate`:

- the majority class: always the most frequent class, with the class shares as probabilities;
- TF-IDF + logistic regression: words and pairs of neighbouring words, sublinear term frequency,
  L2 penalty. Its one free setting, the inverse penalty C, is chosen by macro F1 on the validation
  rows, the rows that also choose BERT's epoch.

A "word" is cut as BERT's own pre-tokeniser cuts it: a run of letters and digits, or one
punctuation mark or symbol, or one character of a script without spaces. So texts in Chinese, of
one word, or of emoji alone have words too.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from surefit.decision import decide
from surefit.evaluation.metrics import EvaluationResult, evaluate
from surefit.types import TEXT_TYPE, DecisionRule, Examples, FloatArray, Int64Array, LabelSchema

MAJORITY_CLASS = "majority class"
TFIDF_LOGISTIC_REGRESSION = "TF-IDF + logistic regression"

# Thai and Lao, Burmese, Khmer, Japanese kana, Chinese characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD_PATTERN = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]"

_C_GRID = (1.0, 10.0, 100.0)
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
class Baseline:
    """A simple model and how it did on the test rows.

    Attributes:
        name: what it is called in reports.
        result: its figures on the test rows.
        predicted: its answer to each test row, class ids of shape (n,).
        fitted_rows: how many training rows it was fitted on; large data sets are sampled.
        seconds: time from its first row to its last answer.
    """

    name: str
    result: EvaluationResult
    predicted: Int64Array
    fitted_rows: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Its figures as plain values, as they stand in `metrics.json`."""
        return self.result.to_dict() | {"fitted_rows": self.fitted_rows, "seconds": round(self.seconds, 3)}


def fit_baselines(
    train: LabelledExamples, validation: LabelledExamples, test: LabelledExamples, schema: LabelSchema, seed: int
) -> tuple[Baseline, Baseline]:
    """Fits both baselines and judges them on the test rows.

    Args:
        train: rows with at least two classes among them.
        validation: rows that choose the penalty, at least one.
        test: rows to be judged on, at least one.
        schema: the classes of a single-label problem.
        seed: decides which rows stand for a training set of more than 50,000 rows.

    Returns:
        The majority class, then TF-IDF + logistic regression.
    """
    return majority_class(train.targets, test.targets, schema), tfidf_logistic_regression(train, validation, test, schema, seed)


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
    train = _sample(train, _MAX_TRAIN_ROWS, seed)
    validation = _sample(validation, _MAX_VALIDATION_ROWS, seed)
    vectorizer = _vectorizer(len(schema))
    features = vectorizer.fit_transform(train.documents())
    model = _best_model(features, train.targets, vectorizer.transform(validation.documents()), validation.targets)
    probabilities = np.zeros((len(test), len(schema)))
    probabilities[:, model.classes_] = _normalized(model.predict_proba(vectorizer.transform(test.documents())))
    return _judge(TFIDF_LOGISTIC_REGRESSION, test.targets, probabilities, schema, len(train), started)


def _judge(
    name: str, targets: Int64Array, probabilities: FloatArray, schema: LabelSchema, fitted_rows: int, started: float
) -> Baseline:
    predicted = decide(probabilities, schema, DecisionRule())
    seconds = time.perf_counter() - started
    return Baseline(name, evaluate(targets, probabilities, predicted, schema), predicted, fitted_rows, seconds)


def _sample(rows: LabelledExamples, most: int, seed: int) -> LabelledExamples:
    """At most `most` rows at random, one of each class before all others so that none is lost."""
    if len(rows) <= most:
        return rows
    order = np.random.default_rng(seed).permutation(len(rows))
    first_of_class = np.unique(rows.targets[order], return_index=True)[1]
    others = np.delete(order, first_of_class)
    return rows.take(np.concatenate([order[first_of_class], others])[:most])


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


def _best_model(features: Any, targets: Int64Array, validation_features: Any, validation_targets: Int64Array) -> Any:
    """The logistic regression of the grid with the best macro F1 on validation; of equals the more penalised."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    def macro_f1(model: Any) -> float:
        predicted = model.predict(validation_features)
        return float(f1_score(validation_targets, predicted, average="macro", zero_division=0.0))

    with warnings.catch_warnings():
        # Stopped short of its optimum, a baseline is still a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [LogisticRegression(C=c, max_iter=100).fit(features, targets) for c in _C_GRID]
    return max(models, key=macro_f1)


def _normalized(probabilities: NDArray[Any]) -> FloatArray:
    """Rows that sum to 1 in float64 too; the model computes in float32."""
    exact = probabilities.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True), dtype=np.float64)
