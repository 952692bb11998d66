"""Models and runs that tests of training share."""

from __future__ import annotations

import pytest
from loop_trials import Trial

from tiny_models import write_tiny_stock


@pytest.fixture(scope="module")
def tiny_distilbert(tmp_path_factory):
    """A tiny encoder that Hugging Face's classes compute."""
    return write_tiny_stock(tmp_path_factory.mktemp("distilbert"), "distilbert")


@pytest.fixture(scope="module")
def whole(tiny_bert, tmp_path_factory):
    """An uninterrupted run and its final state."""
    trial = Trial(tiny_bert, tmp_path_factory.mktemp("whole"))
    return trial, trial.fit()
