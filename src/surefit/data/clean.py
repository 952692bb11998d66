"""Texts by the one normalisation rule, class names to class ids, and classes too small to use."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from surefit.errors import DataError
from surefit.normalization import normalize_text
from surefit.types import SINGLE_LABEL, TEXT_TYPE, Examples, Int64Array, LabelSchema, ProblemType, Rejected

BoolArray = NDArray[np.bool_]
Int8Array = NDArray[np.int8]
Targets = Int64Array | Int8Array

SMALL_CLASS = "class below --min-rows-per-class"

# Rows that are Python strings at one time: bounds the memory of normalising a large column.
_CHUNK_ROWS = 65_536
# More classes than this, and more than one for two rows, is a column of ids or free text.
_MOST_CLASSES_OF_FEW_ROWS = 20
_CLASSES_SHOWN = 10
_CHARACTERS_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Rows with normalised texts.

    Attributes:
        examples: the same rows in the same order.
        texts_changed: rows whose text, or second text, was not normalised before.
    """

    examples: Examples
    texts_changed: int


@dataclass(frozen=True, eq=False)
class KeptClasses:
    """What stays when small classes are left out.

    Attributes:
        examples: the rows that stay, in their order.
        rejected: the rows left out, in their order.
        left_out: names of the classes that no kept row has any more, sorted.
    """

    examples: Examples
    rejected: tuple[Rejected, ...]
    left_out: tuple[str, ...]


def clean(examples: Examples) -> Cleaned:
    """Normalises the texts by `surefit.normalization`; every row stays."""
    texts = _normalize_column(examples.texts)
    changed = pc.not_equal(texts, examples.texts)
    text_pairs = examples.text_pairs
    if text_pairs is not None:
        text_pairs = _normalize_column(text_pairs)
        changed = pc.or_(changed, pc.not_equal(text_pairs, examples.text_pairs))
    return Cleaned(replace(examples, texts=texts, text_pairs=text_pairs), int(np.count_nonzero(changed)))


def _normalize_column(texts: pa.Array) -> pa.Array:
    chunks = [
        pa.array([normalize_text(text) for text in texts.slice(start, _CHUNK_ROWS).to_pylist()], TEXT_TYPE)
        for start in range(0, len(texts), _CHUNK_ROWS)
    ]
    return pa.concat_arrays(chunks) if chunks else texts


def label_schema(examples: Examples, problem_type: ProblemType, where: str = "the data") -> LabelSchema:
    """The classes of the rows, sorted by name.

    Args:
        examples: labelled rows.
        problem_type: whether a row has exactly one class.
        where: what errors call the rows, for instance "reviews.csv, column 'stars'".

    Raises:
        DataError: there is no class, only one where rows have exactly one, or so many that the
            column must hold ids or free text.
    """
    names = sorted(examples.label_counts())
    if not names:
        raise DataError(f"{where} has no labelled rows; name the column with the class names with --label")
    if problem_type == SINGLE_LABEL and len(names) == 1:
        raise DataError(
            f"every row of {where} has the same class, {quote_class(names[0])}; a classifier needs two or more: "
            "add rows of another class, or name another column with --label"
        )
    rows = len(examples)
    if len(names) == rows > 2 or (len(names) > _MOST_CLASSES_OF_FEW_ROWS and 2 * len(names) > rows):
        raise DataError(
            f"the label column of {where} looks like ids or free text: {len(names)} different values in {rows} rows; "
            "name the column with the class names with --label"
        )
    return LabelSchema(problem_type, tuple(names))


def encode_labels(
    examples: Examples, schema: LabelSchema, where: str = "the data", known_from: str = "the training data"
) -> Targets:
    """Class names as class ids.

    Args:
        examples: labelled rows.
        schema: the classes.
        where: what errors call the rows, for instance "test.csv".
        known_from: where the classes of the schema stand, for errors.

    Returns:
        Class ids, shape (n,), int64, for single-label problems; else 1 for each class that a row
        has and 0 for the others, shape (n, classes), int8.

    Raises:
        DataError: a row has a class that is not in the schema, or not exactly one where it must.
    """
    if examples.labels is None:
        raise DataError(f"{where} has no labels; name the column with the class names with --label")
    per_row = pc.list_value_length(examples.labels).to_numpy(zero_copy_only=False)
    names = examples.labels.flatten()
    found = pc.index_in(names, value_set=pa.array(schema.id2label, TEXT_TYPE))
    rows = np.repeat(np.arange(len(examples)), per_row)
    if found.null_count:
        unknown = np.flatnonzero(pc.is_null(found))
        place = f"{where}, line {examples.lines[rows[unknown[0]]]}"
        raise DataError(f"{place}: {_unknown_class(names.take(pa.array(unknown)), schema, known_from)}")
    class_ids: Int64Array = found.to_numpy().astype(np.int64)
    if schema.problem_type == SINGLE_LABEL:
        if (per_row != 1).any():
            row = int(np.argmax(per_row != 1))
            raise DataError(f"line {examples.lines[row]} of {where} has {per_row[row]} classes where it must have one")
        return class_ids
    targets = np.zeros((len(examples), len(schema)), dtype=np.int8)
    targets[rows, class_ids] = 1
    return targets


