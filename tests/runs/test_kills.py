"""Runs that are killed for real, anywhere, and gone on with: they end with the same bytes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
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

# The program, which kills itself before it renames or removes something in the run directory for the nth time.
# Python tells its audit hooks of each of these just before it is done.
KILLED_AT_A_PLACE = """
import os, signal, sys
from pathlib import Path
from surefit.__main__ import main

run, left = sys.argv.pop(1), int(sys.argv.pop(1))

def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "shutil.rmtree") and str(arguments[0]).startswith(run):
        print(event, Path(arguments[event == "os.rename"]).name, file=sys.stderr)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(count)
sys.exit(main())
"""
# Checkpoints at the ends of epochs alone, since there is a handful of places in each.
OPTIONS_AT_A_PLACE = OPTIONS | {"checkpoint_every": "1000"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "reviews.csv", ("text", "label"), learnable_rows(200))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One whose shape the compiled loops take, where they were built."""
    return write_tiny_bert(tmp_path_factory.mktemp("model"), hidden_size=64, num_attention_heads=2)


def arguments(data, run, model, options):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in (options | {"model": model}).items()]
    return ["train", data, "--run", run.path, "--resume", "--quiet", *flags]


@pytest.fixture(scope="module")
def undisturbed(data, model, tmp_path_factory):
    """The run that nobody disturbs, and the seconds that its process took."""
    run = RunDirectory(tmp_path_factory.mktemp("whole") / "run")
    start = time.monotonic()
    subprocess.run([COMMAND, *arguments(data, run, model, OPTIONS)], check=True, capture_output=True)
    return run, time.monotonic() - start


@pytest.fixture(scope="module")
def whole(undisturbed):
    return undisturbed[0]


def steps_of(run):
    """Steps in the log, and thereby whether training has begun."""
    return run.training_log.read_bytes().count(b'"event": "step"') if run.training_log.exists() else 0


def under_way(run):
    """What a killed run was at."""
    if any(run.checkpoints.glob("*.tmp")):
        return "checkpoint"
    steps = steps_of(run)
    return "preparation" if steps == 0 else "step" if steps < STEPS else "conclusion"


def wait_for_step(process, run, step, *, in_checkpoint):
    """Waits until the run has made a step that is new, and writes a checkpoint if that is asked for, or has ended."""
    begun = steps_of(run)
    while process.poll() is None:
        writing = any(run.checkpoints.glob("*.tmp"))
        if steps_of(run) > max(begun, step) and (writing or not in_checkpoint):
            return
        time.sleep(0.001)


