"""How far training has come: all that a resumed run needs besides the weights it saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from surefit.trace import EpochTrace
from surefit.training.dynamics import TrainingDynamics
from surefit.types import Encoding, FloatArray


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The rows to learn from.

    Attributes:
        encodings: one a row.
        targets: class id of each row, shape (n,), or 0/1 for each class, shape (n, classes).
        weights: how much each row counts in the loss, shape (n,).
    """

    encodings: tuple[Encoding, ...]
    targets: NDArray[np.int64]
    weights: FloatArray

    def __post_init__(self) -> None:
        if not len(self.encodings) == len(self.targets) == len(self.weights) > 0:
            raise ValueError("training needs rows, each with one target and one weight")

    def __len__(self) -> int:
        return len(self.encodings)


@dataclass
class TrainingState:
    """How far training has come. It changes with every step.

    Attributes:
        dynamics: what was said of the rows, epoch by epoch.
        step: optimizer steps made in all.
        position: steps made in the epoch that is under way.
        loss_sum: sum of its rows' weighted losses so far.
        weight_sum: sum of its rows' weights so far.
        step_losses: mean loss of each step made.
        epochs: the epochs that are complete.
        best_weights: weights of the best epoch so far, name -> tensor; empty before the first ends.
    """

    dynamics: TrainingDynamics
    step: int = 0
    position: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    step_losses: list[float] = field(default_factory=list)
    epochs: list[EpochTrace] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def keep_weights(self, model: nn.Module) -> None:
        """Copies the model's weights as the best so far."""
        self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}

    def count_step(self, loss_sum: float, weight_sum: float) -> None:
        """Counts one optimizer step with its rows' weighted losses and weights, each summed."""
        self.step += 1
        self.position += 1
        self.loss_sum += loss_sum
        self.weight_sum += weight_sum
        self.step_losses.append(loss_sum / weight_sum)

    def begin_epoch(self) -> None:
        """Sets the figures of the epoch under way to nothing."""
        self.position, self.loss_sum, self.weight_sum = 0, 0.0, 0.0

    def to_dict(self) -> dict[str, Any]:
        """All but the weights and the dynamics, as JSON holds it."""
        content = {name: getattr(self, name) for name in ("step", "position", "loss_sum", "weight_sum", "step_losses")}
        return content | {"epochs": [vars(epoch) for epoch in self.epochs]}

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], best_weights: dict[str, Tensor], dynamics: TrainingDynamics
    ) -> TrainingState:
        """The state that `to_dict` described, with what was saved beside it."""
        epochs = [EpochTrace(**epoch) for epoch in content["epochs"]]
        return cls(**dict(content) | {"epochs": epochs, "best_weights": best_weights, "dynamics": dynamics})
