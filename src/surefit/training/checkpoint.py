"""Checkpoints: written beside, flushed, hashed, renamed; the newest good one is found again.

A checkpoint is a directory `step-00000123` with the weights, the optimizer's state, the best
weights so far, what was said of the training rows, and `state.json`, which names the SHA-256 of
each of them and of its own content. It takes its name only once it is complete, so that a stop at
any moment leaves the one before intact.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from surefit.artifacts import SCHEMA_VERSION, remove, sha256_of
from surefit.errors import RunError
from surefit.interruption import stop_afterwards
from surefit.progress import Progress
from surefit.training.dynamics import TrainingDynamics
from surefit.training.optimizer import AdamW
from surefit.training.state import TrainingState

_KEPT = 2  # the newest, and the one before in case the newest is damaged
_MODEL, _OPTIMIZER, _BEST = "model.safetensors", "optimizer.safetensors", "best.safetensors"
_DYNAMICS, _STATE = "dynamics.safetensors", "state.json"


class CheckpointInterval:
    """How long it is since the last checkpoint. When one is written changes no arithmetic.

    Args:
        every: steps, as "500", or minutes, as "10m".
        step: steps made so far.
    """

    def __init__(self, every: str, step: int) -> None:
        number = float(every.removesuffix("m"))
        self._steps, self._seconds = (math.inf, 60 * number) if every.endswith("m") else (number, math.inf)
        self.begin(step)

    def begin(self, step: int) -> None:
        """A checkpoint is written after this step."""
        self._step, self._time = step, time.monotonic()

    def has_steps(self, step: int) -> bool:
        """Whether steps were made since."""
        return step > self._step

    def is_over(self, step: int) -> bool:
        """Whether the next one is due after this step."""
        return step - self._step >= self._steps or time.monotonic() - self._time >= self._seconds


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: where they lie.
        progress: told of damaged checkpoints that are passed over.
    """

    def __init__(self, directory: Path, progress: Progress) -> None:
        self._directory = directory
        self._progress = progress

    def found(self) -> list[Path]:
        """Complete checkpoints, newest first.

        Raises:
            RunError: the directory cannot be read.
        """
        names: list[str] = []
        with _reading(self._directory), suppress(FileNotFoundError):  # `glob` would take other errors for no files
            names = os.listdir(self._directory)
        return [self._directory / name for name in sorted(names, reverse=True) if re.fullmatch("step-[0-9]{8}", name)]

    def save(self, state: TrainingState, model: nn.Module, optimizer: AdamW) -> Path:
        """Writes a checkpoint and removes those that are no longer needed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()
        target = self._directory / f"step-{state.step:08d}"
        temporary, replaced = (self._directory / f"{target.name}.{secrets.token_hex(4)}.tmp" for _ in range(2))
        temporary.mkdir()
        try:
            _write_tensors(temporary / _MODEL, dict(model.state_dict()))
            _write_tensors(temporary / _OPTIMIZER, optimizer.tensors())
            _write_tensors(temporary / _BEST, state.best_weights)
            _write_tensors(temporary / _DYNAMICS, state.dynamics.tensors())
            hashes = {file.name: sha256_of(file) for file in sorted(temporary.iterdir())}
            content = {"schema_version": SCHEMA_VERSION, "files": hashes, "state": state.to_dict()}
            content |= {"sha256": _content_hash(content)}
            _write_flushed(temporary / _STATE, json.dumps(content, allow_nan=False).encode())
            _flush_directory(temporary)
            try:
                if target.exists():  # the same step again, or one that was passed over as damaged
                    target.rename(replaced)
                temporary.rename(target)
            except BaseException:
                if replaced.exists() and not target.exists():
                    replaced.rename(target)
                raise
            _flush_directory(self._directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)
        for passed_over in self.found():
            if passed_over.name > target.name:  # damaged, or training would have gone on from there
                remove(passed_over)
        self._remove_all_but(_KEPT)
        return target

    def keep_newest(self) -> None:
        """Removes all checkpoints but the newest: what a finished run needs to be compared with another."""
        self._remove_unfinished()
        self._remove_all_but(1)

    def _remove_unfinished(self) -> None:
        for unfinished in self._directory.glob("*.tmp"):  # of a process that was killed
            remove(unfinished)

    def _remove_all_but(self, count: int) -> None:
        for old in self.found()[count:]:
            remove(old)

    def restore(self, model: nn.Module, optimizer: AdamW) -> TrainingState | None:
        """Loads the newest good checkpoint into model and optimizer; None where there is none.

        A checkpoint that is proven to be damaged is passed over and said so through `progress.note`; the
        next one that is saved will replace it.

        Raises:
            RunError: a checkpoint cannot be read, so that it may be whole; or it is whole, but of a model of
                another shape.
        """
        for checkpoint in self.found():
            try:
                with _reading(checkpoint):
                    tensors, state = _verified(checkpoint)
            except _DamageError as damage:
                self._progress.note(f"passing over a damaged checkpoint: {damage}")
                continue
            try:
                model.load_state_dict(tensors[_MODEL])
                optimizer.load_tensors(tensors[_OPTIMIZER])
            except (RuntimeError, ValueError):  # torch says by the first that names or shapes differ
                raise RunError(
                    f"{checkpoint} is of another model, or of another version of SureFit; start a new run with --run"
                ) from None
            return state
        if self.found():
            self._progress.note("no checkpoint is whole; training starts from the beginning")
        return None


class _DamageError(Exception):
    """A checkpoint is proven not to be what was written."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Ends what reads a path where the system cannot read it, which says nothing of what stands there."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RunError(f"{path} cannot be read ({reason}); nothing was removed, so resume again once it can be read") from None


