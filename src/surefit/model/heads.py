"""What stands on top of the encoder: how many logits there are, and their loss.

Whatever the head, the rest of the product sees one logit a class. The sigmoid head of two classes
has one logit z, the log-odds of the second class, which is presented as the equal pair [0, z]:

    softmax([0, z]) = [1 - sigmoid(z), sigmoid(z)]
    cross_entropy([0, z], 1) = -log sigmoid(z)       = BCE(z, 1)
    cross_entropy([0, z], 0) = -log (1 - sigmoid(z)) = BCE(z, 0)

so that its loss, probabilities, decision and saved form are those of two logits.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from surefit.errors import UsageError
from surefit.types import SINGLE_LABEL, LabelSchema, ProblemType

Head = Literal["softmax", "sigmoid"]


def choose_head(schema: LabelSchema, asked: str | None) -> Head:
    """The head for these labels: what was asked for, else softmax, or sigmoid for several labels a row.

    Args:
        schema: the classes.
        asked: "softmax", "sigmoid" or None.

    Raises:
        UsageError: the head asked for does not fit the labels.
    """
    single = schema.problem_type == SINGLE_LABEL
    if asked is None:
        return "softmax" if single else "sigmoid"
    if asked == "sigmoid" and single and len(schema) != 2:
        raise UsageError(f"--head sigmoid has one logit for two classes, but there are {len(schema)}; use --head softmax")
    if asked == "softmax" and not single:
        raise UsageError("--head softmax gives each row one class, but rows have several labels; use --head sigmoid")
    return "sigmoid" if asked == "sigmoid" else "softmax"


def has_one_logit(schema: LabelSchema, head: Head) -> bool:
    """Whether the head is the one logit of two classes."""
    return schema.problem_type == SINGLE_LABEL and head == "sigmoid"


def logit_count(schema: LabelSchema, head: Head) -> int:
    """Outputs of the head's last linear layer."""
    return 1 if has_one_logit(schema, head) else len(schema)


def present_logits(outputs: Tensor, schema: LabelSchema, head: Head) -> Tensor:
    """Outputs of the last linear layer as one logit a class.

    Args:
        outputs: shape (rows, logit_count), any floating type.
        schema: the classes.
        head: which head made them.

    Returns:
        logits, shape (rows, classes), float32.
    """
    logits = outputs.float()
    return functional.pad(logits, (1, 0)) if has_one_logit(schema, head) else logits


def two_rows(parameter: Tensor) -> Tensor:
    """The one row of a sigmoid head's weight or bias as the equal two rows: zero, and itself."""
    return torch.cat([torch.zeros_like(parameter), parameter])


def one_row(parameter: Tensor) -> Tensor:
    """The opposite of `two_rows`: only the difference of the two rows counts."""
    return parameter[1:] - parameter[:1]


def weighted_loss_sum(logits: Tensor, targets: Tensor, weights: Tensor, problem_type: ProblemType) -> Tensor:
    """Sum over the rows of weight times loss; dividing by the sum of all weights is left to the caller.

    The loss of a row is the cross-entropy of its class or, for several labels a row, the mean over
    the classes of the binary cross-entropy.

    Args:
        logits: shape (rows, classes).
        targets: class ids, shape (rows,), int64; or 0 and 1 for each class, shape (rows, classes).
        weights: shape (rows,), float32.
        problem_type: says which.

    Returns:
        a scalar, float32.
    """
    logits = logits.float()
    if problem_type == SINGLE_LABEL:
        losses = functional.cross_entropy(logits, targets, reduction="none")
    else:
        losses = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").mean(dim=1)
    return (losses * weights).sum()