def _unknown_class(names: pa.Array, schema: LabelSchema, known_from: str) -> str:
    """The sentence about class names that are not in the schema."""
    name = names[0].as_py()
    others = len(names.unique()) - 1
    folded = {known.casefold(): known for known in schema.id2label}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"did you mean {quote_class(folded[near[0]])}? " if near else ""
    more = f" (and {others} more unknown {'class' if others == 1 else 'classes'})" if others else ""
    known = ", ".join(quote_class(known) for known in schema.id2label[:_CLASSES_SHOWN])
    unlisted = len(schema) - _CLASSES_SHOWN
    end = f" and {unlisted} more" if unlisted > 0 else ""
    return f"class {quote_class(name)}{more} does not stand in {known_from}; {hint}known: {known}{end}"


def quote_class(name: str) -> str:
    """A class name for a message, cut so that a wrong --label never prints whole texts."""
    return repr(name if len(name) <= _CHARACTERS_SHOWN else name[: _CHARACTERS_SHOWN - 1] + "…")


def label_pairs(targets: Targets) -> tuple[Int64Array, Int64Array]:
    """Each label of each row, as (row positions, class ids), both of shape (labels,).

    Args:
        targets: class ids of shape (n,), or 0/1 of shape (n, classes).
    """
    if targets.ndim == 1:
        return np.arange(len(targets)), targets.astype(np.int64)
    rows, class_ids = np.nonzero(targets)
    return rows, class_ids


def rows_of_large_classes(rows: Int64Array, class_ids: Int64Array, n: int, min_rows: int) -> BoolArray:
    """Which of `n` rows stay when no class may have fewer than `min_rows` rows, shape (n,).

    A row with several labels goes when one of them is too small; that can make another class too
    small, so the rule is applied until it holds.

    Args:
        rows: row position of each label, shape (labels,), as `label_pairs` gives it.
        class_ids: class of each label, shape (labels,).
        n: number of rows.
        min_rows: fewest rows of a class that stays.
    """
    kept = np.ones(n, dtype=np.bool_)
    while True:
        counts = np.bincount(class_ids[kept[rows]], minlength=int(class_ids.max(initial=-1)) + 1)
        small = kept[rows] & (counts[class_ids] < min_rows)
        if not small.any():
            return kept
        kept[rows[small]] = False


def drop_small_classes(examples: Examples, min_rows: int) -> KeptClasses:
    """Leaves out the rows of classes that have fewer rows than `min_rows`.

    Args:
        examples: labelled rows.
        min_rows: fewest rows of a class that stays.
    """
    names, rows, class_ids = _named_pairs(examples)
    kept = rows_of_large_classes(rows, class_ids, len(examples), min_rows)
    staying = set(class_ids[kept[rows]].tolist())
    left_out = [name for class_id, name in enumerate(names) if class_id not in staying]
    return _keep(examples, kept, left_out)


def leave_out_classes(examples: Examples, names: Collection[str]) -> KeptClasses:
    """Leaves out the rows of given classes.

    For a separate validation or test file, whose rows of a class that `drop_small_classes` left
    out of the training data would otherwise be of an unknown class.
    """
    own_names, rows, class_ids = _named_pairs(examples)
    leaving = np.array([name in set(names) for name in own_names], dtype=np.bool_)
    kept = np.ones(len(examples), dtype=np.bool_)
    kept[rows[leaving[class_ids]]] = False
    return _keep(examples, kept, [name for name in own_names if name in set(names)])


def _named_pairs(examples: Examples) -> tuple[list[str], Int64Array, Int64Array]:
    """Class names in order of appearance, then row and class of each label."""
    if examples.labels is None:
        return [], np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    per_row = pc.list_value_length(examples.labels).to_numpy(zero_copy_only=False)
    encoded = examples.labels.flatten().dictionary_encode()
    class_ids = encoded.indices.to_numpy().astype(np.int64)
    return encoded.dictionary.to_pylist(), np.repeat(np.arange(len(examples)), per_row), class_ids


def _keep(examples: Examples, kept: BoolArray, left_out: Collection[str]) -> KeptClasses:
    if kept.all():
        return KeptClasses(examples, (), tuple(sorted(left_out)))
    rejected = tuple(_rejections(examples.take(np.flatnonzero(~kept))))
    return KeptClasses(examples.take(np.flatnonzero(kept)), rejected, tuple(sorted(left_out)))


def _rejections(examples: Examples) -> Iterator[Rejected]:
    for record, line, row_id in zip(examples.records.tolist(), examples.lines.tolist(), examples.ids.to_pylist(), strict=True):
        yield Rejected(record, line, SMALL_CLASS, row_id)
