"""Taking possession of a run directory without ever destroying what is not a run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from surefit.artifacts import RunDirectory, no_directory, output_file, read_json, remove, require_other_file, require_room
from surefit.errors import RunError, UsageError

# What a settings.json of SureFit's always has, and those of other programs hardly.
_MARKS = {"schema_version", "settings", "base_model", "data", "versions", "machine"}


def default_run_path(source: str) -> Path:
    """`runs/NAME-TIME` for data of a name such as "reviews.csv"."""
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(source).stem) or "data"
    return Path("runs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def check_run(run: RunDirectory, *, resume: bool, overwrite: bool) -> None:
    """Refuses a directory that is in the way, before any work is done.

    One that holds nothing but what a process left that was killed before it had marked its run is free.

    Raises:
        RunError: it exists and neither resume nor overwrite was asked for, or it is no run.
    """
    if resume and overwrite:
        raise RunError("--resume and --overwrite exclude each other")
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"{run.path} is a file; name a directory with --run")
    require_room(run.path)
    if not run.path.exists() or set(run.path.iterdir()) <= set(run.unfinished()):
        return
    if not _is_run(run):
        raise RunError(f"{run.path} exists and is not a run of SureFit; name another directory with --run")
    if not resume and not overwrite:
        raise RunError(f"{run.path} exists; go on with --resume, replace it with --overwrite, or name another with --run")


def require_run(path: Path) -> None:
    """Refuses a path that can be no run, since it is nothing or a file.

    Raises:
        RunError: it is no directory.
    """
    if not path.is_dir():
        raise RunError(no_directory(path))


def require_writable(path: Path, read: Path | None = None) -> None:
    """Refuses a file that cannot or must not be written, before any work is done.

    Args:
        path: the file to write.
        read: the file that is read, if any.

    Raises:
        UsageError: it is the file that is read, or a directory or a device, or lies where no directory can be.
        RunError: it belongs to a run.
    """
    if read is not None:
        require_other_file(path, read)
    file = output_file(path)
    if file.is_dir():
        raise UsageError(f"{path} is a directory; name a file")
    if os.path.lexists(file) and not file.is_file():
        raise UsageError(f"{path} is no regular file; name another to write to")
    require_room(file.parent)
    require_no_run_file(path)


def require_no_run_file(path: Path) -> None:
    """Refuses to write over a file of a run, or into its model or checkpoints.

    Args:
        path: the file that is asked for, there or not.

    Raises:
        RunError: it belongs to a run.
    """
    real = Path(os.path.realpath(path))
    for parent in real.parents:
        run = RunDirectory(parent)
        if any(real.is_relative_to(entry) for entry in run.entries) and _is_run(run, damaged=False):
            raise RunError(f"{path} is a file of the run {parent}; name another to write to")
        # A model that was copied out of its run, or one whose run has lost its mark.
        if (parent / "surefit.json").is_file():
            raise RunError(f"{path} lies in the saved model {parent}; name another file to write to")


def require_other_model(run: RunDirectory, model: str) -> None:
    """Refuses to replace the very run whose model is trained on.

    Args:
        run: the run to be replaced.
        model: the pretrained model, as `--model` names it.

    Raises:
        RunError: they are one.
    """
    if os.path.realpath(Path(model).expanduser()) in (os.path.realpath(run.path), os.path.realpath(run.model)):
        raise RunError(f"--overwrite would destroy {run.path}, the run to train on from; name another directory with --run")


def require_data_outside(run: RunDirectory, sources: Iterable[Any]) -> None:
    """Refuses data that are files of the run itself, since it would replace them.

    Args:
        run: the run to be made.
        sources: paths, or frames, which are in memory.

    Raises:
        RunError: a path is the run's own, or a name cannot be written down.
    """
    paths = [Path(source) for source in sources if isinstance(source, str | Path)]
    own = [Path(os.path.realpath(entry)) for entry in run.entries]
    for path in paths:
        if any(Path(os.path.realpath(path)).is_relative_to(entry) for entry in own):
            raise RunError(f"{path} is a file of the run {run.path}, which would replace it; name another run with --run")
    for path in (run.path, *paths):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode("utf-8", "backslashreplace").decode()
            raise RunError(f"the name {shown} is not UTF-8, so that it cannot be recorded; rename it") from None


def claim_run(run: RunDirectory, *, overwrite: bool) -> None:
    """Creates the directory; with `overwrite`, the run that `check_run` found there is removed.

    Only what belongs to a run is removed: anything else that was put beside it stays, and so do the
    settings, which mark it as a run until those of the new one take their place.
    """
    if overwrite:
        for entry in run.entries:
            if entry != run.settings:
                remove(entry)
    run.path.mkdir(parents=True, exist_ok=True)


def _is_run(run: RunDirectory, *, damaged: bool | None = None) -> bool:
    """Whether a directory is marked as a run.

    Args:
        run: the directory.
        damaged: the answer where its mark cannot be read, which is an error when not given.
    """
    try:
        return run.settings.is_file() and read_json(run.settings).keys() >= _MARKS
    except RunError:
        if damaged is None:
            raise
        return damaged
