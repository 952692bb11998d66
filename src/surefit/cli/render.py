"""Draws tables and curves on the terminal. What they say is decided elsewhere.

Texts are set as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from surefit.printable import printable
from surefit.trace import RunTrace, Table, TrainingTrace, smooth

# The least width that a column of longer texts has in a grid; narrower ones are hard to read.
_PROSE_WIDTH = 20
_CURVE_HEIGHT = 10
_CURVE_WIDTH = 72
# One for each curve, so that they differ without colour too.
_CURVE_SIGNS = "·◆"


def draw(table: Table) -> RenderableType:
    """A table for the terminal, its title and lead above and its note below."""
    lead = [plain(table.lead)] if table.lead else []
    note = [plain(table.note, "italic")] if table.note else []
    return Padding(Group(plain(table.title, "bold cyan"), *lead, _Rows(table), *note), (1, 0, 0, 0))


class _Rows:
    """The rows of a table: a grid where its columns fit the terminal, else a block for each row.

    Args:
        table: the table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = column_widths(self._table, options.max_width)
        yield _grid(self._table, widths) if widths else _blocks(self._table)


def column_widths(table: Table, width: int) -> list[int]:
    """How wide each column of a grid is, or nothing where the grid does not fit.

    Each column gets what it needs; what is left goes to the narrowest that want more, so that it
    is the longest prose that wraps.

    Args:
        table: the table.
        width: columns that the terminal has.
    """
    columns = [[printable(cell) for cell in column] for column in zip(table.columns, *table.rows, strict=True)]
    widths = [_needed_width(header, cells) for header, *cells in columns]
    wanted = [_widest("\n".join(column).split("\n")) for column in columns]
    room = width - 3 * len(columns) - 1  # each column has a border and two spaces, the grid one border more
    if sum(widths) > room:
        return []
    while sum(widths) < min(room, sum(wanted)):
        narrowest = min((have, position) for position, have in enumerate(widths) if have < wanted[position])[1]
        widths[narrowest] += 1
    return widths


def _needed_width(header: str, cells: Sequence[str]) -> int:
    """The width at which words and figures of a column stay whole and prose can be read."""
    lines = "\n".join(cells).split("\n")
    whole = [line for line in lines if cell_len(line) > _PROSE_WIDTH or not any(map(str.isalpha, line))]
    words = " ".join((header, *cells)).split()
    # Chinese and its like, two columns a character, has no spaces and may break anywhere.
    wide = [word for word in words if cell_len(word) > len(word)]
    return max(min(_widest([*whole, *wide]), _PROSE_WIDTH), _widest(set(words).difference(wide)))


def _widest(lines: Iterable[str]) -> int:
    return max(map(cell_len, lines), default=0) or 1


def _grid(table: Table, widths: Sequence[int]) -> RichTable:
    grid = RichTable(header_style="bold", show_lines=any("\n" in "".join(row) for row in table.rows))
    for position, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
        numbers = all(_is_number(row[position]) for row in table.rows)
        grid.add_column(plain(column), width=width, overflow="fold", justify="right" if numbers else "left")
    for row in table.rows:
        grid.add_row(*(plain(cell) for cell in row))
    return grid


def _blocks(table: Table) -> RenderableType:
    """Each row as lines of `column: value`, the first of them its heading; empty cells are left out."""
    blocks = []
    for row in table.rows:
        named = (f"{column}: {cell}" if column and cell else cell for column, cell in zip(table.columns, row, strict=True))
        heading, *others = (plain(line) for line in named)
        heading.stylize("bold")
        lines = Padding(Group(*filter(None, others)), (0, 0, 0, 2))
        blocks.append(Padding(Group(*filter(None, [heading]), lines), (1, 0, 0, 0)))
    return Group(*blocks, *([Text()] if table.note else []))


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


def print_tables(console: Console, tables: Sequence[Table]) -> None:
    """Prints tables one below the other."""
    for table in tables:
        console.print(draw(table))


def print_run_trace(console: Console, trace: RunTrace) -> None:
    """Prints the pipeline trace, the loss curve and the training trace."""
    print_tables(console, trace.pipeline.tables())
    console.print(draw_loss_curve(trace.training, console.width))
    print_tables(console, trace.training.tables())
