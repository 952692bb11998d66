"""The figures of a classifier on labelled rows, computed by scikit-learn.

Precision, recall and F1 of a class are 0 where they would divide by zero. A row that the model
abstains from is not right and is missed by its class, but is no mistake of another: accuracy and
recall count it, precision and the confusion matrix do not. Averages run, as by
scikit-learn's default, over the classes that occur in the truth or in the predictions: a class of
the schema that a test file never mentions cannot be judged on it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from surefit.decision import ABSTAINED_ID
from surefit.errors import DataError
from surefit.types import MULTI_LABEL, FloatArray, Int64Array, LabelSchema, ProblemType

ConfusionMatrix = list[list[int]] | list[list[list[int]]]


@dataclass(frozen=True)
class AveragedFigures:
    """Precision, recall and F1, averaged over classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassFigures:
    """Precision, recall and F1 of one class.

    Attributes:
        support: rows that truly are of the class.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class EvaluationResult:
    """How a classifier did on n labelled rows.

    Attributes:
        accuracy: share of all rows decided exactly right (for several labels: the whole set right).
        macro: averages in which every class counts the same.
        weighted: averages in which a class counts by its support.
        per_class: figures by class name, in the order of the class ids.
        confusion_matrix: rows of class i decided as class j, shape (classes, classes). For
            several labels one matrix a class, shape (classes, 2, 2), "no" before "yes". Rows are
            the truth; rows that the model abstains from are left out.
        n: number of rows.
        answered: how many of them the model did not abstain from.
        loss: log loss (cross-entropy in nats) a row; for several labels a row and class.
    """

    accuracy: float
    macro: AveragedFigures
    weighted: AveragedFigures
    per_class: dict[str, ClassFigures]
    confusion_matrix: ConfusionMatrix
    n: int
    answered: int
    loss: float

    def __post_init__(self) -> None:
        if not 0 <= self.answered <= self.n:
            raise ValueError(f"answered must be between 0 and n, got {self.answered} of {self.n}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the same names, as they stand in `metrics.json`."""
        return asdict(self)


def evaluate(targets: Int64Array, probabilities: FloatArray, predicted: Int64Array, schema: LabelSchema) -> EvaluationResult:
    """Compares what was decided with the truth.

    Args:
        targets: the truth, class ids of shape (n,) for single label, else 0/1 of shape
            (n, classes).
        probabilities: shape (n, classes); the log loss is theirs.
        predicted: what `surefit.decision.decide` made of them, in the form of the targets;
            `ABSTAINED_ID` where the model abstains.
        schema: the classes.

    Returns:
        The figures over all n rows.

    Raises:
        DataError: there is no row.
    """
    if len(targets) == 0:
        raise DataError("there are no rows to evaluate on; give a file with at least one labelled row")
    # scikit-learn takes a second to import; most commands never evaluate.
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    truth, answers, labels = _as_scikit_learn_reads(targets, predicted, schema)
    figures = precision_recall_fscore_support(truth, answers, labels=labels, average=None, zero_division=0.0)
    return EvaluationResult(
        accuracy=float(accuracy_score(truth, answers)),
        macro=_average(truth, answers, labels, "macro"),
        weighted=_average(truth, answers, labels, "weighted"),
        per_class={
            name: ClassFigures(float(precision), float(recall), float(f1), int(support))
            for name, precision, recall, f1, support in zip(schema.id2label, *figures, strict=True)
        },
        confusion_matrix=_confusion_matrix(truth, answers, labels, schema),
        n=len(targets),
        answered=int(np.count_nonzero(predicted != ABSTAINED_ID)) if predicted.ndim == 1 else len(targets),
        loss=log_loss(targets, probabilities, schema.problem_type),
    )


def _as_scikit_learn_reads(
    targets: Int64Array, predicted: Int64Array, schema: LabelSchema
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Targets, predictions and the labels to report: one 0/1 column alone is a binary problem there."""
    if schema.problem_type == MULTI_LABEL and len(schema) == 1:
        return targets.ravel(), predicted.ravel(), np.array([1])
    return targets, predicted, np.arange(len(schema))


def _average(targets: Int64Array, predicted: Int64Array, labels: Int64Array, average: str) -> AveragedFigures:
    from sklearn.metrics import precision_recall_fscore_support

    if targets.ndim == 1:
        occurring = np.intersect1d(labels, np.union1d(targets, predicted))
    else:
        occurring = np.flatnonzero(targets.any(axis=0) | predicted.any(axis=0))
    if len(occurring) == 0:  # several labels allowed, none true and none predicted
        return AveragedFigures(0.0, 0.0, 0.0)
    precision, recall, f1, _ = precision_recall_fscore_support(
        targets, predicted, labels=occurring, average=average, zero_division=0.0
    )
    return AveragedFigures(float(precision), float(recall), float(f1))


def _confusion_matrix(targets: Int64Array, predicted: Int64Array, labels: Int64Array, schema: LabelSchema) -> ConfusionMatrix:
    from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

    count = multilabel_confusion_matrix if schema.problem_type == MULTI_LABEL else confusion_matrix
    matrix: ConfusionMatrix = count(targets, predicted, labels=labels).tolist()
    return matrix


def log_loss(targets: Int64Array, probabilities: FloatArray, problem_type: ProblemType) -> float:
    """Cross-entropy in nats a row; for several labels a row and class.

    Args:
        targets: the truth, class ids of shape (n,) for single label, else 0/1 of shape (n, classes).
        probabilities: shape (n, classes).
        problem_type: which of the two.
    """
    from sklearn.metrics import log_loss as cross_entropy

    if problem_type == MULTI_LABEL:
        return float(cross_entropy(targets.ravel(), probabilities.ravel(), labels=[0, 1]))
    return float(cross_entropy(targets, probabilities, labels=np.arange(probabilities.shape[1])))


def row_log_losses(targets: Int64Array, probabilities: FloatArray, problem_type: ProblemType) -> FloatArray:
    """What each row adds to `log_loss`, shape (n,); their mean is the figure. Arguments as there."""
    tiny = np.finfo(np.float64).eps  # as scikit-learn clips
    clipped = np.clip(probabilities, tiny, 1 - tiny)
    if problem_type == MULTI_LABEL:
        return np.asarray(-np.log(np.where(targets == 1, clipped, 1 - clipped)).mean(axis=1))
    return np.asarray(-np.log(clipped[np.arange(len(targets)), targets]))
