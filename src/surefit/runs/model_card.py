"""`README.md` of a run: what the model is, how it was made, how good it is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from surefit.artifacts import RunDirectory, atomic_writer
from surefit.evaluation.learning_curve import curve_sentences
from surefit.printable import printable
from surefit.report.wording import UNKNOWN_OF_CLASS, rows
from surefit.runs.leaks import leak_warnings, unseen


def write_model_card(run: RunDirectory, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Writes the model card from what `settings.json` and `metrics.json` hold."""
    card = printable("\n".join(_lines(run, settings, metrics))) + "\n"
    with atomic_writer(run.model_card, binary=True) as file:
        file.write(card.encode("utf-8", "replace"))  # a directory's name may be no UTF-8


def _lines(run: RunDirectory, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    data = settings["data"]["train"]
    machine = settings["machine"]
    pairs = "text_pair" in settings["columns"]
    row = "pair of texts" if pairs else "text"
    verdict = metrics["verdict"]
    return [
        "# Text classifier, fine-tuned with SureFit",
        "",
        f"Sorts a {row} into one of {len(metrics['test']['per_class'])} classes. "
        f"Fine-tuned from {_cell(settings['base_model'])}.",
        "",
        f"## Verdict: {verdict['grade']}",
        "",
        *(f"- {_cell(reason)}" for reason in verdict["reasons"]),
        "",
        "## How good it is",
        "",
        *_figures(metrics),
        "",
        "## How it answers",
        "",
        f"{_cell(metrics['thresholds']['fitted']['sentence'])} The rule is saved with the model.",
        "",
        f"Of its probabilities: {_cell(metrics['calibration']['sentence'])}.",
        "",
        "## Known limits",
        "",
        *(f"- {_cell(limit)}" for limit in _limits(metrics)),
        "",
        "## How it was made",
        "",
        f"- data: {_cell(data['name'])}, SHA-256 {data['sha256']}",
        f"- seed {settings['settings']['seed']}, {rows(metrics['training']['epochs'], 'epoch')}, epoch "
        f"{metrics['training']['best_epoch']} kept, rows cut at {settings['max_length']} tokens",
        f"- machine: {machine['processor']}, threads: {machine['threads']}, {machine['device']}, {machine['precision']}",
        f"- versions: {', '.join(f'{name} {number}' for name, number in settings['versions'].items())}",
        "",
        "## How to use it",
        "",
        "```",
        f'surefit predict {shlex.quote(str(run.path))} "a text"' + (' --text-pair "its second text"' if pairs else ""),
        "```",
        "",
        '`model/` loads in `transformers.pipeline("text-classification")` too.',
        "",
        "`report.html` shows all of this, with charts, examples and the worst mistakes.",
    ]


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    test = metrics["test"]
    intervals = test["intervals"]
    figures = {"accuracy": (test["accuracy"], intervals["accuracy"])}
    figures["macro F1"] = (test["macro"]["f1"], intervals["macro"]["f1"])
    said = ", ".join(f"{name} {value:.4f}{_between(interval)}" for name, (value, interval) in figures.items())
    return [
        f"On {test['n']} test rows {unseen(metrics)}: {said}. Brackets hold 95% intervals.",
        *_abstained(test, metrics["thresholds"]["coverage"]["chosen"]),
        "",
        *(f"- {entry['comparison']['sentence']}" for entry in metrics["baselines"].values()),
        "",
        "| class | precision | recall | F1 | test rows |",
        "|---|---|---|---|---|",
        *(_class_row(name, of, intervals["per_class"][name]) for name, of in test["per_class"].items()),
    ]


def _abstained(test: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    """What a rule that abstains does on the test rows, and how the figures count it."""
    if test["answered"] == test["n"]:
        return []
    answers = f"The rule answers {test['answered']} of them ({chosen['coverage']:.1%})"
    counted = "Accuracy, recall and F1 count rows without an answer as not right"
    if test["answered"]:
        low, high = chosen["error_interval"]
        answers += f", {chosen['error']:.1%} of these wrong [{low:.1%}, {high:.1%}]"
        counted += ", while the verdict judges those with one"
    return [f"{answers}. {counted}. Differences from simpler models count what the model would say of every row."]


def _class_row(name: str, of: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    figures = (
        unknown if intervals[figure] is None else f"{of[figure]:.4f}{_between(intervals[figure])}"
        for figure, unknown in UNKNOWN_OF_CLASS.items()
    )
    return f"| {_cell(name)} | {' | '.join(figures)} | {of['support']} |"


def _between(interval: Sequence[float]) -> str:
    return f" [{interval[0]:.2f}, {interval[1]:.2f}]"


def _limits(metrics: Mapping[str, Any]) -> list[str]:
    """What a user of the model must know of where its figures end."""
    gap = metrics["overfitting"]
    return [
        "The figures hold for texts like those of the test rows, and for no others.",
        *_leaks(metrics["leaks"]),
        f"{metrics['label_issues']['sentence']}.",
        f"It knows {gap['training_accuracy']:.1%} of {rows(gap['training_rows'])} that it learned from and "
        f"{gap['validation_accuracy']:.1%} of {rows(metrics['validation']['n'], 'validation row')}.",
        f"More labels: {'; '.join(curve_sentences(metrics['learning_curve']))}.",
        *([f"Other seeds: {metrics['seeds']['sentence']}."] if "seeds" in metrics else []),
    ]


def _leaks(leaks: Mapping[str, int | None]) -> list[str]:
    unknown = ["Whether the model has learned from some of the test rows is not known."] if leaks["earlier_run"] is None else []
    return [*leak_warnings(leaks), *unknown] or ["No test or validation row repeats a row that was learned from."]


def _cell(text: str) -> str:
    """Text that stays inside its table cell and is no markup."""
    escaped = "".join("\\" + letter if letter in "\\`*_{}[]<>()#|!" else letter for letter in text)
    return escaped.replace("\n", " ")
