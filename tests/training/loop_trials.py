"""Training runs of tiny models, with what they report kept."""

from __future__ import annotations

import numpy as np
import torch

from learnable_rows import learnable_rows
from surefit.config import ModelSettings, TrainingSettings
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.training.checkpoint import Checkpoints
from surefit.training.loop import Plan, ValidationFigures, fit
from surefit.training.state import TrainingRows
from surefit.types import SINGLE_LABEL, LabelSchema

SCHEMA = LabelSchema(SINGLE_LABEL, ("bad", "good"))
SETTINGS = TrainingSettings(epochs=3, learning_rate=1e-3, batch_size=4, patience=3)
FP32 = Hardware(torch.device("cpu"), "fp32", 1)
BF16 = Hardware(torch.device("cpu"), "bf16", 1)


class Watcher(Progress):
    def __init__(self):
        self.steps, self.epochs, self.notes = [], [], []

    def step(self, record, total_steps):
        self.steps.append(record)

    def epoch(self, epoch):
        self.epochs.append(epoch)

    def note(self, sentence):
        self.notes.append(sentence)


def loaded(model, hardware=FP32, **how):
    """The checkpoint, ready to compute; `plain=True` for the plain modules."""
    pretrained = load_pretrained(str(model), SCHEMA, ModelSettings(), seed=0)
    pretrained.classifier.prepare(hardware, **how)
    return pretrained


def rows_for(tokenizer, n=20):
    """Learnable rows, each of another weight."""
    texts, labels = zip(*learnable_rows(n), strict=True)
    targets = np.array([SCHEMA.label2id[label] for label in labels])
    return TrainingRows(tuple(tokenizer.encode(texts)), targets, np.linspace(0.5, 2.0, n))


def weights_of(classifier):
    return {name: tensor.numpy().tobytes() for name, tensor in classifier.state_dict().items()}


class Trial:
    """One training run of a tiny model; `scores` are the macro F1 that its validations are to find."""

    def __init__(
        self, model, directory, *, settings=SETTINGS, seed=0, scores=(0.5, 0.6, 0.7), progress=None, hardware=FP32, n=20, **how
    ):
        self.directory = directory
        pretrained = loaded(model, hardware, **how)
        self.classifier = pretrained.classifier
        self.progress = progress or Watcher()
        self.weights_seen = []
        self._scores = iter(scores)
        self.rows = rows_for(pretrained.tokenizer, n)
        self._plan = Plan(settings, seed, majority_share=0.5)
        self._checkpoints = Checkpoints(directory, self.progress)

    def _validate(self):
        self.weights_seen.append(self.weights())
        return ValidationFigures(0.5, 0.5, next(self._scores))

    def weights(self):
        return weights_of(self.classifier)

    def saved(self):
        """The bytes of the tensors in the newest checkpoint."""
        newest = max(self.directory.glob("step-*"))
        return {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}

    def fit(self):
        return fit(
            self.classifier,
            self.rows,
            self._plan,
            evaluate=self._validate,
            checkpoints=self._checkpoints,
            progress=self.progress,
        )
