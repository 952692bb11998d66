"""Runs that are killed for real, anywhere, and gone on with: they end with the same bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from learnable_rows import LEARNING, learnable_rows, without_timings, write_table
from surefit.artifacts import RunDirectory
from surefit.runs.train import train
from tiny_models import write_tiny_bert

COMMAND = Path(sysconfig.get_path("scripts")) / "surefit"
# A checkpoint every other step: a kill at random often comes in the middle of one.
OPTIONS = LEARNING | {"epochs": 3, "batch_size": 4, "checkpoint_every": "2", "precision": "bf16", "max_batch_tokens": 64}
STEPS = 3 * 40
MOST_KILLS_OF_A_RUN = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "reviews.csv", ("text", "label"), learnable_rows(200))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One whose shape the compiled loops take, where they were built."""
    return write_tiny_bert(tmp_path_factory.mktemp("model"), hidden_size=64, num_attention_heads=2)


@pytest.fixture(scope="module")
def whole(data, model, tmp_path_factory):
    """The run that nobody disturbs."""
    return RunDirectory(train(data, tmp_path_factory.mktemp("whole") / "run", model=model, **OPTIONS).directory)


def steps_of(run):
    """Steps in the log, and thereby whether training has begun."""
    return run.training_log.read_bytes().count(b'"event": "step"') if run.training_log.exists() else 0


def kill_somewhere(data, run, model, chance):
    """Starts or resumes the run and kills it: at a step drawn at random, or while a checkpoint is being written.

    Returns:
        "finished" where the run was faster, else what was under way: "checkpoint" or "step".
    """
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in (OPTIONS | {"model": model}).items()]
    command = [COMMAND, "train", data, "--run", run.path, "--resume", "--quiet", *flags]
    begun, last = steps_of(run), chance.randrange(STEPS)
    in_checkpoint = chance.random() < 0.5
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None:
                writing = any(run.checkpoints.glob("*.tmp"))
                if steps_of(run) > max(begun, last) and (writing or not in_checkpoint):
                    time.sleep(chance.random() * 0.01)
                    process.kill()
                    process.wait()
                    return "checkpoint" if any(run.checkpoints.glob("*.tmp")) else "step"
            assert process.returncode == 0, process.communicate()[1]
            return "finished"
        finally:
            process.kill()


def newest_checkpoint(run):
    (checkpoint,) = run.checkpoints.iterdir()
    return checkpoint


def assert_same(run, expected):
    """Weights, optimizer state, predictions and metrics to the last bit, timings excepted."""
    assert (run.model / "model.safetensors").read_bytes() == (expected.model / "model.safetensors").read_bytes()
    for name in ("predictions", "splits"):
        assert getattr(run, name).read_bytes() == getattr(expected, name).read_bytes()
    assert without_timings(run.metrics) == without_timings(expected.metrics)
    found, wanted = newest_checkpoint(run), newest_checkpoint(expected)
    assert found.name == wanted.name
    for name in ("model.safetensors", "optimizer.safetensors", "best.safetensors"):
        assert (found / name).read_bytes() == (wanted / name).read_bytes()
    assert without_timings(found / "state.json")["state"] == without_timings(wanted / "state.json")["state"]
    log = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    assert [line["step"] for line in log if line["event"] == "step"] == list(range(1, STEPS + 1))


def kill_and_resume(data, run, model, seed):
    """Kills a run several times, lets it end, and says where the kills came."""
    chance = random.Random(seed)
    killed = []
    for _ in range(chance.randint(1, MOST_KILLS_OF_A_RUN)):
        killed.append(kill_somewhere(data, run, model, chance))
        if killed[-1] == "finished":
            break
    if killed[-1] != "finished":
        train(data, run.path, resume=True, model=model, **OPTIONS)
    return killed


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_ends_like_one_that_nobody_disturbs(data, model, whole, tmp_path, seed):
    run = RunDirectory(tmp_path / "run")
    killed = kill_and_resume(data, run, model, seed)
    assert killed[0] != "finished"
    assert_same(run, whole)


@pytest.mark.slow
def test_fifty_killed_runs_end_like_one_that_nobody_disturbs(data, model, whole, tmp_path):
    killed = []
    for seed in range(100, 150):
        run = RunDirectory(tmp_path / f"run-{seed}")
        killed += kill_and_resume(data, run, model, seed)
        assert_same(run, whole)
    assert killed.count("checkpoint") >= 10, killed
    assert killed.count("step") >= 10, killed
