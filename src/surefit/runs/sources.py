"""The sources of a run's rows, and their first two stages: read, then cleaned."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surefit.config import Settings
from surefit.data.clean import clean, drop_small_classes, leave_out_classes
from surefit.data.collect import NoUsableRowsError, ReadResult
from surefit.data.split import SPLIT_NAMES, SplitName
from surefit.data.trained import read_as_trained
from surefit.errors import DataError
from surefit.progress import Progress
from surefit.runs.earlier import EarlierRun
from surefit.trace import STAGE_SENTENCES, PipelineRecorder, StageTrace
from surefit.types import Examples, Rejected


@dataclass(frozen=True)
class Sources:
    """Where the rows come from: paths, or frames with named columns.

    Attributes:
        data: rows to train on; validation and test rows are split from it unless given.
        validation: rows to choose the best epoch by, used as given.
        test: rows for the final figures, used as given.
    """

    data: Any
    validation: Any = None
    test: Any = None

    @property
    def given(self) -> tuple[SplitName, ...]:
        """The splits that come from files of their own."""
        return tuple(name for name in SPLIT_NAMES[1:] if getattr(self, name) is not None)

    def of(self, name: SplitName) -> Any:
        """The source of a split's rows."""
        return getattr(self, name) if name in self.given else self.data


def source_name(source: Any) -> str:
    """What messages call a source."""
    return Path(source).name if isinstance(source, str | Path) else "the data frame"


@dataclass
class Part:
    """One source on its way: what was read of it, and what is left."""

    name: str
    reading: ReadResult
    examples: Examples
    texts_changed: int = 0
    rejected: list[Rejected] = field(default_factory=list)


def read_parts(
    sources: Sources, settings: Settings, earlier: EarlierRun | None, recorder: PipelineRecorder, progress: Progress
) -> dict[SplitName, Part]:
    start = time.perf_counter()
    columns: Mapping[str, str] = {} if earlier is None else earlier.columns
    parts: dict[SplitName, Part] = {}
    for name in ("train", *sources.given):
        progress.begin(f"read {source_name(sources.of(name))}", 0)
        try:
            reading = read_as_trained(sources.of(name), settings.read, columns, labelled=True, given_beside=name != "train")
        except NoUsableRowsError as error:
            error.advise("surefit audit DATA --rejected FILE writes each with line and reason")
            raise
        if name == "train":
            columns = reading.chosen  # given files are read as the training data are
        parts[name] = Part(source_name(sources.of(name)), reading, reading.examples, rejected=list(reading.rejected))
    progress.end()
    said = [f"{part.name}: {note}" for part in parts.values() for note in part.reading.notes]
    if earlier is not None and (change := earlier.change_of_kind(columns)):
        said.append(change)
    for note in said:
        progress.note(note)
    notes = []
    for part in parts.values():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in part.reading.rejected_by_reason().items())
        left = f", {len(part.rejected):,} rejected ({reasons})" if part.rejected else ""
        notes.append(f"{part.name}: {part.reading.records:,} records{left}")
    rows_in = [part.reading.records for part in parts.values()]
    record_stage(recorder, "read", parts, rows_in, parts["train"].reading.columns, [*notes, *said], start)
    return parts


def clean_parts(parts: dict[SplitName, Part], settings: Settings, recorder: PipelineRecorder, progress: Progress) -> None:
    start = time.perf_counter()
    progress.begin("clean", 0)
    rows_in = [len(part.examples) for part in parts.values()]
    for part in parts.values():
        cleaned = clean(part.examples)
        part.examples, part.texts_changed = cleaned.examples, cleaned.texts_changed
    notes = [f"texts changed: {sum(part.texts_changed for part in parts.values()):,}"]
    minimum = settings.split.min_rows_per_class
    if minimum is not None:
        kept = drop_small_classes(parts["train"].examples, minimum)
        if len(kept.examples) == 0:
            raise DataError(f"no class of {parts['train'].name} has {minimum} rows; lower --min-rows-per-class")
        for name, part in parts.items():
            of_part = kept if name == "train" else leave_out_classes(part.examples, kept.left_out)
            part.examples = of_part.examples
            part.rejected.extend(of_part.rejected)
            if len(part.examples) == 0:
                raise DataError(f"{part.name} has no row of a class that is left; lower --min-rows-per-class")
        if kept.left_out:
            notes.append(f"{len(kept.left_out)} classes with fewer than {minimum} rows left out")
    progress.end()
    record_stage(recorder, "clean", parts, rows_in, parts["train"].examples.columns, notes, start)


def record_stage(
    recorder: PipelineRecorder,
    stage: str,
    parts: dict[SplitName, Part],
    rows_in: list[int],
    columns_in: tuple[str, ...],
    notes: list[str],
    start: float,
    extra: tuple[str, ...] = (),
) -> None:
    rows_out = sum(len(part.examples) for part in parts.values())
    columns_out = (*parts["train"].examples.columns, *extra)
    seconds = time.perf_counter() - start
    recorder.add(
        StageTrace(
            stage, STAGE_SENTENCES[stage], sum(rows_in), columns_in, rows_out, columns_out, tuple(notes), seconds=seconds
        )
    )
