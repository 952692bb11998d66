"""From files or frames to clean, labelled, grouped and split rows, each stage recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from surefit.config import Settings
from surefit.data.clean import Targets, clean, drop_small_classes, encode_labels, label_schema, leave_out_classes
from surefit.data.collect import NoUsableRowsError, ReadResult
from surefit.data.duplicates import Duplicates, exact_groups, find_duplicates, merged_groups
from surefit.data.leaks import LEAK_KINDS, Leaks, find_leaks, joined
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.data.split import SPLIT_NAMES, Split, SplitName, split, summarize
from surefit.data.time_split import instants, split_by_time
from surefit.data.trained import read_as_trained
from surefit.errors import DataError
from surefit.progress import Progress
from surefit.runs.earlier import EarlierRun
from surefit.runs.leaks import leak_warnings
from surefit.runs.seen import NEVER
from surefit.trace import GIVEN_SPLIT_SENTENCES, STAGE_SENTENCES, PipelineRecorder, StageTrace
from surefit.types import SINGLE_LABEL, Examples, Int64Array, LabelSchema, Rejected


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


@dataclass(frozen=True, eq=False)
class SplitRows:
    """The rows of one split.

    Attributes:
        examples: cleaned rows.
        targets: class ids, shape (n,), or 0/1 for each class, shape (n, classes).
        groups: rows with the same or nearly the same text share a number, shape (n,).
    """

    examples: Examples
    targets: Targets
    groups: Int64Array


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
        audited: cleaned rows of the training data, all splits.
        texts_changed: rows of the training data whose text was changed by normalisation.
        leaked: the test rows that repeat training or validation rows, and the validation rows that
            repeat training rows; none unless files were given or a run is trained on from, since
            no group of similar texts stands in two splits else.
        leaks: how many they are by kind, "exact" and "near"; "earlier_run" counts those whose text
            the run that is trained on from has learned from, None where that is not known.
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
    audited: Examples
    texts_changed: int
    leaked: dict[SplitName, Leaks]
    leaks: dict[str, int | None]
    files: dict[SplitName, str]


@dataclass
class _Part:
    """One source on its way: what was read of it, and what is left."""

    name: str
    reading: ReadResult
    examples: Examples
    texts_changed: int = 0
    rejected: list[Rejected] = field(default_factory=list)


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
    parts = _read(sources, settings, earlier, recorder, progress)
    _clean(parts, settings, recorder, progress)
    schema, targets = _label(parts, None if earlier is None else earlier.schema, recorder)
    main = parts["train"]
    groups, duplicates, near_duplicates = _group(parts, targets, recorder, progress)
    start, given = time.perf_counter(), sources.given
    if main.examples.groups is not None:
        groups["train"] = merged_groups(groups["train"], _numbers_of(main.examples.groups))
    dealt, how = _split(main, targets["train"], groups["train"], settings, schema, given)
    dealt, kept = _keep_earlier_split(dealt, main, earlier, given)
    how += [f"{kept:,} rows stay in the split that the earlier run had them in"] if kept else []
    splits: dict[SplitName, SplitRows] = {}
    for name in SPLIT_NAMES:
        source: SplitName = name if name in given else "train"
        rows = np.arange(len(parts[source].examples)) if name in given else dealt.rows(name)
        splits[name] = SplitRows(parts[source].examples.take(rows), targets[source][rows], groups[source][rows])
    _require_every_class(splits, schema, main.name)
    leaked = _find_leaked(splits) if given or earlier is not None else {}
    leaks: dict[str, int | None] = {kind: sum(found.counts[kind] for found in leaked.values()) for kind in LEAK_KINDS}
    leaks["earlier_run"] = _count_learned_before(splits, earlier)
    _record_split(splits, schema, given, how, leaks, recorder, start)
    return PreparedRows(
        schema=schema,
        splits=splits,
        reading=main.reading,
        raw={name: parts[name if name in given else "train"].reading.examples for name in SPLIT_NAMES},
        rejected=tuple((name, part.name, rejected) for name, part in parts.items() for rejected in part.rejected),
        left_out=tuple(main.rejected),
        duplicates=duplicates,
        near_duplicates=near_duplicates,
        audited=main.examples,
        texts_changed=main.texts_changed,
        leaked=leaked,
        leaks=leaks,
        files={name: parts[name if name in given else "train"].name for name in SPLIT_NAMES},
    )


def _split(
    main: _Part,
    targets: Targets,
    groups: Int64Array,
    settings: Settings,
    schema: LabelSchema,
    given: tuple[SplitName, ...],
) -> tuple[Split, list[str]]:
    """Deals the training data to the splits: by time where it has one, else at random and by class; says how."""
    chosen, how = main.reading.chosen, []
    if "group" in chosen:
        how.append(f'rows of the same "{chosen["group"]}" stay together, and with rows of similar text')
    if main.examples.times is None:
        return split(targets, groups, settings.split, settings.seed, schema, given=given, where=main.name), how
    times = instants(main.examples, main.name)
    dealt = split_by_time(times, groups, settings.split, given=given, where=main.name)
    for name in SPLIT_NAMES[1:]:
        rows = dealt.rows(name)
        if len(rows):
            first = main.examples.times[int(rows[np.argmin(times[rows])])]
            how.append(f'{name} rows are those of "{chosen["time"]}" {first} and later')
    return dealt, how


def _numbers_of(names: pa.Array) -> Int64Array:
    numbers: Int64Array = names.dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers


def _find_leaked(splits: dict[SplitName, SplitRows]) -> dict[SplitName, Leaks]:
    """Validation rows that repeat training rows, and test rows that repeat either."""
    train, validation, test = (splits[name].examples for name in SPLIT_NAMES)
    return {"validation": find_leaks(validation, train), "test": find_leaks(test, joined(train, validation))}


def _keep_earlier_split(
    dealt: Split, main: _Part, earlier: EarlierRun | None, given: tuple[SplitName, ...]
) -> tuple[Split, int]:
    """Puts rows that the earlier run has seen into the split that they were in; also says how many.

    Raises:
        DataError: no row is left to validate with or to test on.
    """
    if earlier is None:
        return dealt, 0
    seen = earlier.seen.split_of(main.examples)
    kept = (seen != NEVER) & ~np.isin(seen, [SPLIT_NAMES.index(name) for name in given])
    combined = Split(np.where(kept, seen, dealt.assignment))
    for name in SPLIT_NAMES[1:]:
        if name not in given and not len(combined.rows(name)):
            raise DataError(f"the run that is trained on from has learned from all rows of {main.name}; give a --{name} file")
    return combined, int(kept.sum())


def _count_learned_before(splits: dict[SplitName, SplitRows], earlier: EarlierRun | None) -> int | None:
    if earlier is None:
        return 0
    if not earlier.seen.complete:
        return None
    test, validation = splits["test"].examples, splits["validation"].examples
    return earlier.seen.learned_from(test) + earlier.seen.learned_from(validation, validation=False)


def _read(
    sources: Sources, settings: Settings, earlier: EarlierRun | None, recorder: PipelineRecorder, progress: Progress
) -> dict[SplitName, _Part]:
    start = time.perf_counter()
    columns: Mapping[str, str] = {} if earlier is None else earlier.columns
    parts: dict[SplitName, _Part] = {}
    for name in ("train", *sources.given):
        progress.begin(f"read {source_name(sources.of(name))}", 0)
        try:
            reading = read_as_trained(sources.of(name), settings.read, columns, labelled=True, given_beside=name != "train")
        except NoUsableRowsError as error:
            error.advise("surefit audit DATA --rejected FILE writes each with line and reason")
            raise
        if name == "train":
            columns = reading.chosen  # given files are read as the training data are
        parts[name] = _Part(source_name(sources.of(name)), reading, reading.examples, rejected=list(reading.rejected))
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
    _record(recorder, "read", parts, rows_in, parts["train"].reading.columns, [*notes, *said], start)
    return parts


def _clean(parts: dict[SplitName, _Part], settings: Settings, recorder: PipelineRecorder, progress: Progress) -> None:
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
    _record(recorder, "clean", parts, rows_in, parts["train"].examples.columns, notes, start)


def _label(
    parts: dict[SplitName, _Part], schema: LabelSchema | None, recorder: PipelineRecorder
) -> tuple[LabelSchema, dict[SplitName, Targets]]:
    start = time.perf_counter()
    main = parts["train"]
    known_from = main.name if schema is None else "the run that is trained on from, whose classes are kept"
    schema = schema or label_schema(main.examples, SINGLE_LABEL, main.name)
    targets = {name: encode_labels(part.examples, schema, part.name, known_from) for name, part in parts.items()}
    shown = ", ".join(f"{name} = {number}" for number, name in enumerate(schema.id2label[:5]))
    more = f" and {len(schema) - 5} more" if len(schema) > 5 else ""
    rows_in = [len(part.examples) for part in parts.values()]
    _record(recorder, "labels", parts, rows_in, main.examples.columns, [f"{shown}{more}"], start, extra=("class id",))
    return schema, targets


def _group(
    parts: dict[SplitName, _Part], targets: dict[SplitName, Targets], recorder: PipelineRecorder, progress: Progress
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
    _record(recorder, "duplicates", parts, rows_in, columns, notes, start, extra=("class id", "group"))
    ends = np.cumsum(rows_in)[:-1]
    return dict(zip(parts, np.split(numbers, ends), strict=True)), duplicates, near_duplicates


def _require_every_class(splits: dict[SplitName, SplitRows], schema: LabelSchema, where: str) -> None:
    """Every class must have rows to learn from; validation and test files are used as they are."""
    trained = np.bincount(splits["train"].targets, minlength=len(schema))
    if (trained == 0).any():
        missing = schema.id2label[int(np.argmin(trained))]
        raise DataError(f"class {missing!r} has no row to train on in {where}; add rows of it")


def _record_split(
    splits: dict[SplitName, SplitRows],
    schema: LabelSchema,
    given: tuple[SplitName, ...],
    how: list[str],
    leaks: dict[str, int | None],
    recorder: PipelineRecorder,
    start: float,
) -> None:
    notes = []
    for summary in summarize({name: part.targets for name, part in splits.items()}, schema):
        largest = np.argsort(summary.class_shares)[::-1][:3]
        shares = ", ".join(f"{schema.id2label[number]} {summary.class_shares[number]:.1%}" for number in largest)
        more = ", ..." if len(schema) > 3 else ""
        notes.append(f"{summary.name} {summary.rows:,} rows ({summary.share:.1%}): {shares}{more}")
    notes += [*how, *leak_warnings(leaks)]
    rows = sum(len(part.examples) for part in splits.values())
    columns = (*splits["train"].examples.columns, "class id", "group")
    seconds = time.perf_counter() - start
    does = GIVEN_SPLIT_SENTENCES[given] if given else STAGE_SENTENCES["split"]
    recorder.add(StageTrace("split", does, rows, columns, rows, (*columns, "split"), tuple(notes), seconds=seconds))


def _record(
    recorder: PipelineRecorder,
    stage: str,
    parts: dict[SplitName, _Part],
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