def kill_somewhere(data, run, model, seconds, chance):
    """Starts or resumes the run and kills it: at any time, at any step, or while a checkpoint is being written.

    Args:
        data: the rows.
        run: the run.
        model: the model.
        seconds: how long an undisturbed process takes.
        chance: draws the moment.

    Returns:
        "finished" where the run was faster, else what was under way.
    """
    moment = chance.choice(("time", "time", "step", "checkpoint"))
    command = [COMMAND, *arguments(data, run, model, OPTIONS)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            if moment == "time":
                time.sleep(chance.random() * seconds)
            else:
                wait_for_step(process, run, chance.randrange(STEPS), in_checkpoint=moment == "checkpoint")
                time.sleep(chance.random() * 0.01)
            process.kill()
            if process.wait() == -signal.SIGKILL:
                return under_way(run)
            assert process.returncode == 0, process.communicate()[1]
            return "finished"
        finally:
            process.kill()


def run_to_place(data, run, model, place):
    """Starts the run and kills it at a place, counted from 0; says how it ended and the places that it came to."""
    rest = map(str, arguments(data, run, model, OPTIONS_AT_A_PLACE))
    command = [sys.executable, "-c", KILLED_AT_A_PLACE, str(run.path), str(place), *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()


def newest_checkpoint(run):
    (checkpoint,) = run.checkpoints.iterdir()
    return checkpoint


def assert_same(run, expected):
    """Weights, optimizer state, predictions and metrics to the last bit, timings excepted; and nothing left behind."""
    assert {path.name for path in run.path.iterdir()} == {path.name for path in expected.path.iterdir()}
    assert (run.model / "model.safetensors").read_bytes() == (expected.model / "model.safetensors").read_bytes()
    for name in ("predictions", "training_rows", "label_issues", "splits", "audit", "rejected", "seen_texts"):
        assert getattr(run, name).read_bytes() == getattr(expected, name).read_bytes()
    assert without_timings(run.metrics) == without_timings(expected.metrics)
    found, wanted = newest_checkpoint(run), newest_checkpoint(expected)
    assert found.name == wanted.name
    for name in ("model.safetensors", "optimizer.safetensors", "best.safetensors", "dynamics.safetensors"):
        assert (found / name).read_bytes() == (wanted / name).read_bytes()
    assert without_timings(found / "state.json")["state"] == without_timings(wanted / "state.json")["state"]
    log = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    assert [line["step"] for line in log if line["event"] == "step"] == list(range(1, STEPS + 1))


def kill_and_resume(data, run, model, seconds, seed):
    """Kills a run several times, lets it end, and says what the kills came into."""
    chance = random.Random(seed)
    killed = []
    for _ in range(chance.randint(1, MOST_KILLS_OF_A_RUN)):
        killed.append(kill_somewhere(data, run, model, seconds, chance))
        if killed[-1] == "finished":
            break
    train(data, run.path, resume=True, model=model, **OPTIONS)
    return killed


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_ends_like_one_that_nobody_disturbs(data, model, undisturbed, tmp_path, seed):
    whole, seconds = undisturbed
    run = RunDirectory(tmp_path / "run")
    killed = kill_and_resume(data, run, model, seconds, seed)
    assert killed[0] != "finished"
    assert_same(run, whole)


@pytest.mark.slow
def test_fifty_killed_runs_end_like_one_that_nobody_disturbs(data, model, undisturbed, tmp_path):
    whole, seconds = undisturbed
    killed = Counter()
    for seed in range(100, 150):
        run = RunDirectory(tmp_path / f"run-{seed}")
        killed.update(kill_and_resume(data, run, model, seconds, seed))
        assert_same(run, whole)
    assert min(killed["checkpoint"], killed["step"]) >= 10, killed
    assert killed["preparation"] >= 5, killed


@pytest.fixture(scope="module")
def places(data, model, whole, tmp_path_factory):
    """The places of a run, as "os.rename settings.json" for what takes this name."""
    run = RunDirectory(tmp_path_factory.mktemp("places") / "run")
    status, places = run_to_place(data, run, model, -1)
    assert status == 0, places
    assert_same(run, whole)
    return places


def kill_at_place_and_resume(data, run, model, place):
    status, reached = run_to_place(data, run, model, place)
    assert (status, len(reached)) == (-signal.SIGKILL, place + 1)
    train(data, run.path, resume=True, model=model, **OPTIONS_AT_A_PLACE)


@pytest.mark.parametrize(
    "place",
    [
        "os.rename settings.json",  # the directory is not marked as a run yet
        "os.rename step-00000080",
        "os.rename model",
        "shutil.rmtree step-00000080",  # the last thing of all: the run is complete, but not tidied up
    ],
)
def test_a_run_killed_beside_a_rename_ends_like_one_that_nobody_disturbs(data, model, whole, places, tmp_path, place):
    run = RunDirectory(tmp_path / "run")
    kill_at_place_and_resume(data, run, model, places.index(place))
    assert_same(run, whole)


@pytest.mark.slow
def test_runs_killed_before_and_after_each_rename_end_like_one_that_nobody_disturbs(data, model, whole, places, tmp_path):
    renamed = {place.removeprefix("os.rename ") for place in places if place.startswith("os.rename ")}
    assert renamed >= {path.name for path in whole.entries} - {"checkpoints", "refits", "training_log.jsonl"}
    for place in range(len(places)):
        run = RunDirectory(tmp_path / f"run-{place}")
        kill_at_place_and_resume(data, run, model, place)
        assert_same(run, whole)
