"""What the data is like, in plain numbers, for `audit.json` and for the eyes."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from surefit.data.clean import BoolArray
from surefit.data.duplicates import Duplicates
from surefit.data.findings import Finding, by_severity, found_in
from surefit.data.row_findings import class_findings, duplicate_findings, leak_findings, rejected_findings
from surefit.data.text_checks import texts_of, words_of
from surefit.types import Examples, Int64Array, Rejected


@dataclass(frozen=True)
class Source:
    """Where the rows come from and what was left behind.

    Attributes:
        file_format: for instance "csv".
        records: records of the file, header apart.
        rejected: those not used.
        texts_changed: used rows whose text was not normalised in the file.
        notes: what the reader of the file has to say of it.
    """

    file_format: str
    records: int
    rejected: Sequence[Rejected]
    texts_changed: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TokenCounts:
    """Lengths as the model sees them.

    Attributes:
        lengths: tokens of each row before truncation, special tokens included, shape (n,).
        truncated: whether tokens were cut off, shape (n,).
        max_length: most tokens that the model reads of a row.
    """

    lengths: Int64Array
    truncated: BoolArray
    max_length: int


@dataclass(frozen=True)
class LengthSummary:
    """Lengths of the texts in one unit; both texts of a pair count together."""

    min: int
    median: float
    mean: float
    percentile_95: float
    max: int


@dataclass(frozen=True)
class ClassCount:
    """Rows of one class, and their share of all rows."""

    label: str
    rows: int
    share: float


@dataclass(frozen=True)
class Repeats:
    """Texts that several rows have, or sets of similar texts.

    Attributes:
        groups: how many.
        rows: rows that have one.
        examples: row ids of a few of them.
    """

    groups: int
    rows: int
    examples: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Audit:
    """Counts, what follows from them, and a few examples by row id.

    Attributes:
        file_format: for instance "csv".
        records: records of the file, header apart; the sum of `used` and `rejected`.
        used: rows that can be used.
        rejected: records not used.
        rejected_by_reason: the same by reason, the most frequent first.
        classes: by falling count.
        imbalance_ratio: rows of the largest class over rows of the smallest.
        similar_class_names: class names that differ in case or white space only.
        lengths: by unit: characters, words (`surefit.data.text_checks.words_of`), and tokens where counted.
        max_length: most tokens that the model reads of a row, None where tokens were not counted.
        truncated: rows with more tokens than that, None where tokens were not counted.
        duplicates: rows with the same text.
        conflicting_labels: those of them whose labels differ.
        near_duplicates: rows whose texts share most of their words (`surefit.data.near_duplicates`).
        near_conflicting_labels: those of them whose labels differ.
        texts_changed: rows whose text was changed by normalisation.
        leaks: rows kept for validation or test that repeat what was learned from, each counted once: by kind
            (`surefit.data.leaks.LEAK_KINDS`), and as "earlier_run" those that only the run which is trained on from
            has learned from; empty where there are no splits.
        findings: what a reader should know of all this, and of the texts; the most serious first.
        notes: sentences on the file, mostly none.
    """

    file_format: str
    records: int
    used: int
    rejected: int
    rejected_by_reason: dict[str, int]
    classes: tuple[ClassCount, ...]
    imbalance_ratio: float
    similar_class_names: tuple[tuple[str, ...], ...]
    lengths: dict[str, LengthSummary]
    max_length: int | None
    truncated: int | None
    duplicates: Repeats
    conflicting_labels: Repeats
    near_duplicates: Repeats
    near_conflicting_labels: Repeats
    texts_changed: int
    leaks: dict[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.used + self.rejected != self.records:
            raise ValueError(f"{self.records} records, but {self.used} used and {self.rejected} rejected")

    def to_dict(self) -> dict[str, Any]:
        """The audit as nested dictionaries and lists of plain numbers and texts, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class Splits:
    """What is known once rows are tokenised, and, where they are trained on, split.

    Attributes:
        tokens: of all rows.
        leaks: see `Audit.leaks`; empty where rows are not split.
        judging: validation and test rows.
    """

    tokens: TokenCounts
    leaks: Mapping[str, int] = field(default_factory=dict)
    judging: int = 0


