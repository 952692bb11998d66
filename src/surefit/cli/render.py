"""Draws tables and curves on the terminal. What they say is decided elsewhere.

Texts are set as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from surefit.cli.printable import printable
from surefit.trace import RunTrace, Table, TrainingTrace

_CURVE_HEIGHT = 10
_CURVE_WIDTH = 72
# One for each curve, so that they differ without colour too.
_CURVE_SIGNS = "·◆"


def draw(table: Table) -> RenderableType:
    """A table for the terminal, its title and lead above and its note below."""
    rich_table = RichTable(
        title_justify="left", header_style="bold", show_lines=any("\n" in "".join(row) for row in table.rows)
    )
    for position, column in enumerate(table.columns):
        numbers = all(_is_number(row[position]) for row in table.rows)
        rich_table.add_column(plain(column), overflow="fold", justify="right" if numbers else "left")
    for row in table.rows:
        rich_table.add_row(*(plain(cell) for cell in row))
    lead = [plain(table.lead)] if table.lead else []
    note = [plain(table.note, "italic")] if table.note else []
    return Padding(Group(plain(table.title, "bold cyan"), *lead, rich_table, *note), (1, 0, 0, 0))


def _is_number(cell: str) -> bool:
    """Whether a cell is a figure, and so stands right in its column."""
    return cell.replace(",", "").replace(".", "", 1).removeprefix("-").removesuffix("%").isdigit()


def plain(text: str, style: str = "") -> Text:
    """A text as it is, without markup, links or control characters."""
    return Text(printable(text), style)


def draw_loss_curve(training: TrainingTrace, width: int) -> RenderableType:
    """The loss of each step, smoothed, and the validation loss after each epoch.

    Args:
        training: the trace.
        width: columns that the terminal has.
    """
    from uniplot import plot_to_string

    losses = smooth(training.step_losses)
    steps = list(range(1, len(losses) + 1))
    per_epoch = len(losses) / len(training.epochs)
    ends = [round(per_epoch * number) for number in range(1, len(training.epochs) + 1)]
    drawn = plot_to_string(
        [losses, [epoch.validation_loss for epoch in training.epochs]],
        xs=[steps, ends],
        lines=[True, False],
        width=max(20, min(_CURVE_WIDTH, width - 12)),
        height=_CURVE_HEIGHT,
        legend_labels=["training (running mean)", "validation (after each epoch)"],
        character_set="ascii",
        force_ascii_characters=list(_CURVE_SIGNS),
        color=False,
    )
    return Padding(Group(Text("Loss by step", style="bold cyan"), Text(drawn)), (1, 0, 0, 0))


def smooth(losses: Sequence[float]) -> list[float]:
    """Mean of each loss and those just before it, over about a thirtieth of the run."""
    window = max(1, len(losses) // 30)
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    return [(sums[end] - sums[max(0, end - window)]) / min(end, window) for end in range(1, len(sums))]


def print_tables(console: Console, tables: Sequence[Table]) -> None:
    """Prints tables one below the other."""
    for table in tables:
        console.print(draw(table))


def print_run_trace(console: Console, trace: RunTrace) -> None:
    """Prints the pipeline trace, the loss curve and the training trace."""
    print_tables(console, trace.pipeline.tables())
    console.print(draw_loss_curve(trace.training, console.width))
    print_tables(console, trace.training.tables())
