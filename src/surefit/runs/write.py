"""The files of a run, except the saved model and the checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from surefit.artifacts import RunDirectory, atomic_writer, write_json
from surefit.csv_files import write_csv
from surefit.data.audit import Audit
from surefit.data.leaks import LEAK_KINDS
from surefit.data.split import SPLIT_NAMES
from surefit.progress import Progress, StepRecord
from surefit.runs.rejected import REJECTED_COLUMNS, rejected_cells
from surefit.runs.results import Judged
from surefit.runs.row_files import labels_of
from surefit.runs.rows import PreparedRows
from surefit.runs.seen import SeenTexts, write_seen
from surefit.trace import EpochTrace, RunTrace
from surefit.types import SINGLE_LABEL


class TrainingLog(Progress):
    """Writes each step and each epoch to `training_log.jsonl` and passes all on to who watches.

    Args:
        run: the run. A log that is there already is gone on with: what it says of steps that are
            made again is dropped.
        watcher: told everything too.
    """

    def __init__(self, run: RunDirectory, watcher: Progress) -> None:
        self._path = run.training_log
        self._watcher = watcher
        self._begun = False

    def begin(self, what: str, total: int) -> None:
        self._watcher.begin(what, total)

    def advance(self, done: int) -> None:
        self._watcher.advance(done)

    def end(self) -> None:
        self._watcher.end()

    def note(self, sentence: str) -> None:
        self._watcher.note(sentence)

    def training(self, name: str) -> None:
        self._watcher.training(name)

    def step(self, record: StepRecord, total_steps: int) -> None:
        if not self._begun:
            self._drop_from(record)
            self._begun = True
        self._append(record.to_dict())
        self._watcher.step(record, total_steps)

    def epoch(self, epoch: EpochTrace) -> None:
        self._append({"event": "evaluation"} | asdict(epoch))
        self._watcher.epoch(epoch)

    def _append(self, entry: dict[str, Any]) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")

    def _drop_from(self, record: StepRecord) -> None:
        if not self._path.exists():
            return
        kept = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                before = entry["step"] < record.step if entry["event"] == "step" else entry["epoch"] < record.epoch
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a process that was killed, or damage
            if before:
                kept.append(line + "\n")
        with atomic_writer(self._path) as file:
            file.writelines(kept)


def write_preparation(run: RunDirectory, rows: PreparedRows, audit: Audit, earlier: SeenTexts | None) -> None:
    """Writes what is known of the data before training: audit, rejected rows, splits, leaks, hashes of the texts.

    Args:
        run: the run.
        rows: its rows.
        audit: of its training data.
        earlier: what the run that is trained on from has seen, if there is one.
    """
    write_json(run.audit, audit.to_dict())
    write_csv(
        run.rejected,
        ("file", *REJECTED_COLUMNS, "given_as"),
        ((file, *rejected_cells(item), "data" if split == "train" else split) for split, file, item in rows.rejected),
    )
    write_csv(run.splits, ("id", "split", "group", "file"), _split_rows(rows))
    write_csv(run.leaks, _LEAK_COLUMNS, _leak_rows(rows))
    write_seen(run, {name: part.examples for name, part in rows.splits.items()}, earlier)


_LEAK_COLUMNS = ("id", "split", "file", "kind", "similarity", "repeats_id", "repeats_split", "repeats_file")


def _leak_rows(rows: PreparedRows) -> Iterator[tuple[object, ...]]:
    """Each row that repeats one of another split, with the most similar row that was found there.

    Then those that the run which is trained on from has learned from, of which no more is known.
    """
    for name, found in rows.leaked.items():
        ids = rows.splits[name].examples.ids
        learned = [
            (row_id, split, rows.files[split])
            for split in SPLIT_NAMES[: SPLIT_NAMES.index(name)]
            for row_id in rows.splits[split].examples.ids.to_pylist()
        ]
        for row, source, similarity, kind in zip(found.rows, found.sources, found.similarities, found.kinds, strict=True):
            what = LEAK_KINDS[kind], round(float(similarity), 4)
            yield ids[int(row)].as_py(), name, rows.files[name], *what, *learned[int(source)]
    for name, before in rows.learned_before.items():
        listed = set(rows.leaked[name].rows.tolist()) if name in rows.leaked else set()
        ids = rows.splits[name].examples.ids
        for row in (row for row in before.nonzero()[0].tolist() if row not in listed):
            yield ids[row].as_py(), name, rows.files[name], "earlier_run", 1.0, "", "", ""


def _split_rows(rows: PreparedRows) -> Iterator[tuple[str, str, int, str]]:
    """Row id, split, duplicate group, file; each file's rows in the file's order."""
    entries: list[tuple[tuple[int, int], str, str, int, str]] = []
    for file_number, (name, part) in enumerate(rows.splits.items()):
        own_file = rows.raw[name] is not rows.raw["train"]
        order = [(file_number if own_file else 0, record) for record in part.examples.records.tolist()]
        ids, groups = part.examples.ids.to_pylist(), part.groups.tolist()
        file = rows.files[name]
        entries += [(place, row_id, name, group, file) for place, row_id, group in zip(order, ids, groups, strict=True)]
    for _, *row in sorted(entries):
        yield tuple(row)  # type: ignore[misc]


def write_results(run: RunDirectory, metrics: dict[str, Any], trace: RunTrace, rows: PreparedRows, judged: Judged) -> None:
    """Writes what is known at the end; `metrics.json` comes last, as the sign that the run is complete."""
    write_json(run.trace, trace.to_dict())
    names = rows.schema.id2label
    write_csv(
        run.predictions,
        ("id", "label", "prediction", *(f"probability_{name}" for name in names)),
        _prediction_rows(rows, judged),
    )
    write_json(run.metrics, metrics)


def _prediction_rows(rows: PreparedRows, judged: Judged) -> Iterator[tuple[object, ...]]:
    test = rows.splits["test"]
    names = rows.schema.id2label
    for row, row_id in enumerate(test.examples.ids.to_pylist()):
        truth = labels_of(test.targets[row], names, rows.schema.problem_type == SINGLE_LABEL)
        predicted = labels_of(judged.predicted[row], names, rows.schema.problem_type == SINGLE_LABEL)
        yield row_id, truth, predicted, *(float(probability) for probability in judged.probabilities[row])
