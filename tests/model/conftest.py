"""A saved model that tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from saved_models import TWO, trained

from surefit.model.pretrained import save_classifier
from surefit.types import DecisionRule


@pytest.fixture(scope="module")
def saved_run(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a saved model in it."""
    run = tmp_path_factory.mktemp("run")
    loaded = trained(tiny_bert, TWO, "sigmoid")
    rule = DecisionRule(1.7, (0.5, 0.6))
    save_classifier(
        run / "model", loaded.classifier, loaded.tokenizer, rule, base_model=loaded.source, facts={"fingerprint": "abc"}
    )
    return run
