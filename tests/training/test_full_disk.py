"""A disk that takes no more ends in one line, and leaves what was there."""

import resource
import subprocess
import sys
from pathlib import Path

SMALL = 60_000  # bytes that a file may have: settings fit, weights do not


def test_a_checkpoint_that_does_not_fit_is_one_line(learnable_csv, tiny_bert, tmp_path):
    command = [Path(sys.executable).with_name("surefit"), "train", learnable_csv, "--run", tmp_path / "run"]
    flags = ["--model", tiny_bert, "--epochs", "1", "--precision", "fp32", "--threads", "1", "--quiet"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))  # noqa: E731
    done = subprocess.run([*command, *flags], capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot take a checkpoint" in done.stderr
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