def audit(
    examples: Examples,
    source: Source,
    duplicates: Duplicates,
    near_duplicates: Duplicates,
    in_texts: Iterable[Finding],
    splits: Splits | None = None,
) -> Audit:
    """Describes labelled rows.

    Args:
        examples: the rows used, cleaned; at least one.
        source: where they come from.
        duplicates: of the same rows.
        near_duplicates: of the same rows.
        in_texts: what was found in their texts (`surefit.data.text_findings`).
        splits: where they are tokenised, and perhaps split.
    """
    counts = examples.label_counts()
    similar = similar_class_names(counts)
    findings = [*in_texts, *rejected_findings(source.rejected, source.records), *class_findings(counts, similar)]
    findings += duplicate_findings(examples, duplicates, near_duplicates)
    tokens, leaks = (None, {}) if splits is None else (splits.tokens, dict(splits.leaks))
    if splits is not None:
        findings += [*_truncated(examples, splits.tokens), *leak_findings(splits.leaks, splits.judging)]
    return Audit(
        file_format=source.file_format,
        records=source.records,
        used=len(examples),
        rejected=len(source.rejected),
        rejected_by_reason=dict(Counter(rejected.reason for rejected in source.rejected).most_common()),
        classes=tuple(ClassCount(label, rows, rows / len(examples)) for label, rows in counts.items()),
        imbalance_ratio=max(counts.values()) / min(counts.values()),
        similar_class_names=similar,
        lengths=_lengths(examples) | ({} if tokens is None else {"tokens": _summary(tokens.lengths)}),
        max_length=None if tokens is None else tokens.max_length,
        truncated=None if tokens is None else int(tokens.truncated.sum()),
        duplicates=_repeated(duplicates, examples.ids),
        conflicting_labels=_conflicting(duplicates, examples.ids),
        near_duplicates=_repeated(near_duplicates, examples.ids),
        near_conflicting_labels=_conflicting(near_duplicates, examples.ids),
        texts_changed=source.texts_changed,
        leaks=leaks,
        findings=by_severity(findings),
        notes=source.notes,
    )


def _truncated(examples: Examples, tokens: TokenCounts) -> Iterator[Finding]:
    most = f"more than {tokens.max_length} tokens"
    sentence = f"text has {most} and is cut there", f"texts have {most} and are cut there"
    longest = int(tokens.lengths.max())
    advice = f"what stands behind is not read: raise --max-length (the longest has {longest:,}), or put first what matters"
    yield from found_in(examples, "truncated texts", tokens.truncated, sentence, advice)


def similar_class_names(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Class names that are the same but for case and white space, in groups of two or more, sorted."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike["".join(name.casefold().split())].append(name)
    return tuple(sorted(tuple(sorted(group)) for group in alike.values() if len(group) > 1))


def _lengths(examples: Examples) -> dict[str, LengthSummary]:
    characters = sum(pc.utf8_length(column).to_numpy() for column in texts_of(examples))
    return {"characters": _summary(characters), "words": _summary(words_of(examples))}


def _summary(lengths: Int64Array) -> LengthSummary:
    return LengthSummary(
        min=int(lengths.min()),
        median=float(np.median(lengths)),
        mean=float(lengths.mean()),
        percentile_95=float(np.percentile(lengths, 95)),
        max=int(lengths.max()),
    )


def _repeated(found: Duplicates, ids: pa.Array) -> Repeats:
    return Repeats(found.groups, found.rows, _ids(found.examples, ids))


def _conflicting(found: Duplicates, ids: pa.Array) -> Repeats:
    return Repeats(found.conflicting_groups, found.conflicting_rows, _ids(found.conflicting_examples, ids))


def _ids(positions: tuple[tuple[int, ...], ...], ids: pa.Array) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(ids[position].as_py() for position in group) for group in positions)
