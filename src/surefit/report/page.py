"""The page: which sections a report has, in which order, and how they become one HTML file.

Every text is escaped where it is set (jinja2 with autoescape); there is no script, and the content security policy
allows none, nor any request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from surefit.printable import printable
from surefit.report import grounds, judged
from surefit.report.content import ReportContent
from surefit.report.judged import View
from surefit.report.wording import UNKNOWN_OF_CLASS, Wording
from surefit.trace import Table

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")
# A fingerprint may begin with a digit too.
_LONGEST_FIGURE = 40


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        key: its place in links, and the name of its template.
        title: its heading.
        lead: what the reader sees, and how to read it, for who is no statistician.
        view: what its template shows.
    """

    key: str
    title: str
    lead: str
    view: Callable[[ReportContent, Wording], View]


SECTIONS = (
    Section(
        "verdict",
        "Verdict",
        "What all figures of this run together allow one to say, and why; the reason that weighs most comes first.",
        judged.verdict,
    ),
    Section(
        "figures",
        "Key figures",
        "All figures are those of the test rows; where a range is given, it holds the true value in 95 of 100 cases, "
        "so that small differences within it mean nothing.",
        judged.key_figures,
    ),
    Section(
        "confusion",
        "What is taken for what",
        "In the matrix, each row stands for a true class and each column for an answer, so that right answers lie on the "
        "diagonal; of more than a dozen classes, the pairs that are mixed up most often are listed instead.",
        judged.confusion,
    ),
    Section(
        "classes",
        "Class by class",
        "Precision says how many of the answers of a class are right, recall how many texts of a class are found, F1 joins the "
        "two; the wider the range in brackets, the less is known.",
        judged.classes,
    ),
    Section(
        "baselines",
        "Is it worth it?",
        "Simpler and cheaper models were fitted to the same rows: where the range of a difference includes zero, the "
        "fine-tuned model is not shown to be better.",
        judged.baselines,
    ),
    Section(
        "decision",
        "How probabilities become answers",
        "The rule was fitted on validation rows and is saved with the model; the curves show what other rules would do on the "
        "test rows, the diamond what this one does.",
        judged.decision,
    ),
    Section(
        "calibration",
        "Can the probabilities be believed?",
        "Of all texts that are given 90%, nine in ten should be right: points below the dashed line mean that the model is "
        "surer than it should be, points above it that it is too modest.",
        judged.calibration,
    ),
    Section(
        "learning",
        "Overfitting, stability, and would more labels help?",
        "A model that knows its training rows much better than new ones has learned them by heart; a curve that still rises at "
        "its right end says that more labelled rows would help; figures that another seed moves are known no better than that.",
        judged.learning,
    ),
    Section(
        "leaks",
        "Leaks",
        "Rows that judge the model and repeat something that it learned from make figures look too good; they were looked for "
        "and counted.",
        grounds.leaks,
    ),
    Section(
        "audit",
        "What was found in the data",
        "The data were looked through before training; each finding says how much it matters and what to do about it.",
        grounds.audit,
    ),
    Section(
        "label-issues",
        "Labels that may be wrong",
        "For each of these rows, a model that had not seen its label was sure of another one: look at them one by one, since "
        "some are right after all.",
        grounds.label_issues,
    ),
    Section(
        "training-rows",
        "Which rows were hard to learn",
        "How sure the model was of each training row's label while it learned, and how much that changed from epoch to epoch: "
        "wrong labels are found among the hard rows, unclear cases among the ambiguous ones.",
        grounds.training_rows,
    ),
    Section(
        "mistakes",
        "Worst mistakes",
        "Test rows that were answered wrong, those first of whose answer the model was surest; what they have in common is "
        "what the model does not know.",
        grounds.mistakes,
    ),
    Section(
        "traces",
        "Three traces",
        "What happened to the data at every stage, how training went from epoch to epoch, and how one test row was judged, "
        "step by step.",
        grounds.traces,
    ),
    Section(
        "fingerprints",
        "Data and settings",
        "With the same data, settings and versions the run can be made again; a SHA-256 is a fingerprint that changes with "
        "every byte.",
        grounds.fingerprints,
    ),
    Section(
        "use",
        "How to use the model",
        "The figures of this page hold for texts like those of the test rows, and for no others.",
        grounds.use,
    ),
)


def render_report(content: ReportContent) -> str:
    """The report as one HTML file.

    Args:
        content: what the files of a run say.

    Returns:
        the page; the same for the same content.
    """
    wording = Wording.of(content.metrics["test"]["intervals"]["accuracy"])
    views = {section.key: section.view(content, wording) for section in SECTIONS}
    return (
        _environment()
        .get_template("page.html")
        .render(content=content, base_model=Path(content.facts.base_model).name, sections=SECTIONS, views=views)
    )


@cache
def _environment() -> Environment:
    # Here, because help pages have no use for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure_columns"] = figure_columns
    return environment


def _harmless(value: Any) -> Any:
    """What is about to be set: texts lose what could show a line in another order; what is markup already stays."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def figure_columns(table: Table) -> list[bool]:
    """Which columns of a table hold figures, and so stand right."""
    return [_are_figures([row[place] for row in table.rows]) for place in range(len(table.columns))]


def _are_figures(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell and cell not in UNKNOWN_OF_CLASS.values()]
    begin_so = (cell.lstrip("+-< \u00a0")[:1].isdigit() and len(cell) < _LONGEST_FIGURE for cell in filled)
    return bool(filled) and all(begin_so)
