"""Draws docs/demo.svg, the README's picture, from the run that `make demo` leaves in runs/demo."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console  # type: ignore[attr-defined]  # rich's own template

from surefit.cli.render import draw_loss_curve, print_tables
from surefit.runs.tables import evaluation_tables
from surefit.runs.train import open_run

ROOT = Path(__file__).parents[1]
# The template names fonts on a foreign server; a picture should ask nobody for anything.
TEMPLATE = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    """Draws the picture."""
    trained = open_run(ROOT / "runs" / "demo")
    console = Console(width=96, record=True, file=io.StringIO(), force_terminal=True)
    console.print(draw_loss_curve(trained.trace.training, console.width))
    print_tables(console, trained.trace.training.tables())
    print_tables(console, evaluation_tables(trained.metrics))
    title = "surefit train runs/rotten_tomatoes.csv"
    (ROOT / "docs" / "demo.svg").write_text(console.export_svg(title=title, code_format=TEMPLATE), encoding="utf-8")


if __name__ == "__main__":
    main()
