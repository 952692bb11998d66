"""Classifiers that tests of inference share."""

from __future__ import annotations

import pandas as pd
import pytest

from learnable_rows import LEARNING, learnable_rows
from surefit.runs.train import train


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_run.load(precision="fp32", threads=1)


@pytest.fixture(scope="module")
def pairs_model(tiny_bert, tmp_path_factory):
    """A model that judges pairs of texts, with the sigmoid head."""
    rows = learnable_rows(60)
    frame = pd.DataFrame(
        {"question": [text[:9] for text, _ in rows], "answer": [text for text, _ in rows], "y": [y for _, y in rows]}
    )
    run = tmp_path_factory.mktemp("runs") / "pairs"
    options = LEARNING | {"epochs": 1, "head": "sigmoid"}
    trained = train(frame, run, model=tiny_bert, text="question", text_pair="answer", label="y", **options)
    return trained.load(precision="fp32", threads=1)
