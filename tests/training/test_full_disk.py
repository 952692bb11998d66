"""A disk that takes no more ends in one line, and leaves what was there."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from learnable_rows import LEARNING
from surefit.artifacts import RunDirectory
from surefit.errors import Interrupted
from surefit.progress import Progress
from surefit.runs.train import train

SMALL = 60_000  # bytes that a file may have: settings fit, weights do not
OPTIONS = LEARNING | {"epochs": 2}


class StopsInTheSecondEpoch(Progress):
    def step(self, record, total_steps):
        if record.epoch == 2:
            raise KeyboardInterrupt  # as one that does not wait for a checkpoint


def on_a_full_disk(data, run, model, *flags):
    """Trains where no file may be as large as weights are, and says what was answered."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    command = [Path(sys.executable).with_name("surefit"), "train", data, "--run", run.path, "--model", model, "--quiet"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))  # noqa: E731
    return subprocess.run([*command, *options, *flags], capture_output=True, text=True, preexec_fn=limit, check=False)


def content_of(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def assert_said_in_one_line(done):
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot take a checkpoint" in done.stderr


def test_a_checkpoint_that_does_not_fit_is_one_line(learnable_csv, tiny_bert, tmp_path):
    run = RunDirectory(tmp_path / "run")
    assert_said_in_one_line(on_a_full_disk(learnable_csv, run, tiny_bert))
    assert not list(run.checkpoints.iterdir())


def test_the_checkpoint_before_stays_and_the_run_goes_on_once_there_is_room(learnable_csv, tiny_bert, tmp_path):
    whole = RunDirectory(train(learnable_csv, tmp_path / "whole", model=tiny_bert, **OPTIONS).directory)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(Interrupted):
        train(learnable_csv, run.path, model=tiny_bert, progress=StopsInTheSecondEpoch(), **OPTIONS)
    before = content_of(run.checkpoints)
    assert len({path.parts[0] for path in before}) == 1
    assert_said_in_one_line(on_a_full_disk(learnable_csv, run, tiny_bert, "--resume"))
    assert content_of(run.checkpoints) == before
    resumed = train(learnable_csv, run.path, resume=True)
    assert resumed.metrics["training"]["steps"] > 0
    assert content_of(run.model)[Path("model.safetensors")] == content_of(whole.model)[Path("model.safetensors")]
    assert run.predictions.read_bytes() == whole.predictions.read_bytes()
