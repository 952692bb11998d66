"""What an audit finds in the rows as such: what cannot be used, how the classes stand, what repeats, what is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from surefit.data.duplicates import Duplicates
from surefit.data.findings import EXAMPLES, LIMITS, Finding, FoundExample, counted, examples_of
from surefit.types import Examples, Rejected

# Of a class with fewer rows, a tenth for testing is under 30 rows, too few to judge it by.
_FEW_ROWS = 300
_TOO_FEW_ROWS = 30


def rejected_findings(rejected: Sequence[Rejected], records: int) -> Iterator[Finding]:
    """Records that cannot be used.

    Args:
        rejected: all of them.
        records: of the file.
    """
    severity = LIMITS["unusable records"].severity(len(rejected) / records)
    if severity is None:
        return
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in Counter(one.reason for one in rejected).most_common())
    examples = tuple(FoundExample((one.id,), f"line {one.line}: {one.reason}") for one in rejected[:EXAMPLES])
    sentence = f"{len(rejected):,} of {counted(records, 'record', 'records')} cannot be used: {reasons}"
    advice = "surefit audit DATA --rejected FILE lists each: mend the file, or make sure that nothing is missing"
    yield Finding("unusable records", severity, len(rejected), sentence, advice, examples)


def class_findings(counts: Mapping[str, int], similar_names: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """What is uneven or doubtful in the classes.

    Args:
        counts: rows of each class by falling count, at least one class.
        similar_names: class names that differ in case or white space only.
    """
    names = list(counts)
    largest, smallest = names[0], names[-1]
    if len(names) == 1:
        sentence = f"every row is of one class, {largest!r} ({counted(counts[largest], 'row', 'rows')})"
        advice = "a classifier needs two or more: add rows of another class, or name another column with --label"
        yield Finding("one class", "serious", counts[largest], sentence, advice, _sizes(names, counts))
    ratio = counts[largest] / counts[smallest]
    severity = LIMITS["imbalance"].severity(ratio)
    if severity is not None:
        sentence = f"the largest class, {largest!r}, has {ratio:,.1f} times the rows of the smallest, {smallest!r}"
        advice = "judge by each class's precision and recall, not by accuracy; --class-weight balanced lets rare classes count"
        yield Finding("imbalance", severity, counts[smallest], sentence, advice, _sizes((largest, smallest), counts))
    few = [name for name in reversed(names) if counts[name] < _FEW_ROWS]
    if few:
        severity = "warning" if counts[few[0]] < _TOO_FEW_ROWS else "note"
        rows = sum(counts[name] for name in few)
        have = "has" if len(few) == 1 else "have"
        all_names = counted(len(names), "class", "classes")
        sentence = f"{len(few):,} of {all_names} {have} fewer than {_FEW_ROWS} rows, the smallest {counts[few[0]]:,}"
        advice = "a tenth of them for testing is under 30 rows, too few to judge a class by: label more, or give a --test file"
        yield Finding("small classes", severity, rows, sentence, advice, _sizes(few, counts))
    if similar_names:
        rows = sum(counts[name] for group in similar_names for name in group)
        shown = tuple(FoundExample((), ", ".join(map(repr, group))) for group in similar_names[:EXAMPLES])
        sentence = f"class names of {rows:,} rows differ in case or spaces alone"
        advice = "they are taken for different classes: write them alike"
        yield Finding("similar class names", "warning", rows, sentence, advice, shown)


def _sizes(names: Sequence[str], counts: Mapping[str, int]) -> tuple[FoundExample, ...]:
    return tuple(FoundExample((), f"{name}: {counted(counts[name], 'row', 'rows')}") for name in names[:EXAMPLES])


def duplicate_findings(examples: Examples, exact: Duplicates, near: Duplicates) -> Iterator[Finding]:
    """Rows with the same or nearly the same text, and those of them whose labels differ.

    Args:
        examples: the rows, at least one.
        exact: their repeated texts.
        near: their groups of similar texts.
    """
    together = "they stay on one side of the split; if they come from a join or an export gone wrong, remove them"
    differ = "one label at least is wrong, or the text does not say enough: settle them, since no model can be right on all"
    similar = "look whether the labels ought to differ; surefit keeps such rows on one side of the split"
    table = (
        ("exact duplicates", exact.rows, exact.groups, exact.examples, "rows have a text that stands more than once", together),
        (
            *("conflicting labels", exact.conflicting_rows, exact.conflicting_groups, exact.conflicting_examples),
            *("rows have the text of another row and a different label", differ),
        ),
        ("near duplicates", near.rows, near.groups, near.examples, "rows share most of their words with others", together),
        (
            *("near conflicting labels", near.conflicting_rows, near.conflicting_groups, near.conflicting_examples),
            *("rows share most of their words with others in groups of different labels", similar),
        ),
    )
    for kind, rows, groups, positions, sentence, advice in table:
        severity = LIMITS[kind].severity(rows / len(examples))
        if severity is not None:
            said = f"{rows:,} {sentence} ({counted(groups, 'group', 'groups')})"  # two rows at least
            yield Finding(kind, severity, rows, said, advice, examples_of(examples, positions))


def leak_findings(leaks: Mapping[str, int], judging: int) -> Iterator[Finding]:
    """Validation and test rows that repeat what was learned from.

    Args:
        leaks: rows by kind, each counted once.
        judging: validation and test rows.
    """
    rows = sum(leaks.values())
    severity = LIMITS["leaks"].severity(rows / max(judging, 1))
    if severity is not None:
        kinds = ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in leaks.items() if count)
        one = "validation or test row repeats one that was learned from"
        many = "validation or test rows repeat rows that were learned from"
        sentence = f"{counted(rows, one, many)}: {kinds}"
        advice = "leaks.csv lists each: remove it from one side; read the figures without such rows"
        yield Finding("leaks", severity, rows, sentence, advice, ())
