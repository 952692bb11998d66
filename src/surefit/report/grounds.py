"""What the second half of a report says: what the figures stand on, rows to look at, traces, fingerprints, and use."""

from __future__ import annotations

import shlex
from typing import Any

from surefit.data.findings import SEVERITIES
from surefit.data.leaks import LEAK_KINDS
from surefit.data.personal import masked
from surefit.report import charts
from surefit.report.content import SHARES, ReportContent, TextRows
from surefit.report.judged import View
from surefit.report.wording import Wording, as_sentence, listed, rows, shortened, size
from surefit.trace import Table

# A sign and a class of the style sheet for each severity.
_SIGNS = {"serious": ("✕", "bad"), "warning": ("!", "care"), "note": ("i", "note")}
_REGION_TITLES = {"hard": "The hardest rows: never right", "ambiguous": "The most ambiguous rows: right in some epochs"}
_LEAK_NAMES = {
    "exact": "rows whose text stands in another split, word for word",
    "near": "rows that share most of their words with one of another split",
    "group": "rows of a group that stands in another split",
}


def leaks(content: ReportContent, wording: Wording) -> View:
    """Rows that judge the model and repeat what it learned from, and the scores with and without them."""
    counts, test = content.metrics["leaks"], content.metrics["test"]
    found = tuple((_LEAK_NAMES[kind], f"{counts[kind]:,}") for kind in LEAK_KINDS)
    earlier = counts["earlier_run"]
    found += (("rows that an earlier run of this model learned from", "not known" if earlier is None else f"{earlier:,}"),)
    without = content.metrics.get("test_without_leaks")
    scores = None
    if without is not None:
        lines = tuple(
            (
                said,
                f"{result['n']:,}",
                f"{wording.share(result['accuracy'])} ({wording.share_between(result['intervals']['accuracy'])})",
                wording.estimate(result["macro"]["f1"], result["intervals"]["macro"]["f1"]),
            )
            for said, result in (("all test rows", test), ("without those that repeat", without))
        )
        scores = Table("Scores with and without them", ("rows", "number", "accuracy", "macro F1"), lines)
    return {
        "none": not any(counts[kind] for kind in (*LEAK_KINDS, "earlier_run")),
        "unknown": earlier is None,
        "table": Table("Validation and test rows that repeat what was learned from", ("what was looked for", "rows"), found),
        "scores": scores,
    }


def audit(content: ReportContent, wording: Wording) -> View:
    """Where the rows went, and what the audit found in them."""
    found = content.audit
    account = f"{found.records:,} records, {found.used:,} of them used and {found.rejected:,} rejected"
    if found.rejected:
        account += (
            f" ({', '.join(f'{reason}: {count:,}' for reason, count in found.rejected_by_reason.items())}; see rejected.csv)"
        )
    findings = []
    for finding in sorted(found.findings, key=lambda one: SEVERITIES.index(one.severity)):
        sign, style = _SIGNS[finding.severity]
        sentence = as_sentence(f"{finding.sentence}; {finding.advice}")
        findings.append({"finding": finding, "sentence": sentence, "sign": sign, "style": style})
    return {"account": f"{account}.", "notes": found.notes, "findings": findings, "imbalance": f"{found.imbalance_ratio:.1f}"}


def label_issues(content: ReportContent, wording: Wording) -> View:
    """Rows whose label may be wrong, with their texts."""
    counts, issues = content.metrics["label_issues"], content.label_issues
    doubted = as_sentence(counts["sentence"])
    if issues is None or not issues.rows:
        return {"sentence": doubted, "missing": issues is None, "table": None}
    named = ("id", "split", "label", "suggested", "probability_of_suggested")
    header = ("id", "split", "label given", "label suggested", "its probability", "text")
    return {
        "sentence": doubted,
        "missing": False,
        "table": _with_texts(
            "The most doubtful labels", issues, named, header, _more(issues, counts["found"], "label_issues.csv")
        ),
    }


def training_rows(content: ReportContent, wording: Wording) -> View:
    """Which rows were easy to learn and which were not, with the texts of the latter."""
    data_map, examples = content.metrics["data_map"], content.training_examples
    tables = []
    for region in _REGION_TITLES:
        rows_of = examples.where("region", region) if examples is not None else None
        if rows_of is not None and rows_of.rows:
            named = ("id", "label", "confidence", "variability", "correctness")
            note = _more(rows_of, data_map["counts"][region], "training_rows.csv")
            tables.append(_with_texts(_REGION_TITLES[region], rows_of, named, (*named, "text"), note))
    return {
        "sentence": as_sentence(data_map["sentence"]),
        "map": charts.data_map(data_map) if data_map["epochs"] > 1 else None,
        "missing": examples is None,
        "tables": tables,
    }


