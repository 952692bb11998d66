"""Rows whose labels may be wrong: confident learning (Northcutt, Jiang and Chuang 2021, JAIR 70) on frozen embeddings.

Each row is judged by a logistic regression that has not learned from it, nor from a row of its duplicate group:
cross-validation in five folds, on embeddings of the model before it is fine-tuned, so that it costs minutes. From
these probabilities cleanlab counts the labels that are confidently contradicted (the off-diagonal of the confident
joint, section 3.1), and takes that many rows, those with the lowest probability of the class that was given (their
self-confidence, section 3.2).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surefit.evaluation.logistic_regression import (
    EMBEDDING_C_GRID,
    best_logistic_regression,
    class_probabilities,
    sample_rows,
)
from surefit.types import FloatArray, Int64Array, LabelSchema

_FOLDS = 5
# A judge that agrees with fewer labels is often wrong itself.
_SOUND_JUDGE = 0.9
# So is one that is wrong about more than this share of what always naming the most frequent class is wrong about.
_SOUND_ERRORS = 0.5
_MAX_ROWS = 100_000
_MAX_LEARNED_ROWS = 30_000
# Rows times classes: 160 MB as float64, of which cleanlab makes a few copies.
_MAX_PROBABILITIES = 20_000_000
# Stands for a probability of zero, which has no logarithm.
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """Rows whose labels may be wrong, the most doubtful first.

    How far to believe them depends on how well the classes can be told apart by embeddings alone, which `agreement`
    shows beside `largest_share`: where the judge itself is often wrong, or little better than always naming the most
    frequent class, most of what it doubts is right.

    Attributes:
        positions: of the rows among those that were given, shape (m,).
        given: class ids of their labels, shape (m,).
        suggested: class ids of the most probable other class, shape (m,).
        given_probabilities: out-of-sample probability of the given class, which is also the score: rising, shape (m,).
        suggested_probabilities: the same of the suggested class, shape (m,).
        judged: how many rows were judged; large data sets are sampled, and rows are left out whose class has fewer
            than five rows or stands in one duplicate group alone.
        agreement: share of the judged rows whose given class is the most probable one; 0 where none was judged.
        largest_share: share of the judged rows that are of the most frequent class; 0 where none was judged.
    """

    positions: Int64Array
    given: Int64Array
    suggested: Int64Array
    given_probabilities: FloatArray
    suggested_probabilities: FloatArray
    judged: int
    agreement: float
    largest_share: float

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def sentence(self) -> str:
        """What was found and how far to believe it, for people."""
        if not len(self):
            return f"no label of {self.judged:,} that were judged is doubtful"
        found = f"{len(self):,} of {self.judged:,} labels may be wrong; label_issues.csv ranks them"
        judge = f"the simple model that doubts them agrees with {self.agreement:.0%} of all labels"
        if 1 - self.agreement > _SOUND_ERRORS * (1 - self.largest_share):
            judge += f", of which {self.largest_share:.0%} are of one class"
        elif self.agreement >= _SOUND_JUDGE:
            return f"{found} ({judge})"
        return f"{found} ({judge}, so that many of them are right)"


def find_label_issues(
    embeddings: NDArray[np.float32], targets: Int64Array, schema: LabelSchema, groups: Int64Array, seed: int
) -> LabelIssues:
    """Finds labels that the other rows contradict, in single-label problems.

    Args:
        embeddings: of all rows, by a model that has learned from none of the labels, shape (n, hidden).
        targets: class ids, shape (n,).
        schema: the classes.
        groups: number of each row's duplicate group, shape (n,); a group is never learned from and judged at once.
        seed: decides the folds, and which rows are judged of more than 100,000 (fewer with more than 200 classes).

    Returns:
        the issues; none where no class can be told from another.
    """
    sample = np.sort(sample_rows(targets, min(_MAX_ROWS, _MAX_PROBABILITIES // len(schema)), seed))
    features = embeddings[sample]
    probabilities = out_of_sample_probabilities(features, targets[sample], len(schema), groups[sample], seed)
    judged = np.isfinite(probabilities[:, 0])
    positions, probabilities = sample[judged], probabilities[judged]
    given = targets[positions]
    doubtful = _confidently_contradicted(given, probabilities)
    rows = max(len(given), 1)
    return _issues(
        positions[doubtful],
        given[doubtful],
        probabilities[doubtful],
        judged=len(given),
        agreement=int(np.count_nonzero(probabilities.argmax(axis=1) == given)) / rows,
        largest_share=int(np.bincount(given, minlength=1).max()) / rows,
    )


def out_of_sample_probabilities(
    features: NDArray[np.float32], targets: Int64Array, classes: int, groups: Int64Array, seed: int
) -> FloatArray:
    """What a cross-validated logistic regression on standardised features says of each row.

    The penalty is the one with the lowest log loss on the first fold.

    Args:
        features: shape (n, features).
        targets: class ids, shape (n,).
        classes: how many there are.
        groups: shape (n,); a group stands in one fold.
        seed: decides the folds, and which rows are learned from where the other folds have more than 30,000.

    Returns:
        shape (n, classes); a row is NaN where its class has fewer rows than there are folds, or none outside its own.
    """
    from sklearn.preprocessing import StandardScaler

    folds = _deal_into_folds(targets, groups, seed)
    large_enough = np.bincount(targets, minlength=classes)[targets] >= _FOLDS
    probabilities = np.full((len(targets), classes), np.nan)
    c_grid: tuple[float, ...] = EMBEDDING_C_GRID
    for fold in range(_FOLDS):
        others = np.flatnonzero(folds != fold)
        learned = others[sample_rows(targets[others], _MAX_LEARNED_ROWS, seed)]
        held_out = np.flatnonzero((folds == fold) & large_enough & np.isin(targets, targets[learned]))
        if len(held_out) == 0 or len(np.unique(targets[learned])) < 2:
            continue
        scaler = StandardScaler().fit(features[learned])
        unseen = scaler.transform(features[held_out])

        def log_likelihood(model: object, unseen: NDArray[np.float32] = unseen, own: Int64Array = targets[held_out]) -> float:
            likely = class_probabilities(model, unseen, classes)[np.arange(len(own)), own]
            return float(np.log(np.maximum(likely, _SMALLEST_PROBABILITY)).mean())

        model = best_logistic_regression(scaler.transform(features[learned]), targets[learned], c_grid, log_likelihood)
        c_grid = (model.C,)
        probabilities[held_out] = class_probabilities(model, unseen, classes)
    return probabilities


def _deal_into_folds(targets: Int64Array, groups: Int64Array, seed: int) -> Int64Array:
    """Fold of each row, shape (n,): groups in random order, dealt round class by class, so that each fold gets its share.

    scikit-learn's StratifiedGroupKFold does the same and more evenly where groups are large, but weighs each group
    against each fold: 18 seconds for 100,000 rows of 150 classes, nearly all of them groups of one.
    """
    names, first, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    dealt = shuffled[np.argsort(targets[first[shuffled]], kind="stable")]
    fold_of_group = np.empty(len(names), dtype=np.int64)
    fold_of_group[dealt] = np.arange(len(names)) % _FOLDS
    return fold_of_group[group_of_row]


def _confidently_contradicted(given: Int64Array, probabilities: FloatArray) -> Int64Array:
    """Places of the rows with label issues, the most doubtful first."""
    if len(np.unique(given)) < 2:
        return np.empty(0, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in notebooks, one of its progress bars warns that it could look nicer
        # With pandas and more, it takes most of a second to import.
        from cleanlab.filter import find_label_issues as cleanlab_issues

    issues = cleanlab_issues(
        given, probabilities, filter_by="low_self_confidence", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return np.asarray(issues, dtype=np.int64)


def _issues(
    positions: Int64Array,
    given: Int64Array,
    probabilities: FloatArray,
    *,
    judged: int,
    agreement: float,
    largest_share: float,
) -> LabelIssues:
    """The issues among doubtful rows: those for which another class is more probable than the given one."""
    rows = np.arange(len(positions))
    given_probabilities = probabilities[rows, given]
    others = probabilities.copy()
    others[rows, given] = -1.0
    suggested = others.argmax(axis=1)
    suggested_probabilities = others[rows, suggested]
    contradicted = suggested_probabilities > given_probabilities
    return LabelIssues(
        positions[contradicted],
        given[contradicted],
        suggested[contradicted],
        given_probabilities[contradicted],
        suggested_probabilities[contradicted],
        judged,
        agreement,
        largest_share,
    )
