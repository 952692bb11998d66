"""`README.md` of a run: what the model is, how it was made, how good it is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from surefit.artifacts import RunDirectory, atomic_writer
from surefit.runs.leaks import unseen


def write_model_card(run: RunDirectory, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Writes the model card from what `settings.json` and `metrics.json` hold."""
    with atomic_writer(run.model_card) as file:
        file.write("\n".join(_lines(run, settings, metrics)) + "\n")


def _lines(run: RunDirectory, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    test = metrics["test"]
    classes = test["per_class"]
    data = settings["data"]["train"]
    machine = settings["machine"]
    pairs = "text_pair" in settings["columns"]
    row = "pair of texts" if pairs else "text"
    return [
        "# Text classifier, fine-tuned with SureFit",
        "",
        f"Sorts a {row} into one of {len(classes)} classes. Fine-tuned from {_cell(settings['base_model'])}.",
        "",
        "## How good it is",
        "",
        f"On {test['n']} test rows {unseen(metrics)}: accuracy {test['accuracy']:.4f}, macro F1 {test['macro']['f1']:.4f}.",
        "",
        *(f"- {entry['comparison']['sentence']}" for entry in metrics["baselines"].values()),
        "",
        "| class | precision | recall | F1 | test rows |",
        "|---|---|---|---|---|",
        *(
            f"| {_cell(name)} | {of['precision']:.4f} | {of['recall']:.4f} | {of['f1']:.4f} | {of['support']} |"
            for name, of in classes.items()
        ),
        "",
        "These figures hold for texts like those of the test rows, and for no others.",
        "",
        "## How it was made",
        "",
        f"- data: {_cell(data['name'])}, SHA-256 {data['sha256']}",
        f"- seed {settings['settings']['seed']}, {metrics['training']['epochs']} epochs, epoch "
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
    ]


def _cell(text: str) -> str:
    """Text that stays inside its table cell and is no markup."""
    escaped = "".join("\\" + letter if letter in "\\`*_{}[]<>()#|!" else letter for letter in text)
    return escaped.replace("\n", " ")
