"""What is trained on what."""

from __future__ import annotations

from dataclasses import dataclass

from surefit.config import Settings
from surefit.evaluation.requests import DecisionRequest
from surefit.model.hardware import Hardware
from surefit.model.pretrained import Pretrained
from surefit.runs.rows import PreparedRows
from surefit.runs.tokens import EncodedRows


@dataclass(frozen=True, eq=False)
class Job:
    """All that training and evaluation need, made by the stages before them.

    Attributes:
        settings: all settings in force.
        rows: the rows of each split, with their labels.
        encoded: the same rows as token ids.
        pretrained: the classifier to be fine-tuned, and its tokenizer.
        hardware: what to compute on.
        request: what is asked of the decision rule.
    """

    settings: Settings
    rows: PreparedRows
    encoded: EncodedRows
    pretrained: Pretrained
    hardware: Hardware
    request: DecisionRequest
