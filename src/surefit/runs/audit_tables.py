"""What an audit says, as tables to be drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from surefit.data.audit import Audit
from surefit.data.findings import SEVERITIES, FoundExample, counted
from surefit.runs.rejected import where_rejected
from surefit.trace import Table

_CLASSES_SHOWN = 30
_NAME_CHARACTERS = 100


def audit_tables(audit: Audit, rejected: Path | None) -> tuple[Table, ...]:
    """The account of a file's rows.

    Args:
        audit: what was found.
        rejected: where the rejected rows were written, if anywhere.
    """
    repeated, conflicting = audit.duplicates, audit.conflicting_labels
    near, near_conflicting = audit.near_duplicates, audit.near_conflicting_labels
    account = [("records in the file", f"{audit.records:,}"), ("used", f"{audit.used:,}")]
    account += [("rejected", f"{audit.rejected:,}")]
    account += [(f"  {reason}", f"{count:,}") for reason, count in audit.rejected_by_reason.items()]
    account += [
        ("texts changed by normalisation", f"{audit.texts_changed:,}"),
        ("rows whose text stands more than once", f"{repeated.rows:,} (different texts: {repeated.groups:,})"),
        ("  of them under different labels", f"{conflicting.rows:,} (different texts: {conflicting.groups:,})"),
        ("rows whose texts share most of their words", f"{near.rows:,} (groups: {near.groups:,})"),
        ("  in groups of different labels", f"{near_conflicting.rows:,} (groups: {near_conflicting.groups:,})"),
    ]
    notes = list(audit.notes)
    if audit.rejected:
        notes.append(where_rejected(rejected))
    shown = audit.classes[:_CLASSES_SHOWN]
    classes = [(_shortened(of.label), f"{of.rows:,}", f"{of.share:.1%}") for of in shown]
    return (
        Table(f"Rows ({audit.file_format})", ("what", "rows"), tuple(account), "; ".join(notes)),
        Table(f"Classes: {len(audit.classes):,}", ("class", "rows", "share"), tuple(classes), _class_note(audit, len(shown))),
        _lengths(audit),
        _findings(audit),
    )


def _class_note(audit: Audit, shown: int) -> str:
    notes = [f"the largest class has {audit.imbalance_ratio:.1f} times the rows of the smallest"]
    if len(audit.classes) > shown:
        notes.append(f"the {shown} largest are shown")
    notes += [f"alike but for case or spaces: {', '.join(map(_shortened, group))}" for group in audit.similar_class_names]
    return "; ".join(notes)


def _shortened(name: str) -> str:
    """A class name, cut where a whole text stands in its place."""
    return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"


def _lengths(audit: Audit) -> Table:
    rows = [
        (unit, f"{of.min:,}", f"{of.median:,.0f}", f"{of.mean:,.1f}", f"{of.percentile_95:,.0f}", f"{of.max:,}")
        for unit, of in audit.lengths.items()
    ]
    columns = ("unit", "shortest", "median", "mean", "95th percentile", "longest")
    return Table("Lengths of the texts", columns, tuple(rows), _cut(audit))


def _cut(audit: Audit) -> str:
    """How many rows the model would read in part, where that was counted."""
    if audit.truncated is None:
        return ""
    many = counted(audit.truncated, "row is", "rows are") if audit.truncated else "no row is"
    return f"{many} cut at --max-length {audit.max_length}"


def _findings(audit: Audit) -> Table:
    counted = Counter(finding.severity for finding in audit.findings)
    many = ", ".join(f"{counted[severity]} {severity}" for severity in SEVERITIES if counted[severity])
    rows = [
        (finding.severity, finding.sentence, finding.advice, "\n".join(map(_example, finding.examples)))
        for finding in audit.findings
    ]
    note = "" if rows else "nothing to warn of was found"
    return Table(f"Findings: {many or 'none'}", ("severity", "what was found", "what to do", "for example"), tuple(rows), note)


def _example(example: FoundExample) -> str:
    ids = ", ".join(map(_shortened, example.ids))
    return f"{ids}: {example.shown}" if ids else example.shown