def mistakes(content: ReportContent, wording: Wording) -> View:
    """The wrong answers that the model was surest of, with their texts."""
    matrix, wrong = content.metrics["test"]["confusion_matrix"], content.mistakes
    count = sum(map(sum, matrix)) - sum(row[position] for position, row in enumerate(matrix))
    sentence = f"{count:,} of {rows(content.metrics['test']['n'])} {'was' if count == 1 else 'were'} answered wrong."
    if wrong is None or not wrong.rows:
        return {"sentence": sentence, "missing": wrong is None, "table": None}
    named = ("id", "label", "prediction", "probability")
    header = ("id", "true class", "answered", "with probability", "text")
    return {
        "sentence": sentence,
        "missing": False,
        "table": _with_texts("The surest wrong answers", wrong, named, header, _more(wrong, count, "mistakes.csv")),
    }


def _more(quoted: TextRows, count: int, file: str) -> str:
    """Where the other rows are, if there are any."""
    return f"The first {len(quoted.rows)} of {count:,}; {file} has all." if count > len(quoted.rows) else ""


def _with_texts(title: str, quoted: TextRows, named: tuple[str, ...], header: tuple[str, ...], note: str) -> Table:
    """Rows of a file that quotes texts, the text last, without personal data; shares get three digits."""
    columns = [
        [f"{float(cell):.3f}" for cell in quoted.column(name)] if name in SHARES else list(map(masked, quoted.column(name)))
        for name in named
    ]
    lines = tuple(zip(*columns, map(_shown, quoted.texts()), strict=True))
    return Table(title, header, lines, note)


def _shown(text: str) -> str:
    # Masked first, since half a number would not be known as one.
    return shortened(masked(text))


def traces(content: ReportContent, wording: Wording) -> View:
    """What each stage did, how training went, how one test row was judged."""
    return {
        "pipeline": content.trace.pipeline.tables(),
        "training": content.trace.training.tables(),
        "prediction": content.prediction.tables(),
        "text": _shown(" | ".join(content.prediction.text)),
        "label": content.prediction.label,
    }


def fingerprints(content: ReportContent, wording: Wording) -> View:
    """What the run was made from, with what, and where."""
    facts, training = content.facts, content.metrics["training"]
    sources = tuple(
        (
            "training data" if given_as == "train" else f"{given_as} data",
            source.name,
            rows(source.rows or 0) if source.bytes is None else size(source.bytes),
            source.sha256,
        )
        for given_as, source in facts.data.items()
    )
    kept = f"{training['epochs']}, of which epoch {training['best_epoch']} is kept; {training['steps']:,} steps"
    made = (
        ("pretrained model", facts.base_model),
        ("SHA-256 of its weights", facts.base_weights_sha256),
        ("SHA-256 of the split", facts.split_sha256),
        ("columns", listed(facts.columns)),
        ("seed", str(facts.settings.get("seed", ""))),
        ("head, learning rate, tokens read of a row", f"{facts.head}, {facts.learning_rate:g}, {facts.max_length:,}"),
        ("epochs", kept),
        ("machine", listed(facts.machine)),
        ("versions", listed(facts.versions)),
    )
    groups = ((name, listed(group)) for name, group in facts.settings.items() if isinstance(group, dict))
    in_force = tuple((name, entries) for name, entries in groups if entries)
    return {
        "sources": Table("Data", ("given as", "name", "size", "SHA-256"), sources),
        "made": Table("The run", ("what", "value"), made),
        "settings": Table("Settings in force", ("group", "settings"), in_force),
    }


def use(content: ReportContent, wording: Wording) -> View:
    """The commands that put the model to work."""
    pairs = "text_pair" in content.facts.columns
    run = shlex.quote(content.name)
    pair = ' --text-pair "its second text"' if pairs else ""
    arguments: list[Any] = ['"a text"', *(['"its second text"'] if pairs else [])]
    return {
        "shell": [
            f'surefit predict {run} "a text"{pair}',
            f"surefit predict {run} --input new.csv --output answers.csv",
            f"surefit evaluate {run} labelled.csv",
        ],
        "python": [
            "import surefit",
            f"classifier = surefit.load({content.name!r})",
            f"classifier.predict({', '.join(arguments)})",
        ],
        "name": content.name,
    }
