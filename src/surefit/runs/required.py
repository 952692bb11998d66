"""Whether a run is as good as was required of it."""

from __future__ import annotations

from surefit.errors import UsageError, VerdictError
from surefit.evaluation.judgement import GOOD
from surefit.runs.finished import TrainedRun


def check_required(grade: str | None) -> None:
    """Refuses what cannot be required.

    Raises:
        UsageError: it is neither "good" nor None.
    """
    if grade not in (None, GOOD):
        raise UsageError(f"--require must be {GOOD!r}, got {grade!r}")


def require_verdict(run: TrainedRun, grade: str | None) -> None:
    """Refuses a run of another verdict.

    Args:
        run: a finished run.
        grade: "good", or None where nothing is required.

    Raises:
        VerdictError: its verdict is another; the message has the first reason.
    """
    verdict = run.metrics["verdict"]
    if grade is not None and verdict["grade"] != grade:
        raise VerdictError(f"the verdict on {run.directory} is {verdict['grade']}, not {grade}: {verdict['reasons'][0]}")