def _verified(checkpoint: Path) -> tuple[dict[str, dict[str, Tensor]], TrainingState]:
    """What a checkpoint holds.

    Raises:
        _DamageError: a file is missing, or is not what was written.
        OSError: a file cannot be read.
        RunError: it is whole, but of another version.
    """
    content = _verified_state(checkpoint / _STATE)
    names = {_MODEL, _OPTIMIZER, _BEST, _DYNAMICS}
    if content["schema_version"] != SCHEMA_VERSION or content["files"].keys() != names:
        raise RunError(f"{checkpoint} is of another version of SureFit; resume with that one")
    files = content["files"]
    for name, expected_hash in files.items():
        file = checkpoint / name
        _require_file(file)
        if sha256_of(file) != expected_hash:
            raise _DamageError(f"{file} was changed after it was written")
    with stop_afterwards():
        tensors = {name: load_file(checkpoint / name) for name in files}
    dynamics = TrainingDynamics.from_tensors(tensors[_DYNAMICS])
    return tensors, TrainingState.from_dict(content["state"], tensors[_BEST], dynamics)


def _verified_state(file: Path) -> dict[str, Any]:
    _require_file(file)
    written = file.read_bytes()
    try:
        content = json.loads(written)
        whole = json.dumps(content).encode() == written  # "1E5" would read as "1e5" does
        whole = whole and content.pop("sha256") == _content_hash(content)
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):  # no JSON, no object, or no hash in it
        whole = False
    if not whole:
        raise _DamageError(f"{file} was changed after it was written")
    return dict(content)


def _require_file(file: Path) -> None:
    try:
        there = stat.S_ISREG(file.stat().st_mode)  # `is_file` would take some errors for an answer
    except (FileNotFoundError, NotADirectoryError):
        there = False
    if not there:
        raise _DamageError(f"{file} is missing")


def _content_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # a full disk, for instance; the checkpoint before stays as it is
        raise RunError(f"{path.parent.parent} cannot take a checkpoint: {' '.join(str(error).split())[:200]}") from None
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _write_flushed(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
