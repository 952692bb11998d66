"""Runs with the compiled loops and without them: the same answers, and each goes on as it began."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import surefit
from learnable_rows import LEARNING, learnable_rows, read_table, without_timings, write_table
from processor import needs_compiled_loops
from surefit.artifacts import RunDirectory, read_json
from surefit.errors import Interrupted
from surefit.progress import Progress
from surefit.runs.train import train
from tiny_models import write_tiny_bert

pytestmark = needs_compiled_loops

OPTIONS = LEARNING | {"epochs": 2}
STOP = 60  # of eighty steps, forty in each epoch
TRAIN = "import json, sys; from surefit.runs.train import train; train(**json.loads(sys.argv[1]))"
# And how far probabilities may move.
PRECISIONS = {"fp32": 1e-5, "bf16": 0.02}
PREDICT = f"""
import json, sys, surefit
run, texts = json.loads(sys.argv[1])
loaded = [surefit.load(run, threads=1, precision=precision) for precision in {list(PRECISIONS)}]
print(json.dumps([[one.engine_in_words, one.predict_proba(texts).tolist()] for one in loaded]))
"""


class Notes(Progress):
    def __init__(self):
        self.sentences = []

    def note(self, sentence):
        self.sentences.append(sentence)


class Stops(Progress):
    def step(self, record, total_steps):
        if record.step == STOP:
            raise KeyboardInterrupt


def in_another_process(arguments, package=None, **environment):
    """What a process of Python's says that has SureFit from the directory of a package, if one is given."""
    path = {} if package is None else {"PYTHONPATH": str(package)}
    outcome = subprocess.run(
        [sys.executable, *arguments], env=os.environ | path | environment, capture_output=True, text=True, timeout=120
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout, outcome.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "reviews.csv", ("text", "label"), learnable_rows(200))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A BERT whose widths the loops fit."""
    return write_tiny_bert(tmp_path_factory.mktemp("model"), num_attention_heads=2)


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory):
    """Directory of a SureFit for which no loops were built."""
    package = tmp_path_factory.mktemp("unbuilt")
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(Path(surefit.__file__).parent, package / "surefit", ignore=ignored)
    return package


@pytest.fixture(scope="module")
def with_loops(data, model, tmp_path_factory):
    """A run with the loops."""
    return RunDirectory(train(data, tmp_path_factory.mktemp("runs") / "with", model=model, **OPTIONS).directory)


@pytest.fixture(scope="module")
def without_loops(data, model, unbuilt, tmp_path_factory):
    """A run without them."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "without")
    options = OPTIONS | {"data": str(data), "run": str(run.path), "model": str(model)}
    in_another_process(["-c", TRAIN, json.dumps(options)], unbuilt)
    return run


def interrupted(data, model, path):
    """A run with the loops that was stopped in its second epoch."""
    with pytest.raises(Interrupted):
        train(data, path, model=model, progress=Stops(), **OPTIONS)
    return RunDirectory(path)


def same_result(run, expected):
    assert (run.model / "model.safetensors").read_bytes() == (expected.model / "model.safetensors").read_bytes()
    assert without_timings(run.metrics) == without_timings(expected.metrics)


def test_runs_record_whether_they_took_them(with_loops, without_loops):
    assert read_json(with_loops.settings)["machine"]["compiled_loops"] is True
    assert read_json(without_loops.settings)["machine"]["compiled_loops"] is False


def test_runs_learn_the_same_with_them_and_without(with_loops, without_loops):
    """Their sums differ in the last bits, which some steps of training make larger."""
    found, expected = (read_json(run.metrics)["test"] for run in (with_loops, without_loops))
    assert found["loss"] == pytest.approx(expected["loss"], abs=0.01)
    losses = [np.array(read_json(run.trace)["training"]["step_losses"]) for run in (with_loops, without_loops)]
    assert np.abs(losses[0] - losses[1]).max() < 0.01


def test_predictions_are_the_same_without_them(with_loops, data):
    texts = [row["text"] for row in read_table(data)]
    output, _ = in_another_process(["-c", PREDICT, json.dumps([str(with_loops.path), texts])], ATEN_CPU_CAPABILITY="avx2")
    for (precision, most), (said, expected) in zip(PRECISIONS.items(), json.loads(output), strict=True):
        classifier = surefit.load(with_loops.path, threads=1, precision=precision)
        assert f"computed in {precision} on cpu with 1 thread by compiled loops, up to" in classifier.engine_in_words
        assert f"computed in {precision} on cpu with 1 thread by torch, up to" in said
        assert np.abs(classifier.predict_proba(texts) - expected).max() < most


def test_a_run_goes_on_with_them_as_it_began(with_loops, data, model, tmp_path):
    run, notes = interrupted(data, model, tmp_path / "run"), Notes()
    train(data, run.path, resume=True, progress=notes)
    assert notes.sentences == []
    same_result(run, with_loops)


def test_a_run_that_began_without_them_goes_on_without(without_loops, unbuilt, data, model, tmp_path):
    """To the byte, though they are there now."""
    run = RunDirectory(tmp_path / "run")
    program = f"""
import json, sys
from surefit.errors import Interrupted
from surefit.progress import Progress
from surefit.runs.train import train
class Stops(Progress):
    def step(self, record, total_steps):
        if record.step == {STOP}:
            raise KeyboardInterrupt
try:
    train(progress=Stops(), **json.loads(sys.argv[1]))
except Interrupted:
    print("interrupted")
"""
    options = OPTIONS | {"data": str(data), "run": str(run.path), "model": str(model)}
    assert in_another_process(["-c", program, json.dumps(options)], unbuilt)[0] == "interrupted\n"
    notes = Notes()
    train(data, run.path, resume=True, progress=notes)
    assert notes.sentences == []
    assert read_json(run.settings)["machine"]["compiled_loops"] is False
    same_result(run, without_loops)


def test_a_run_that_began_with_them_and_finds_none_says_that_it_goes_on_otherwise(unbuilt, data, model, tmp_path):
    run = interrupted(data, model, tmp_path / "run")
    command = ["-m", "surefit", "train", str(data), "--run", str(run.path), "--resume"]
    _, errors = in_another_process(command, unbuilt)
    said = "resuming will not be exact: compiled loops, compiled loops sha256 changed since the run began"
    assert said in " ".join(errors.split())
    assert run.metrics.exists()
