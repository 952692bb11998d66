"""Logistic regression on features of any kind: the penalty chosen on held-out rows, probabilities for all classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from surefit.types import FloatArray, Int64Array

# Of the inverse penalty C, for standardised embeddings.
EMBEDDING_C_GRID = (0.01, 0.1, 1.0)

_MOST_ITERATIONS = 100


def best_logistic_regression(features: Any, targets: Int64Array, c_grid: Sequence[float], score: Callable[[Any], float]) -> Any:
    """The multinomial logistic regression with L2 penalty whose C scores best; of equals the more penalised.

    Args:
        features: matrix of shape (n, features), dense or sparse.
        targets: class ids with at least two classes among them, shape (n,).
        c_grid: inverse penalties, rising; of a single one nothing is chosen.
        score: judges a fitted model, by rows that it was not fitted on; higher is better.

    Returns:
        scikit-learn's fitted model.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # Stopped short of its optimum, a simple model is still a simple model.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [LogisticRegression(C=c, max_iter=_MOST_ITERATIONS).fit(features, targets) for c in c_grid]
    return models[0] if len(models) == 1 else max(models, key=score)


def class_probabilities(model: Any, features: Any, classes: int) -> FloatArray:
    """What a fitted model says of rows, zero for classes that it has not seen.

    Args:
        model: scikit-learn's.
        features: matrix of shape (n, features).
        classes: how many there are.

    Returns:
        shape (n, classes); rows sum to 1 in float64 too, though the model may compute in float32.
    """
    exact = model.predict_proba(features).astype(np.float64)
    probabilities = np.zeros((len(exact), classes))
    probabilities[:, model.classes_] = exact / exact.sum(axis=1, keepdims=True)
    return probabilities


def macro_f1_on(features: Any, targets: Int64Array) -> Callable[[Any], float]:
    """Scores a model by macro F1 on held-out rows.

    Args:
        features: matrix of shape (n, features).
        targets: class ids, shape (n,).
    """
    from sklearn.metrics import f1_score

    return lambda model: float(f1_score(targets, model.predict(features), average="macro", zero_division=0.0))


def sample_rows(targets: Int64Array, most: int, seed: int) -> Int64Array:
    """Positions of at most `most` rows: all in their order, or at random, one of each class before all others.

    Args:
        targets: class ids, shape (n,).
        most: how many.
        seed: decides which.
    """
    if len(targets) <= most:
        return np.arange(len(targets))
    order = np.random.default_rng(seed).permutation(len(targets))
    first_of_class = np.unique(targets[order], return_index=True)[1]
    others = np.delete(order, first_of_class)
    return np.concatenate([order[first_of_class], others])[:most]
