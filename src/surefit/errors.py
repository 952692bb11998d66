"""Every error that SureFit raises on purpose.

    SureFitError
    ├── UsageError          a setting or an argument that cannot be used
    │   └── MissingExtraError   an optional package is needed and not installed
    ├── DataError           a file or its rows cannot be used
    ├── ModelError          a pretrained or saved model cannot be used
    ├── RunError            a run directory is in the way, missing or damaged
    ├── VerdictError        a classifier is not as good as was required
    ├── TrainingError       training cannot go on (loss is not a number, ...)
    └── Interrupted         stopped by the user or the system, resumable

Each message is one sentence or two on one line: what is wrong, where, and what to do.
No message quotes the text of a row. Settings are named as flags: `--max-length` is the keyword argument
`max_length` in Python.
"""

from __future__ import annotations


class SureFitError(Exception):
    """Base of all errors that SureFit raises on purpose.

    Attributes:
        exit_code: what the command line answers to the shell.
    """

    exit_code = 2


class UsageError(SureFitError):
    """A setting or an argument that cannot be used."""


class MissingExtraError(UsageError):
    """An optional package is needed and not installed; the message names the extra."""


class DataError(SureFitError):
    """A file, or the rows in it, cannot be used."""


class ModelError(SureFitError):
    """A pretrained or saved model is missing, damaged, foreign or unsafe to read."""


class RunError(SureFitError):
    """A run directory is in the way, is missing, or lacks a file."""


class VerdictError(SureFitError):
    """A classifier is not as good as was required; the run itself is complete."""

    exit_code = 1


class TrainingError(SureFitError):
    """Training cannot go on, for instance because the loss is not a number."""


class Interrupted(SureFitError):  # noqa: N818 - nothing went wrong
    """Stopped by Ctrl-C, SIGTERM or SIGHUP; what was done is saved and can be resumed."""

    exit_code = 130
