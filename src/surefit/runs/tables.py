"""What metrics and predictions say, as tables to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefit.runs.leaks import unseen
from surefit.runs.rejected import where_rejected
from surefit.trace import Table

if TYPE_CHECKING:
    from surefit.runs.predicted import PredictedRows

_CLASSES_SHOWN = 30
_CONFUSION_CLASSES = 12
_CONFUSED_PAIRS = 8


def evaluation_tables(metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    """Figures by class, confusion matrix and baselines of a run's test rows."""
    return (*figures_tables(metrics["test"], f"Evaluation on the test rows {unseen(metrics)}"), _baselines(metrics))


def figures_tables(result: Mapping[str, Any], title: str, lead: str = "") -> tuple[Table, ...]:
    """Figures by class and confusion matrix.

    Args:
        result: as in `metrics.json`.
        title: what was judged on what.
        lead: what is to be read before the figures.
    """
    return _per_class(result, title, lead), _confusion(result)


def rows_account(figures: Mapping[str, Any], rejected: Path | None) -> str:
    """Where the records of an evaluated file went.

    Args:
        figures: what `evaluate_file` found.
        rejected: where the rejected rows were written, if anywhere.
    """
    used = figures["records"] - figures["rejected"]
    account = f"records: {figures['records']:,}; used: {used:,}; rejected: {figures['rejected']:,}"
    if not figures["rejected"]:
        return account
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in figures["rejected_by_reason"].items())
    return f"{account} ({reasons}); {where_rejected(rejected)}"


def _per_class(result: Mapping[str, Any], title: str, lead: str) -> Table:
    classes = list(result["per_class"].items())
    shown = sorted(classes, key=lambda item: item[1]["f1"])[:_CLASSES_SHOWN] if len(classes) > _CLASSES_SHOWN else classes
    rows = [(name, *_three(figures), f"{figures['support']:,}") for name, figures in shown]
    rows += [(f"{kind} average", *_three(result[kind]), f"{result['n']:,}") for kind in ("macro", "weighted")]
    note = f"accuracy {result['accuracy']:.2%} on {result['n']:,} rows"
    if result["answered"] < result["n"]:
        note += f", of which {result['answered']:,} are answered; those that the model abstained from count as not right"
    if len(classes) > len(shown):
        note += f"; the {len(shown)} classes with the lowest F1 of {len(classes)} are shown, metrics.json has all"
    return Table(title, ("class", "precision", "recall", "F1", "rows"), tuple(rows), note, lead)


def _three(figures: Mapping[str, float]) -> tuple[str, str, str]:
    return f"{figures['precision']:.4f}", f"{figures['recall']:.4f}", f"{figures['f1']:.4f}"


def _confusion(result: Mapping[str, Any]) -> Table:
    names, matrix = list(result["per_class"]), result["confusion_matrix"]
    if len(names) <= _CONFUSION_CLASSES:
        rows = tuple((name, *(f"{count:,}" for count in row)) for name, row in zip(names, matrix, strict=True))
        return Table("Confusion matrix: rows are the truth, columns the predictions", ("truth", *names), rows)
    wrong = [
        (matrix[i][j], names[i], names[j]) for i in range(len(names)) for j in range(len(names)) if i != j and matrix[i][j]
    ]
    worst = sorted(wrong, key=lambda entry: -entry[0])[:_CONFUSED_PAIRS]
    note = f"{sum(entry[0] for entry in wrong):,} mistakes in all; metrics.json has the whole matrix"
    return Table(
        "The classes most often taken for others",
        ("truth", "predicted", "rows"),
        tuple((truth, predicted, f"{count:,}") for count, truth, predicted in worst),
        note,
    )


def _baselines(metrics: Mapping[str, Any]) -> Table:
    rows = [("fine-tuned model", f"{metrics['test']['accuracy']:.2%}", f"{metrics['test']['macro']['f1']:.4f}", "")]
    rows += [
        (entry["name"], f"{entry['accuracy']:.2%}", f"{entry['macro']['f1']:.4f}", entry["comparison"]["sentence"])
        for entry in metrics["baselines"].values()
    ]
    return Table(
        "Is fine-tuning worth it? Simpler models on the same split", ("model", "accuracy", "macro F1", ""), tuple(rows)
    )


def prediction_table(predicted: PredictedRows) -> Table:
    """Predictions for the terminal."""
    texts = list(zip(predicted.texts, *filter(None, [predicted.text_pairs]), strict=True))
    rows = [
        (
            *given,
            said.label or f"({said.unanswered})",
            f"{said.score:.4f}" if said.labels or said.abstained else "",
            "yes" if said.truncated else "",
        )
        for given, said in zip(texts, predicted.predictions, strict=True)
    ]
    names = ("text",) if predicted.text_pairs is None else ("text", "second text")
    return Table("Predictions", (*names, "label", "probability", "truncated"), tuple(rows))
