"""Two processes never train in one run directory at the same time."""

import subprocess
import sys

import pytest

from learnable_rows import LEARNING
from surefit.errors import RunError
from surefit.runs.lock import RunLock
from surefit.runs.train import train

HOLD = """
import sys, time
from pathlib import Path
from surefit.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks on directories")


@pytest.fixture
def held_elsewhere(tmp_path):
    """A directory that another process trains in, and that process."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield tmp_path, process
        process.kill()


def test_a_directory_in_use_is_refused_until_its_process_ends(held_elsewhere):
    directory, process = held_elsewhere
    with pytest.raises(RunError, match=r"another process is training in .*; wait for it, or name another with --run"):
        RunLock(directory).take()
    process.kill()
    process.wait()
    with RunLock(directory):
        pass


def test_a_lock_is_taken_once_there_is_a_directory_and_given_back(tmp_path):
    lock = RunLock(tmp_path / "run")
    lock.take()
    (tmp_path / "run").mkdir()
    lock.take()
    with pytest.raises(RunError, match="another process"):
        RunLock(tmp_path / "run").take()
    lock.release()
    with RunLock(tmp_path / "run"):
        pass


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_run_that_is_being_trained_is_left_alone(trained_run, learnable_csv, tiny_bert, how):
    before = {path: path.read_bytes() for path in trained_run.directory.rglob("*") if path.is_file()}
    with RunLock(trained_run.directory), pytest.raises(RunError, match="another process is training in"):
        train(learnable_csv, trained_run.directory, model=tiny_bert, id="id", **LEARNING, **{how: True})
    assert {path: path.read_bytes() for path in trained_run.directory.rglob("*") if path.is_file()} == before
