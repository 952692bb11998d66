"""A run on a GPU, from the file to the answers."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

import surefit
from gpu import needs_gpu
from learnable_rows import LEARNING, learnable_rows
from surefit.artifacts import RunDirectory
from surefit.progress import Progress
from surefit.runs.finished import open_run

pytestmark = needs_gpu
TEXTS = [text for text, _ in learnable_rows(40, seed=1)]
LABELS = [label for _, label in learnable_rows(40, seed=1)]


@pytest.fixture(scope="module", params=["bf16", "fp32"])
def run(request, tiny_bert, learnable_csv, tmp_path_factory):
    directory = tmp_path_factory.mktemp("gpu") / "run"
    settings = LEARNING | {"device": "cuda", "precision": request.param}
    surefit.train(learnable_csv, run=directory, model=tiny_bert, id="id", **settings)
    return RunDirectory(directory)


def test_it_learns_there(run):
    settings = json.loads(run.settings.read_text(encoding="utf-8"))
    assert settings["machine"]["device"] == "cuda"
    assert settings["machine"]["device_name"]
    metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
    assert metrics["test"]["accuracy"] > 0.8


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_gpu_answers_as_a_cpu_does(run, precision):
    gpu = surefit.load(run.path, device="cuda", precision=precision)
    cpu = surefit.load(run.path, device="cpu", precision="fp32", threads=1)
    np.testing.assert_allclose(gpu.predict_proba(TEXTS), cpu.predict_proba(TEXTS), atol=0.05)
    right = [prediction.label == label for prediction, label in zip(gpu.predict(TEXTS), LABELS, strict=True)]
    assert np.mean(right) > 0.8
    assert "cuda" in gpu.engine_in_words


def test_a_run_on_a_gpu_can_be_traced_there(run):
    assert surefit.load(run.path, device="cuda").trace(TEXTS[0]).label in ("good", "bad")


def test_automatic_precision_takes_what_a_gpu_is_made_for(run):
    assert surefit.load(run.path, device="cuda").hardware.precision == "bf16"


class StopsAfterStep5(Progress):
    def step(self, record, total_steps):
        if record.step == 5:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_goes_on(run, tiny_bert, learnable_csv, tmp_path):
    """Not to the same bytes: on GPUs some sums are taken in no fixed order."""
    whole = open_run(run.path)
    settings = json.loads(run.settings.read_text(encoding="utf-8"))
    options = LEARNING | {"device": "cuda", "precision": settings["machine"]["precision"]}
    with pytest.raises(surefit.Interrupted):
        surefit.train(learnable_csv, tmp_path / "run", model=tiny_bert, id="id", progress=StopsAfterStep5(), **options)
    resumed = surefit.train(learnable_csv, tmp_path / "run", resume=True)
    losses, expected = resumed.trace.training.step_losses, whole.trace.training.step_losses
    assert len(losses) >= 10
    np.testing.assert_allclose(losses[:10], expected[:10], atol=0.05)
