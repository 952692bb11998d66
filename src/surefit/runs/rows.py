"""From files or frames to clean, labelled, grouped and split rows, each stage recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from surefit.config import Settings
from surefit.data.clean import BoolArray, Targets, encode_labels, label_schema
from surefit.data.collect import ReadResult
from surefit.data.duplicates import Duplicates, exact_groups, find_duplicates, own_groups
from surefit.data.findings import Finding, by_severity
from surefit.data.leaks import LEAK_KINDS, Leaks, joined
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.data.split import SPLIT_NAMES, SplitName
from surefit.data.text_findings import text_findings
from surefit.progress import Progress
from surefit.runs.earlier import EarlierRun
from surefit.runs.sources import Part, Sources, clean_parts, read_parts, record_stage
from surefit.runs.split import SplitRows, split_parts
from surefit.trace import PipelineRecorder
from surefit.types import SINGLE_LABEL, Examples, Int64Array, LabelSchema, Rejected


@dataclass(frozen=True, eq=False)
class PreparedRows:
    """All that the stages before tokenisation made.

    Attributes:
        schema: the classes.
        splits: train, validation and test.
        reading: what was read from the training data.
        raw: the training data's rows and those of given files as read, by the split's source.
        rejected: rows of all sources not used, with the split that their source is for and its name.
        left_out: those of the training data.
        duplicates: of the training data.
        near_duplicates: of the training data, where texts are not the same but nearly so.
        in_texts: what the audit found in the texts of the training data.
        audited: cleaned rows of the training data, all splits.
        texts_changed: rows of the training data whose text was changed by normalisation.
        leaked, learned_before, leaks: as `surefit.runs.split.SplitResult` has them.
        files: name of the file that each split's rows come from.
    """

    schema: LabelSchema
    splits: dict[SplitName, SplitRows]
    reading: ReadResult
    raw: dict[SplitName, Examples]
    rejected: tuple[tuple[SplitName, str, Rejected], ...]
    left_out: tuple[Rejected, ...]
    duplicates: Duplicates
    near_duplicates: Duplicates
    in_texts: tuple[Finding, ...]
    audited: Examples
    texts_changed: int
    leaked: dict[SplitName, Leaks]
    learned_before: dict[SplitName, BoolArray]
    leaks: dict[str, int | None]
    files: dict[SplitName, str]

    @property
    def repeating(self) -> BoolArray:
        """Which test rows repeat what was learned from, in this run or in the one that is trained on from, shape (n,)."""
        repeating = np.zeros(len(self.splits["test"].targets), dtype=np.bool_)
        if "test" in self.leaked:
            repeating[self.leaked["test"].rows] = True
        if "test" in self.learned_before:
            repeating |= self.learned_before["test"]
        return repeating

    @property
    def leaking(self) -> dict[str, int]:
        """Validation and test rows that repeat what was learned from, by kind; each counts once, as `leaks.csv` lists it."""
        counts = {kind: self.leaks[kind] or 0 for kind in LEAK_KINDS}
        only_before = (np.delete(before, self.leaked[name].rows) for name, before in self.learned_before.items())
        return counts | {"earlier_run": sum(int(rows.sum()) for rows in only_before)}


def prepare_rows(
    sources: Sources, settings: Settings, earlier: EarlierRun | None, recorder: PipelineRecorder, progress: Progress
) -> PreparedRows:
    """Reads, cleans, labels, groups and splits.

    Args:
        sources: where the rows come from.
        settings: how.
        earlier: the run that is trained on from, if there is one: its classes are kept, and rows
            that it has seen stay in the split that they were in.
        recorder: told what each stage did.
        progress: told which stage is under way.

    Raises:
        DataError: a source cannot be read, or its rows cannot be used.
    """
    parts = read_parts(sources, settings, earlier, recorder, progress)
    clean_parts(parts, settings, recorder, progress)
    _separate_ungrouped(parts)
    schema, targets = _label(parts, None if earlier is None else earlier.schema, recorder)
    main = parts["train"]
    groups, duplicates, near_duplicates = _group(parts, targets, recorder, progress)
    in_texts = _audit(parts, recorder, progress)
    found = split_parts(parts, targets, groups, settings, schema, earlier, recorder)
    given = sources.given
    return PreparedRows(
        schema=schema,
        splits=found.splits,
        reading=main.reading,
        raw={name: parts[name if name in given else "train"].reading.examples for name in SPLIT_NAMES},
        rejected=tuple((name, part.name, rejected) for name, part in parts.items() for rejected in part.rejected),
        left_out=tuple(main.rejected),
        duplicates=duplicates,
        near_duplicates=near_duplicates,
        in_texts=in_texts,
        audited=main.examples,
        texts_changed=main.texts_changed,
        leaked=found.leaked,
        learned_before=found.learned_before,
        leaks=found.leaks,
        files={name: parts[name if name in given else "train"].name for name in SPLIT_NAMES},
    )


def _separate_ungrouped(parts: dict[SplitName, Part]) -> None:
    """Rows that belong to nothing, in a column of groups, become groups of their own, over all sources."""
    columns = {name: part.examples.groups for name, part in parts.items() if part.examples.groups is not None}
    for name, groups in zip(columns, own_groups(list(columns.values())) if columns else (), strict=True):
        parts[name].examples = replace(parts[name].examples, groups=groups)


def _label(
    parts: dict[SplitName, Part], schema: LabelSchema | None, recorder: PipelineRecorder
) -> tuple[LabelSchema, dict[SplitName, Targets]]:
    start = time.perf_counter()
    main = parts["train"]
    known_from = main.name if schema is None else "the run that is trained on from, whose classes are kept"
    schema = schema or label_schema(main.examples, SINGLE_LABEL, main.name)
    targets = {name: encode_labels(part.examples, schema, part.name, known_from) for name, part in parts.items()}
    shown = ", ".join(f"{name} = {number}" for number, name in enumerate(schema.id2label[:5]))
    more = f" and {len(schema) - 5} more" if len(schema) > 5 else ""
    rows_in = [len(part.examples) for part in parts.values()]
    record_stage(recorder, "labels", parts, rows_in, main.examples.columns, [f"{shown}{more}"], start, extra=("class id",))
    return schema, targets


def _group(
    parts: dict[SplitName, Part], targets: dict[SplitName, Targets], recorder: PipelineRecorder, progress: Progress
) -> tuple[dict[SplitName, Int64Array], Duplicates, Duplicates]:
    """Groups over all sources together, so that similar texts have the same number everywhere."""
    start = time.perf_counter()
    progress.begin("duplicates", 0)
    everything = reduce(joined, (part.examples for part in parts.values()))
    texts = exact_groups(everything.texts, everything.text_pairs)
    numbers = near_groups(WordSets.of(everything))
    main = parts["train"].examples
    own = slice(len(main))
    duplicates = find_duplicates(texts[own], targets["train"])
    near_duplicates = find_duplicates(numbers[own], targets["train"], texts[own])
    progress.end()
    notes = [f"texts that stand more than once: {duplicates.groups:,} ({duplicates.rows:,} rows)"]
    if duplicates.conflicting_groups:
        notes.append(f"of them under different labels: {duplicates.conflicting_groups:,}")
    notes.append(f"groups of texts that share most words: {near_duplicates.groups:,} ({near_duplicates.rows:,} rows)")
    columns = (*main.columns, "class id")
    rows_in = [len(part.examples) for part in parts.values()]
    record_stage(recorder, "duplicates", parts, rows_in, columns, notes, start, extra=("class id", "group"))
    ends = np.cumsum(rows_in)[:-1]
    return dict(zip(parts, np.split(numbers, ends), strict=True)), duplicates, near_duplicates


def _audit(parts: dict[SplitName, Part], recorder: PipelineRecorder, progress: Progress) -> tuple[Finding, ...]:
    """What is found in the texts of the training data."""
    start, main = time.perf_counter(), parts["train"]
    progress.begin("audit", 0)
    found = by_severity(text_findings(main.examples, main.reading.examples, main.reading.chosen))
    progress.end()
    columns = (*main.examples.columns, "class id", "group")
    rows_in = [len(part.examples) for part in parts.values()]
    notes = [f"{finding.severity}: {finding.sentence}" for finding in found] or ["nothing was found in the texts"]
    record_stage(recorder, "audit", parts, rows_in, columns, notes, start, extra=("class id", "group"))
    return found
