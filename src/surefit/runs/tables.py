"""What metrics and predictions say, as tables to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefit.evaluation.learning_curve import curve_sentences
from surefit.report.refit_tables import curve_table, seed_tables
from surefit.report.wording import Wording
from surefit.runs.drift_tables import drift_table, predicted_table
from surefit.runs.leaks import learned_warning, unseen
from surefit.runs.rejected import where_rejected
from surefit.trace import Table

if TYPE_CHECKING:
    from surefit.runs.predicted import PredictedRows

_CLASSES_SHOWN = 30
_CONFUSION_CLASSES = 12
_CONFUSED_PAIRS = 8


def evaluation_tables(metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    """Figures by class, confusion matrix and baselines of a run's test rows, what else is known, and the verdict."""
    figures = figures_tables(metrics["test"], f"Evaluation on the test rows {unseen(metrics)}")
    found = (_baselines(metrics), *_refits(metrics), _data_map(metrics["data_map"]), _further(metrics))
    return (*figures, *found, _verdict(metrics["verdict"]))


def evaluated_tables(figures: Mapping[str, Any], rejected: Path | None) -> tuple[Table, ...]:
    """Figures, or predicted classes where there are no labels, of a file that a model was tried on, and drift.

    Args:
        figures: what `evaluate_file` found.
        rejected: where the rejected rows were written, if anywhere.
    """
    warning = learned_warning(figures["leaks"]["exact"])
    title = f"Evaluation on {figures['file']}" + (f" ({warning})" if warning else "")
    account = rows_account(figures, rejected)
    if figures["result"] is None:
        tables: tuple[Table, ...] = (predicted_table(figures, title, account),)
    else:
        tables = figures_tables(figures["result"], title, account)
    if figures["drift"] is not None:
        tables += (drift_table(figures["drift"], figures["records"] - figures["rejected"]),)
    return tables


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
    intervals = result["intervals"]
    rows = [(name, *_three(figures, intervals["per_class"][name]), f"{figures['support']:,}") for name, figures in shown]
    rows += [(f"{kind} average", *_three(result[kind], intervals[kind]), f"{result['n']:,}") for kind in ("macro", "weighted")]
    low, high = intervals["accuracy"]
    note = f"accuracy {result['accuracy']:.2%} ({low:.2%} to {high:.2%}) on {result['n']:,} rows; ranges are 95% intervals"
    if result["answered"] < result["n"]:
        note += f", of which {result['answered']:,} are answered; those that the model abstained from count as not right"
    if len(classes) > len(shown):
        note += f"; the {len(shown)} classes with the lowest F1 of {len(classes)} are shown, metrics.json has all"
    return Table(title, ("class", "precision", "recall", "F1", "rows"), tuple(rows), note, lead)


def _three(figures: Mapping[str, float], intervals: Mapping[str, Any]) -> tuple[str, str, str]:
    precision, recall, f1 = (_with_interval(figures[name], intervals[name]) for name in ("precision", "recall", "f1"))
    return precision, recall, f1


def _with_interval(figure: float, interval: Sequence[float] | None) -> str:
    if interval is None:
        return f"{figure:.4f}"
    return f"{figure:.4f}\n{interval[0]:.2f}–{interval[1]:.2f}"


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
    detectable = max(entry["comparison"]["detectable"] for key, entry in metrics["baselines"].items() if key != "majority")
    note = f"differences of {detectable:.1f} points and more would be found on these test rows, four times of five"
    title = "Is fine-tuning worth it? Simpler models on the same split"
    return Table(title, ("model", "accuracy", "macro F1", ""), tuple(rows), note)


def _refits(metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    """What trainings beside the run's own have shown, where there were any."""
    seeds, curve = metrics.get("seeds"), metrics["learning_curve"]
    tables = () if seeds is None else seed_tables(seeds)
    if "fine_tuned" in curve:
        return (*tables, curve_table(curve, Wording.of(metrics["test"]["intervals"]["accuracy"])))
    return tables


def _further(metrics: Mapping[str, Any]) -> Table:
    fitting = metrics["overfitting"]
    known = f"it knows {fitting['training_accuracy']:.2%} of the rows it learned from, {fitting['validation_accuracy']:.2%}"
    rows = (
        ("decision rule", metrics["thresholds"]["fitted"]["sentence"]),
        ("probabilities", metrics["calibration"]["sentence"]),
        ("overfitting", f"{known} of the validation rows"),
        ("more labels?", "\n".join(curve_sentences(metrics["learning_curve"]))),
        *([("other seeds", metrics["seeds"]["sentence"])] if "seeds" in metrics else []),
        ("label errors", metrics["label_issues"]["sentence"]),
    )
    return Table("What else is known", ("about", ""), rows)


def _verdict(verdict: Mapping[str, Any]) -> Table:
    return Table(f"Verdict: {verdict['grade']}", ("reasons",), tuple((reason,) for reason in verdict["reasons"]))


_REGION_SENTENCES = {
    "hard": "never right: look here for wrong labels",
    "ambiguous": "right in some epochs: learned late, or unclear",
    "easy": "right in every epoch",
}


def _data_map(data_map: Mapping[str, Any]) -> Table:
    rows = [
        (region, said, f"{data_map['counts'][region]:,}", ", ".join(data_map["examples"][region]))
        for region, said in _REGION_SENTENCES.items()
    ]
    note = f"{data_map['sentence']}; training_rows.csv has each row, training_examples.csv some with their texts"
    return Table("Which training rows were hard to learn", ("", "", "rows", "most of all, by id"), tuple(rows), note)


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
