"""Where each file of a run lies, and how files are written: whole or not at all.

This module holds the JSON half of the saved model too, so that whatever only serves an exported
model needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from surefit.errors import RunError, UsageError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunDirectory:
    """The files of one training run.

    Attributes:
        path: the run directory itself.
    """

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def refits(self) -> Path:
        return self.path / "refits"

    @property
    def settings(self) -> Path:
        return self.path / "settings.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def trace(self) -> Path:
        return self.path / "trace.json"

    @property
    def training_log(self) -> Path:
        return self.path / "training_log.jsonl"

    @property
    def audit(self) -> Path:
        return self.path / "audit.json"

    @property
    def rejected(self) -> Path:
        return self.path / "rejected.csv"

    @property
    def splits(self) -> Path:
        return self.path / "splits.csv"

    @property
    def leaks(self) -> Path:
        return self.path / "leaks.csv"

    @property
    def seen_texts(self) -> Path:
        return self.path / "seen_texts.safetensors"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def label_issues(self) -> Path:
        return self.path / "label_issues.csv"

    @property
    def training_rows(self) -> Path:
        return self.path / "training_rows.csv"

    @property
    def training_examples(self) -> Path:
        return self.path / "training_examples.csv"

    @property
    def mistakes(self) -> Path:
        return self.path / "mistakes.csv"

    @property
    def prediction_trace(self) -> Path:
        return self.path / "prediction_trace.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def model_card(self) -> Path:
        return self.path / "README.md"

    @property
    def entries(self) -> tuple[Path, ...]:
        """All files and directories of a run, there or not; the settings, which mark it as a run, come last."""
        results = (self.metrics, self.report, self.model, self.model_card, self.predictions)
        found = (self.mistakes, self.label_issues, self.training_rows, self.training_examples)
        traces = (self.trace, self.prediction_trace)
        preparation = (self.audit, self.rejected, self.splits, self.leaks, self.seen_texts)
        training = (self.refits, self.checkpoints, self.training_log)
        return (*results, *found, *traces, *training, *preparation, self.settings)

    def unfinished(self) -> list[Path]:
        """Temporary files and directories of entries, which only a process that was killed leaves behind."""
        return left_behind(self.path, [entry.name for entry in self.entries])


def left_behind(directory: Path, names: Iterable[str]) -> list[Path]:
    """Temporary files and directories of entries of these names, which only a process that was killed leaves behind."""
    temporary = re.compile(rf"\.({'|'.join(map(re.escape, names))})\.[0-9a-f]{{8}}\.(tmp|old)")
    return [path for path in directory.iterdir() if temporary.fullmatch(path.name)]


def model_directory(path: Path) -> Path:
    """The saved model in `path`, which may be a run directory or the model directory itself."""
    run = RunDirectory(path)
    return run.model if run.model.is_dir() else path


def run_of_model(path: Path) -> RunDirectory:
    """The run of a saved model; `path` may be the run directory or the model directory in it."""
    run = RunDirectory(path)
    return run if run.model.is_dir() else RunDirectory(path.absolute().parent)


def _temporary(path: Path, kind: str = "tmp") -> Path:
    """A name beside a path, such as `left_behind` finds."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{kind}")


@contextmanager
def atomic_writer(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Opens a new file that takes its name only once it is complete and on the disk.

    Args:
        path: the name that the file has at the end; what stood there before is replaced.
        binary: open for bytes instead of UTF-8 text with newlines as they are written.

    Raises:
        OSError: it names the file, and not the temporary one.
    """
    require_room(path.parent)
    made = [place for place in (path.parent, *path.parent.parents) if not place.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with open(
            temporary, "wb" if binary else "w", encoding=None if binary else "utf-8", newline=None if binary else ""
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk says no name, and that one nobody has given
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)
        with suppress(OSError):  # the first that holds something stays, and so do those above it
            for directory in made:
                directory.rmdir()


def output_file(path: Path) -> Path:
    """The file that a name from a user stands for: where it is a symbolic link, what that leads to."""
    return Path(os.path.realpath(path))


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Makes a directory that takes its name only once it is complete and on the disk.

    Args:
        path: the name that the directory has at the end; what stood there before is replaced.

    Yields:
        the directory to write files into.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, replaced = _temporary(path), _temporary(path, "old")
    temporary.mkdir()
    try:
        yield temporary
        for entry in (*temporary.iterdir(), temporary):
            _flush(entry)
        try:
            if path.exists():
                path.rename(replaced)
            temporary.rename(path)
        except BaseException:
            if replaced.exists() and not path.exists():
                replaced.rename(path)
            raise
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _flush(path: Path) -> None:
    """Waits until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_room(directory: Path) -> None:
    """Refuses a directory that cannot be made, since something else stands in its place or above it.

    Raises:
        UsageError: the sentence names what is in the way.
    """
    for place in (directory, *directory.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                what = "a file" if place.exists() else "a link to nothing"
                raise UsageError(f"{place} is {what}, not a directory; name another place to write to")
            return


def require_other_file(written: Path, read: Path) -> None:
    """Refuses to write over a file that is being read.

    Raises:
        UsageError: they are one.
    """
    if os.path.realpath(written) == os.path.realpath(read):
        raise UsageError(f"{written} is the file that is read; name another to write to")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON object, `schema_version` first. NaN is refused, since JSON has none."""
    text = json.dumps({"schema_version": SCHEMA_VERSION} | content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_writer(path) as file:
        file.write(text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RunError: the file is missing, is not JSON, or is not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON, or a number too long
        raise RunError(f"{path} cannot be read as JSON ({type(error).__name__}); it is damaged or not SureFit's") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} holds no JSON object; it is damaged or not SureFit's")
    return content


def read_own_json(path: Path, remedy: str) -> dict[str, Any]:
    """Reads a JSON object that `write_json` wrote.

    Args:
        path: the file.
        remedy: what to do where it is damaged, for the message.

    Raises:
        RunError: the file is missing, damaged, of a newer SureFit, or holds what `write_json` refuses.
    """
    try:
        content = read_json(path)
    except RunError as error:
        raise RunError(f"{error}; {remedy}") from None
    version = content.get("schema_version")
    if type(version) is int and version > SCHEMA_VERSION:
        raise RunError(
            f"{path} was made by a newer SureFit (schema_version {version}, this one reads {SCHEMA_VERSION}); update SureFit"
        )
    if type(version) is not int or version != SCHEMA_VERSION:
        raise RunError(f"{path} has no schema_version that this SureFit reads; it is damaged or not SureFit's; {remedy}")
    try:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise RunError(f"{path} is damaged: it holds a number or a character that no file of SureFit has; {remedy}") from None
    return content


def no_directory(path: Path) -> str:
    """What is wrong with a path that should be a run directory and is a file or nothing."""
    wrong = f"{path} is a file" if path.exists() else f"there is no directory {path}"
    return f"{wrong}; give a run directory such as surefit train makes"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
