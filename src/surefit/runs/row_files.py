"""The files of a run that name single rows to look at: doubtful labels, how rows were learned, mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from surefit.artifacts import RunDirectory
from surefit.csv_files import write_csv
from surefit.data.split import SPLIT_NAMES
from surefit.decision import ABSTAINED_ID
from surefit.evaluation.cartography import REGIONS, DataMap
from surefit.evaluation.label_errors import LabelIssues
from surefit.runs.results import Judged
from surefit.runs.rows import PreparedRows
from surefit.types import SINGLE_LABEL, Examples

_TEXT_COLUMNS = ("text", "text_pair")
_ISSUE_FIGURES = ("probability_of_label", "probability_of_suggested", "never_right_in_training")
ISSUE_COLUMNS = ("id", "split", "file", "label", "suggested", *_ISSUE_FIGURES)
MISTAKE_COLUMNS = ("id", "label", "prediction", "probability")
_MAP_COLUMNS = ("label", "confidence", "variability", "correctness")
EXAMPLE_COLUMNS = ("region", "id", *_MAP_COLUMNS)
# Rows of each region that are shown with their texts.
_EXAMPLES = 10


def write_label_issues(run: RunDirectory, rows: PreparedRows, issues: LabelIssues, data_map: DataMap) -> None:
    """Writes the rows whose labels may be wrong, the most doubtful first.

    Args:
        run: the run.
        rows: its rows.
        issues: positions among the rows of all splits, one after the other.
        data_map: of the training rows; one that was never right in training either is the more doubtful.
    """
    names = rows.schema.id2label
    ends = np.cumsum([len(rows.splits[name].targets) for name in SPLIT_NAMES])
    columns = zip(
        issues.positions.tolist(),
        issues.given,
        issues.suggested,
        issues.given_probabilities,
        issues.suggested_probabilities,
        strict=True,
    )

    def cells() -> Iterator[tuple[object, ...]]:
        for position, given, suggested, of_given, of_suggested in columns:
            place = int(np.searchsorted(ends, position, side="right"))
            name = SPLIT_NAMES[place]
            examples = rows.splits[name].examples
            row = position - (int(ends[place - 1]) if place else 0)
            figures = round(float(of_given), 6), round(float(of_suggested), 6)
            never_right = ("yes" if data_map.correctness[row] == 0 else "no") if name == "train" else ""
            labels = names[given], names[suggested]
            texts = _texts(examples, row)
            yield examples.ids[row].as_py(), name, rows.files[name], *labels, *figures, never_right, *texts

    write_csv(run.label_issues, (*ISSUE_COLUMNS, *_text_columns(rows.splits["train"].examples)), cells())


def write_training_rows(run: RunDirectory, rows: PreparedRows, data_map: DataMap) -> None:
    """Writes how training went row by row, in the order of the file, and the ends of each region with their texts.

    Args:
        run: the run.
        rows: its rows.
        data_map: of the training rows.
    """
    train, names, single = rows.splits["train"], rows.schema.id2label, rows.schema.problem_type == SINGLE_LABEL
    figures = np.stack([data_map.confidence, data_map.variability, data_map.correctness], axis=1).round(6).tolist()
    columns = zip(train.examples.ids.to_pylist(), train.targets, figures, data_map.regions.tolist(), strict=True)
    cells = (
        (row_id, rows.files["train"], labels_of(target, names, single), *of_row, REGIONS[region])
        for row_id, target, of_row, region in columns
    )
    write_csv(run.training_rows, ("id", "file", *_MAP_COLUMNS, "region"), cells)
    examples = (
        (
            region,
            train.examples.ids[row].as_py(),
            labels_of(train.targets[row], names, single),
            *figures[row],
            *_texts(train.examples, row),
        )
        for region in REGIONS[::-1]
        for row in data_map.most_extreme(region, _EXAMPLES).tolist()
    )
    write_csv(run.training_examples, (*EXAMPLE_COLUMNS, *_text_columns(train.examples)), examples)


def write_mistakes(run: RunDirectory, rows: PreparedRows, judged: Judged) -> None:
    """Writes the test rows that were answered wrong, those first of whose answer the model was surest.

    Args:
        run: the run.
        rows: its rows.
        judged: the answers to the test rows.
    """
    test, names = rows.splits["test"], rows.schema.id2label
    wrong = np.flatnonzero((judged.predicted != test.targets) & (judged.predicted != ABSTAINED_ID))
    answers = judged.predicted[wrong]
    probabilities = judged.probabilities[wrong, answers]

    def cells() -> Iterator[tuple[object, ...]]:
        for place in np.argsort(-probabilities, kind="stable").tolist():
            row, answer = int(wrong[place]), int(answers[place])
            figures = names[int(test.targets[row])], names[answer], round(float(probabilities[place]), 6)
            yield test.examples.ids[row].as_py(), *figures, *_texts(test.examples, row)

    write_csv(run.mistakes, (*MISTAKE_COLUMNS, *_text_columns(test.examples)), cells())


def labels_of(target: Any, names: tuple[str, ...], single: bool) -> str:
    """The classes of one row by their names; none where the model abstains.

    Args:
        target: a class id, or with several labels a row of zeros and ones.
        names: of the classes.
        single: whether a row has one label.
    """
    if single:
        return "" if target == ABSTAINED_ID else names[int(target)]
    return "|".join(names[position] for position in np.flatnonzero(target))


def _texts(examples: Examples, row: int) -> list[str]:
    columns = [column for column in (examples.texts, examples.text_pairs) if column is not None]
    return [column[row].as_py() for column in columns]


def _text_columns(examples: Examples) -> tuple[str, ...]:
    return _TEXT_COLUMNS if examples.text_pairs is not None else _TEXT_COLUMNS[:1]
