"""Training dynamics: what the passes of training say of the rows that they learn from (Swayamdipta et al. 2020, section 2).

Training answers each row once an epoch, before the step that learns from it, so that nothing is computed once more.
Their equation 1 takes the weights at the end of each epoch; what is kept here, as in their code, is the answer that
was given within the epoch: with dropout, and of rows that the first epoch begins with, by a head that knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surefit.decision import decide, probabilities
from surefit.evaluation.cartography import DataMap, draw_data_map
from surefit.types import SINGLE_LABEL, DecisionRule, Int64Array, LabelSchema


@dataclass(frozen=True, eq=False)
class TrainingDynamics:
    """What each epoch said of each training row; zeros where it was not answered yet. Filled in as training goes.

    Attributes:
        given_probabilities: of the class that the row is given, shape (epochs, n); where a row may have several labels,
            of just those that it is given.
        right: whether what was given would have been decided on, shape (epochs, n).
    """

    given_probabilities: NDArray[np.float32]
    right: NDArray[np.bool_]

    @classmethod
    def blank(cls, epochs: int, rows: int) -> TrainingDynamics:
        """Those of a training that has not begun, of so many epochs at most: 5 bytes a row and epoch."""
        return cls(np.zeros((epochs, rows), dtype=np.float32), np.zeros((epochs, rows), dtype=np.bool_))

    def record(
        self, epoch: int, rows: Int64Array, logits: NDArray[np.float32], targets: NDArray[np.int64], schema: LabelSchema
    ) -> None:
        """Takes what a step said of its rows.

        Args:
            epoch: from 1.
            rows: their positions, shape (m,).
            logits: shape (m, classes).
            targets: class ids, shape (m,), or 0/1 for each class, shape (m, classes).
            schema: the classes.

        Raises:
            ModelError: a logit is not a finite number.
        """
        scores = probabilities(logits, schema.problem_type)
        right = decide(scores, schema, DecisionRule()) == targets
        if schema.problem_type == SINGLE_LABEL:
            given = scores[np.arange(len(rows)), targets]
        else:
            given, right = np.where(targets == 1, scores, 1 - scores).prod(axis=1), right.all(axis=1)
        self.given_probabilities[epoch - 1, rows] = given
        self.right[epoch - 1, rows] = right

    def data_map(self, epochs: int) -> DataMap:
        """The map of the epochs that are complete, at least one."""
        return draw_data_map(self.given_probabilities[:epochs], self.right[:epochs])

    def tensors(self) -> dict[str, Tensor]:
        """All of it, as a checkpoint holds it."""
        return {name: torch.from_numpy(array) for name, array in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TrainingDynamics:
        """What `tensors` gave."""
        return cls(**{name: tensor.numpy() for name, tensor in tensors.items()})
