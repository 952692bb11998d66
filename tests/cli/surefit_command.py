"""Runs the command line: as a program of its own, or in this process where start-up time would add up."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from surefit.cli.main import main

PROGRAM = Path(sys.executable).with_name("surefit")
# What tests say must not depend on the terminal that they are started from.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")} | {
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "100",
    "PYTHONIOENCODING": "utf-8",
}


@dataclass(frozen=True)
class Outcome:
    """What a command answered."""

    status: int
    out: str
    err: str

    def json(self):
        """The one object on standard output, which nothing else may stand beside."""
        assert self.status == 0, self.err
        assert self.out.count("\n") == 1
        content = json.loads(self.out)
        assert next(iter(content)) == "schema_version"
        return content


def run_program(*arguments, stdin=b"", environment=(), **options):
    """Runs the installed command and waits for it."""
    command = [PROGRAM, *map(str, arguments)]
    env = ENVIRONMENT | dict(environment)
    done = subprocess.run(command, input=stdin, capture_output=True, env=env, timeout=120, check=False, **options)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def start_program(*arguments, **options):
    """Starts the installed command."""
    return subprocess.Popen([PROGRAM, *map(str, arguments)], env=ENVIRONMENT, **options)


def run_here(*arguments, stdin=b"", environment=()):
    """Runs the command's own `main` in this process; without `stdin`, standard input is closed."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    kept = sys.argv, sys.stdin, dict(os.environ)
    sys.argv = ["surefit", *map(str, arguments)]
    sys.stdin = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    os.environ.update({"COLUMNS": "100"} | dict(environment))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main()
    finally:
        if sys.stdin is not None:
            sys.stdin.close()
        sys.argv, sys.stdin = kept[:2]
        os.environ.clear()
        os.environ.update(kept[2])
    return Outcome(status, *(_written(stream) for stream in (out, err)))


def _written(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()


def assert_refused(outcome, *fragments):
    """Bad usage or bad input: status 2, nothing on standard output, one line that says why."""
    assert outcome.status == 2, outcome.out + outcome.err
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith("\n")
    assert outcome.err[:-1].isprintable()
    for fragment in fragments:
        assert fragment in outcome.err
