"""The rows of a run dealt to its splits, and what of them repeats rows that were learned from."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from surefit.config import Settings
from surefit.data.clean import BoolArray, Targets
from surefit.data.duplicates import merged_groups
from surefit.data.leaks import LEAK_KINDS, Leaks, find_leaks, joined
from surefit.data.split import SPLIT_NAMES, Split, SplitName, split, summarize
from surefit.data.time_split import instants, split_by_time
from surefit.errors import DataError
from surefit.runs.earlier import EarlierRun
from surefit.runs.leaks import leak_warnings
from surefit.runs.seen import NEVER
from surefit.runs.sources import Part
from surefit.trace import GIVEN_SPLIT_SENTENCES, STAGE_SENTENCES, PipelineRecorder, StageTrace
from surefit.types import Examples, Int64Array, LabelSchema


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
class SplitResult:
    """The splits, and how far they can be trusted to judge a model.

    Attributes:
        splits: train, validation and test.
        leaked: the test rows that repeat training or validation rows, and the validation rows that
            repeat training rows; none unless files were given or a run is trained on from, since
            no group of similar texts stands in two splits else.
        learned_before: which validation and test rows have a text that the run that is trained on from has
            learned from, as far as is known, shape (n,) each.
        leaks: how many they are by kind (`surefit.data.leaks.LEAK_KINDS`); "earlier_run" counts those
            learned from before, None where not all of them are known.
    """

    splits: dict[SplitName, SplitRows]
    leaked: dict[SplitName, Leaks]
    learned_before: dict[SplitName, BoolArray]
    leaks: dict[str, int | None]


def split_parts(
    parts: dict[SplitName, Part],
    targets: dict[SplitName, Targets],
    groups: dict[SplitName, Int64Array],
    settings: Settings,
    schema: LabelSchema,
    earlier: EarlierRun | None,
    recorder: PipelineRecorder,
) -> SplitResult:
    """Deals the training data to the splits that have no file of their own, and looks for leaks.

    Args:
        parts: the sources: "train", and the splits that are given.
        targets: of each source's rows.
        groups: the same, over all sources: rows with the same or nearly the same text share a number.
        settings: how to split.
        schema: the classes.
        earlier: the run that is trained on from, if there is one: rows that it has seen stay where they were.
        recorder: told of the stage.

    Raises:
        DataError: a class has no row to train on, or a split no row.
    """
    start, main = time.perf_counter(), parts["train"]
    given = tuple(name for name in SPLIT_NAMES[1:] if name in parts)
    if main.examples.groups is not None:
        names = main.examples.groups.dictionary_encode().indices.to_numpy().astype(np.int64)
        groups = groups | {"train": merged_groups(groups["train"], names)}
    dealt, how = _deal(main, targets["train"], groups["train"], settings, schema, given)
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
    learned_before = _learned_before(splits, earlier)
    known = earlier is None or earlier.seen.complete
    leaks["earlier_run"] = sum(int(rows.sum()) for rows in learned_before.values()) if known else None
    _record_split(splits, schema, given, how, leaks, recorder, start)
    return SplitResult(splits, leaked, learned_before, leaks)


def _deal(
    main: Part,
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
    judged = dealt.assignment > 0
    late = np.count_nonzero(~judged & (times > times[judged].min())) if judged.any() else 0
    if late:
        how.append(f"{late:,} training rows are later than the first row kept for judging, since they belong with earlier rows")
    for name in SPLIT_NAMES[1:]:
        rows = dealt.rows(name)
        if len(rows):
            first = main.examples.times[int(rows[np.argmin(times[rows])])]
            how.append(f'{name} rows are those of "{chosen["time"]}" {first} and later')
    return dealt, how


def _keep_earlier_split(
    dealt: Split, main: Part, earlier: EarlierRun | None, given: tuple[SplitName, ...]
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


def _find_leaked(splits: dict[SplitName, SplitRows]) -> dict[SplitName, Leaks]:
    """Validation rows that repeat training rows, and test rows that repeat either."""
    train, validation, test = (splits[name].examples for name in SPLIT_NAMES)
    return {"validation": find_leaks(validation, train), "test": find_leaks(test, joined(train, validation))}


def _learned_before(splits: dict[SplitName, SplitRows], earlier: EarlierRun | None) -> dict[SplitName, BoolArray]:
    """Which rows that judge the model have a text that the earlier run has learned from."""
    if earlier is None:
        return {}
    validation, test = splits["validation"].examples, splits["test"].examples
    # What an epoch of the earlier run was chosen by may choose one again.
    return {"validation": earlier.seen.learned_from(validation, validation=False), "test": earlier.seen.learned_from(test)}


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
