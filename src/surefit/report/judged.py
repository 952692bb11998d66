"""What the first half of a report says: how good the model is, and how far its figures and probabilities hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from surefit.data.findings import counted
from surefit.evaluation.judgement import GOOD, NOT_RELIABLE, WITH_CARE
from surefit.evaluation.learning_curve import curve_sentences
from surefit.report import charts
from surefit.report.content import ReportContent
from surefit.report.refit_tables import curve_table, seed_tables
from surefit.report.wording import UNKNOWN_OF_CLASS, Wording, as_sentence, p_value, points, points_between, rows
from surefit.trace import Table

View = dict[str, Any]

# A sign and a class of the style sheet for each grade, so that colour never stands alone.
_SIGNS = {GOOD: ("✓", "good"), WITH_CARE: ("!", "care"), NOT_RELIABLE: ("✕", "bad")}
_MEANINGS = {
    GOOD: "Every check was passed: by accuracy and the differences from simpler models with the lower ends of their ranges, by "
    "the classes with their figures as measured, so that one may be worse than its figures; its ranges tell by how much.",
    WITH_CARE: "At least one check was not passed, or could not be decided; read the reasons before you rely on it.",
    NOT_RELIABLE: "At least one figure says that its answers must not be relied on.",
}
_MATRIX_CLASSES = 12
_CONFUSED_PAIRS = 20
_SORTED_FROM = 20
_CLASSES_SHOWN = 100
_CURVES_SHOWN = 6
_SHADES = 10


def verdict(content: ReportContent, wording: Wording) -> View:
    """The grade and its reasons."""
    found = content.metrics["verdict"]
    sign, style = _SIGNS[found["grade"]]
    return {
        "grade": found["grade"],
        "sign": sign,
        "style": style,
        "meaning": _MEANINGS[found["grade"]],
        "reasons": found["reasons"],
    }


def key_figures(content: ReportContent, wording: Wording) -> View:
    """Accuracy, macro F1, test rows, and what difference they could show."""
    test, coverage = content.metrics["test"], content.metrics["thresholds"]["coverage"]
    intervals = test["intervals"]
    tiles = [
        ("Accuracy", wording.share(test["accuracy"]), wording.share_between(intervals["accuracy"])),
        (
            "Macro F1",
            wording.figure(test["macro"]["f1"]),
            f"{wording.between(intervals['macro']['f1'])}; every class counts the same",
        ),
        ("Test rows", f"{test['n']:,}", f"of {len(test['per_class'])} classes, judged once, after training"),
    ]
    if test["answered"] < test["n"]:
        right = wording.share(1 - coverage["chosen"]["error"]) if test["answered"] else "none"
        said = f"of {test['n']:,}; {right} of these answers are right"
        tiles.append(("Rows answered", f"{test['answered']:,}", said))
    strongest = max(content.metrics["baselines"].values(), key=lambda entry: float(entry["accuracy"]))
    detectable = strongest["comparison"]["detectable"]
    if detectable < 100:
        said = f"of accuracy against {strongest['name']}: a true difference as large shows in four of five such test sets"
        tiles.append(("Detectable difference", f"{detectable:.1f} points", said))
    else:
        said = "between two models could be shown on so few rows"
        tiles.append(("Detectable difference", "none", said))
    return {
        "tiles": tiles,
        "abstains": test["answered"] < test["n"],
        "answered": test["answered"],
        "without_leaks": _without_leaks(content.metrics, wording),
    }


def _without_leaks(metrics: Mapping[str, Any], wording: Wording) -> str:
    """What the figures are without the test rows that repeat what was learned from; empty where none do, or all."""
    if "test_without_leaks" not in metrics:
        return ""
    left, test = metrics["test_without_leaks"], metrics["test"]
    of_all = f"of the {test['n']:,} test rows"
    leaking = counted(test["n"] - left["n"], f"{of_all} repeats", f"{of_all} repeat")
    accuracy = f"{wording.share(left['accuracy'])} ({wording.share_between(left['intervals']['accuracy'])})"
    f1 = wording.estimate(left["macro"]["f1"], left["intervals"]["macro"]["f1"])
    said = f"{leaking} what was learned from; without them accuracy is {accuracy} and macro F1 {f1}"
    return f"{said}. The verdict leaves them out; the sections below count them in."


def confusion(content: ReportContent, wording: Wording) -> View:
    """The confusion matrix, or the most confused pairs where the classes are many."""
    test = content.metrics["test"]
    names, matrix = list(test["per_class"]), test["confusion_matrix"]
    pairs = sorted(_confused(names, matrix), key=lambda pair: -pair[2])
    wrong = sum(count for _, _, count in pairs)
    if len(names) > _MATRIX_CLASSES:
        supports = [sum(row) for row in matrix]
        of_class = dict(zip(names, supports, strict=True))
        shown = tuple(
            (truth, said, f"{count:,}", f"{count / of_class[truth]:.0%}") for truth, said, count in pairs[:_CONFUSED_PAIRS]
        )
        note = f"{wrong:,} wrong answers in {len(pairs):,} pairs of classes; metrics.json has the whole matrix."
        header = ("true class", "taken for", "rows", "of the answered rows of the class")
        return {"pairs": Table("The classes most often taken for others", header, shown, note), "wrong": wrong}
    lines = []
    for position, (name, row) in enumerate(zip(names, matrix, strict=True)):
        support = test["per_class"][name]["support"]
        cells = [
            {"count": f"{count:,}", "shade": _shade(count, support), "style": "right" if column == position else "wrong"}
            for column, count in enumerate(row)
        ]
        lines.append({"name": name, "cells": cells, "unanswered": f"{support - sum(row):,}", "support": f"{support:,}"})
    return {"names": names, "lines": lines, "abstains": test["answered"] < test["n"], "wrong": wrong}


def _confused(names: list[str], matrix: list[list[int]]) -> Iterator[tuple[str, str, int]]:
    for truth, row in enumerate(matrix):
        for answer, count in enumerate(row):
            if count and answer != truth:
                yield names[truth], names[answer], count


def _shade(count: int, support: int) -> int:
    """From 0 for none to 10 for all rows of the class; what is there at all gets some."""
    return min(_SHADES, -(-_SHADES * count // max(support, 1)))


def classes(content: ReportContent, wording: Wording) -> View:
    """Precision, recall and F1 of each class, with intervals; the weakest first where they are many."""
    test = content.metrics["test"]
    entries = list(test["per_class"].items())
    by_f1 = len(entries) > _SORTED_FROM
    if by_f1:
        entries.sort(key=lambda entry: float(entry[1]["f1"]))
    shown = []
    for name, figures in entries[:_CLASSES_SHOWN]:
        intervals = test["intervals"]["per_class"][name]
        cells = (
            UNKNOWN_OF_CLASS[key] if intervals[key] is None else wording.estimate(figures[key], intervals[key])
            for key in UNKNOWN_OF_CLASS
        )
        shown.append((name, *cells, f"{figures['support']:,}"))
    averages = tuple(
        (
            f"{kind} average",
            *(wording.estimate(test[kind][key], test["intervals"][kind][key]) for key in UNKNOWN_OF_CLASS),
            f"{test['n']:,}",
        )
        for kind in ("macro", "weighted")
    )
    note = (
        f"The {_CLASSES_SHOWN} classes with the lowest F1 of {len(entries)}; metrics.json has all."
        if len(entries) > _CLASSES_SHOWN
        else ""
    )
    title = "Figures by class, the lowest F1 first" if by_f1 else "Figures by class"
    header = ("class", "precision", "recall", "F1", "test rows")
    return {"table": Table(title, header, (*shown, *averages), note)}


def baselines(content: ReportContent, wording: Wording) -> View:
    """Simpler models on the same rows, and how far the fine-tuned one is from each."""
    test = content.metrics["test"]
    own = ("fine-tuned model", *_scores(test, wording), "", "", "")
    lines = [own]
    for entry in content.metrics["baselines"].values():
        against = entry["comparison"]
        difference = f"{points(against['difference'])} ({points_between(against['interval'])})"
        macro = f"{points(against['macro_f1_difference'])} ({points_between(against['macro_f1_interval'])})"
        lines.append((entry["name"], *_scores(entry, wording), difference, macro, p_value(against["p_value"])))
    header = (
        "model",
        "accuracy",
        "macro F1",
        "fine-tuned is better by (points of accuracy)",
        "and by (points of macro F1)",
        "p-value",
    )
    sentences = [as_sentence(entry["comparison"]["sentence"]) for entry in content.metrics["baselines"].values()]
    return {
        "table": Table("The fine-tuned model and simpler ones", header, tuple(lines)),
        "sentences": sentences,
        "abstains": test["answered"] < test["n"],
    }


def _scores(result: Mapping[str, Any], wording: Wording) -> tuple[str, str]:
    intervals = result["intervals"]
    accuracy = f"{wording.share(result['accuracy'])} ({wording.share_between(intervals['accuracy'])})"
    return accuracy, wording.estimate(result["macro"]["f1"], intervals["macro"]["f1"])


def decision(content: ReportContent, wording: Wording) -> View:
    """The rule by which probabilities become answers, and what other rules would do."""
    found, test = content.metrics["thresholds"], content.metrics["test"]
    chosen, curves = found["coverage"]["chosen"], found["curves"]
    weakest = sorted(curves, key=lambda name: float(curves[name]["chosen"]["f1"]))[:_CURVES_SHOWN]
    of_class = test["intervals"]["per_class"]
    drawn = []
    for number, name in enumerate(name for name in curves if name in weakest):
        answered = of_class[name]["precision"] is not None
        chart = charts.precision_recall(f"pr{number}", name, curves[name], answered=answered, wording=wording)
        drawn.append({"name": name, "chart": chart, "answered": answered})
    on_test = f"It answers {chosen['answered']:,} of {rows(test['n'], 'test row')}"
    if chosen["answered"]:
        on_test += f", of which {wording.share(chosen['error'])} ({wording.share_between(chosen['error_interval'])}) are wrong"
    facts = [f"{on_test}."]
    costs = found["costs"]
    if costs is not None:
        others = f"giving the most probable class to the same rows would cost {costs['most_probable']:.4g}"
        between = costs["rule_interval"]
        range_ = "" if between is None else f" ({between[0]:.4g} to {between[1]:.4g})"
        facts.append(f"By the table of costs, an answer costs {costs['rule']:.4g} on average{range_}; {others}.")
    return {
        "sentence": found["fitted"]["sentence"],
        "reached": found["fitted"]["reached"],
        "facts": facts,
        "coverage": charts.coverage_error(found["coverage"], wording),
        "curves": drawn,
        "classes": len(test["per_class"]),
        "kept": len(curves),
    }


def calibration(content: ReportContent, wording: Wording) -> View:
    """Whether probabilities mean what they say, before and after the temperature."""
    found = content.metrics["calibration"]
    before, after = found["before"], found["after"]
    changed = found["temperature"] != 1
    limits = charts.reliability_limits((before, after))
    if changed:
        drawn = [
            charts.reliability("before", "Reliability before calibration", before, limits, wording),
            charts.reliability("after", "Reliability after calibration", after, limits, wording),
        ]
    else:
        drawn = [charts.reliability("after", "Reliability of the probabilities", after, limits, wording)]
    names = {
        "expected_calibration_error": ("calibration error", ""),
        "expected_by_chance": ("calibration error that right probabilities would show by chance, at most", ""),
        "brier_score": ("Brier score", "brier_interval"),
        "log_loss": ("log loss", "log_loss_interval"),
    }
    shown = (before, after) if changed else (after,)
    lines = tuple(
        (said, *(_with_interval(one[name], one.get(interval)) for one in shown)) for name, (said, interval) in names.items()
    )
    header = ("figure, the lower the better", *(("before", "after") if changed else ("value",)))
    return {
        "sentence": as_sentence(found["sentence"]),
        "temperature": f"{found['temperature']:.3g}",
        "changed": changed,
        "table": Table(f"Calibration on {rows(after['n'])}", header, lines),
        "charts": drawn,
    }


def learning(content: ReportContent, wording: Wording) -> View:
    """Overfitting, the course of the loss, whether more labels would help, and what another seed does."""
    found, curve = content.metrics["overfitting"], content.metrics["learning_curve"]
    seeds = content.metrics.get("seeds")
    training, validation = wording.share(found["training_accuracy"]), wording.share(found["validation_accuracy"])
    learned = f"Of {rows(found['training_rows'])} that it learned from, the model knows {training}"
    gap = [100 * end for end in found["gap_interval"]]
    known = f"{learned}, of {rows(content.metrics['validation']['n'], 'validation row')} {validation}"
    return {
        "sentence": f"{known}: a gap of {points(100 * found['gap'])} points ({points_between(gap)}).",
        "ended": content.trace.training.ended,
        "loss": charts.loss(content.trace.training),
        "learning": charts.learning_curve(curve, wording),
        "more_labels": [as_sentence(sentence) for sentence in curve_sentences(curve)],
        "fine_tuned": curve_table(curve, wording) if "fine_tuned" in curve else None,
        "stability": None if seeds is None else as_sentence(seeds["sentence"]),
        "seeds": () if seeds is None else seed_tables(seeds),
    }


def _with_interval(value: float, interval: list[float] | None) -> str:
    return f"{value:.3f}" if interval is None else f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
