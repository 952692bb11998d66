"""What trainings beside a run's own have shown, as tables: other seeds, and parts of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surefit.report.wording import Wording, as_sentence
from surefit.trace import Table

_CLASSES_SHOWN = 20
_JUDGED = "judged is the most probable class of each test row, whatever the decision rule says"
_FIGURES = {"accuracy": "accuracy", "macro_f1": "macro F1", "loss": "log loss"}
_SPREAD = {"mean": "mean", "standard_deviation": "standard deviation", "smallest": "smallest", "largest": "largest"}


def seed_tables(seeds: Mapping[str, Any]) -> tuple[Table, Table]:
    """The figures of each seed with their spread, and the spread of each class's recall.

    Args:
        seeds: `seeds` in `metrics.json`.
    """
    wording = Wording.of((0.0, seeds["accuracy"]["standard_deviation"]))  # digits that show how little may move
    lines = [(f"seed {of['seed']}", *(wording.figure(of[name]) for name in _FIGURES)) for of in seeds["seeds"]]
    lines += [(said, *(wording.figure(seeds[name][key]) for name in _FIGURES)) for key, said in _SPREAD.items()]
    note = as_sentence(f"trained alike on the same rows with {len(seeds['seeds'])} seeds; {_JUDGED}")
    of_seeds = Table("The same training with other seeds", ("", *_FIGURES.values()), tuple(lines), note)

    widest = sorted(seeds["recall"].items(), key=lambda entry: -_width(entry[1]))
    classes = dict(widest[:_CLASSES_SHOWN]) if len(widest) > _CLASSES_SHOWN else seeds["recall"]
    note = (
        f"The {_CLASSES_SHOWN} of {len(widest)} classes that move most; metrics.json has all."
        if classes != seeds["recall"]
        else ""
    )
    shown = tuple((name, *_spread(spread, wording)) for name, spread in classes.items())
    return of_seeds, Table("Recall of each class over the seeds", ("class", *_SPREAD.values()), shown, note)


def _width(spread: Mapping[str, float] | None) -> float:
    return 0.0 if spread is None else spread["largest"] - spread["smallest"]


def _spread(spread: Mapping[str, float] | None, wording: Wording) -> tuple[str, ...]:
    if spread is None:
        return "no test rows", *[""] * (len(_SPREAD) - 1)
    return tuple(wording.figure(spread[key]) for key in _SPREAD)


def curve_table(curve: Mapping[str, Any], wording: Wording) -> Table:
    """The points of the fine-tuned model's learning curve and of the simple model's, with their intervals.

    Args:
        curve: `learning_curve` in `metrics.json`, with that of the fine-tuned model.
        wording: of the figures.
    """
    models = {"fine-tuned model": curve["fine_tuned"], "simple model": curve}
    lines = tuple(
        (
            model,
            f"{point['rows']:,}",
            f"{wording.share(point['accuracy'])} ({wording.share_between(point['accuracy_interval'])})",
            wording.estimate(point["macro_f1"], point["macro_f1_interval"]),
        )
        for model, of in models.items()
        for point in of["points"]
    )
    note = as_sentence(
        f"each point is one training with one seed, as many epochs for each; {_JUDGED}; the simple model is logistic "
        "regression on frozen embeddings; ranges are 95% intervals of what other test rows would give"
    )
    return Table("Score by the number of training rows", ("model", "training rows", "accuracy", "macro F1"), lines, note)
