"""Progress bars on standard error, with time left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column, Table

from surefit.cli.render import plain
from surefit.printable import printable
from surefit.progress import Progress, StepRecord
from surefit.trace import EpochTrace

_RECENT = 0.1  # share of a new step in the running mean of rows per second
_NARROW = 80  # columns under which a bar's graphic and its time elapsed leave no room for its figures


class ProgressConsole(Console):
    """Standard error; when nobody reads it any more, the work goes on in silence."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def _check_buffer(self) -> None:
        """Writes what is to be shown; a terminal that was closed takes nothing, which Rich knows of pipes only."""
        try:
            super()._check_buffer()
        except OSError:
            self.on_broken_pipe()


class _Bars(RichProgress):
    """Bars that fit the terminal, and still do when its width changes while they are shown."""

    def __init__(self, console: Console) -> None:
        whole = Column(no_wrap=True)
        figures = "{task.fields[figures]}"
        # Where there is not room for all, the graphic gets shorter and a long description takes more lines.
        work = TextColumn("{task.description:<10}", markup=False, table_column=Column(overflow="fold"))
        graphic = BarColumn(bar_width=None, table_column=Column(max_width=24))
        done, elapsed = MofNCompleteColumn(table_column=whole), TimeElapsedColumn(table_column=whole)
        left = TextColumn("left", table_column=whole), TimeRemainingColumn(table_column=whole)
        self._wide = (work, graphic, done, elapsed, *left, TextColumn(figures, table_column=whole))
        self._narrow = (work, done, *left, TextColumn(figures, table_column=Column(overflow="fold")))
        self._terminal = console
        # Results may go to standard output meanwhile, and are not for the console. This draws, so it comes last.
        super().__init__(console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal)

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        self.columns = self._narrow if self._terminal.width < _NARROW else self._wide
        return super().make_tasks_table(tasks)


class TerminalProgress(Progress):
    """Shows what is under way: bars on a terminal, and what is worth keeping in a file too.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = _Bars(console)
        self._task: TaskID | None = None
        self._training: TaskID | None = None
        self._training_name = ""
        self._rows_per_second = 0.0

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, what: str, total: int) -> None:
        self.end()
        self._task = self._bars.add_task(printable(what), total=total or None, figures="")

    def advance(self, done: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, done)

    def end(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

    def training(self, name: str) -> None:
        self.end()
        if self._training is not None:
            self._bars.remove_task(self._training)
        self._training, self._training_name, self._rows_per_second = None, printable(name), 0.0

    def step(self, record: StepRecord, total_steps: int) -> None:
        rate = record.rows / max(record.seconds, 1e-9)
        self._rows_per_second += (rate - self._rows_per_second) * (_RECENT if self._rows_per_second else 1.0)
        if self._training is None:
            self._training = self._bars.add_task(
                self._training_name or "train", total=total_steps, completed=record.step - 1, figures=""
            )
        figures = f"loss {record.loss:.3f}  {self._rows_per_second:,.0f} rows/s"
        self._bars.update(self._training, completed=record.step, figures=figures)

    def epoch(self, epoch: EpochTrace) -> None:
        self.end()
        of = f"{self._training_name}, " if self._training_name else ""
        sentence = (
            f"{of}epoch {epoch.epoch}: training loss {epoch.training_loss:.4f}, validation loss {epoch.validation_loss:.4f}, "
            f"accuracy {epoch.accuracy:.2%}, macro F1 {epoch.macro_f1:.4f}: {epoch.observation}"
        )
        # On a terminal no figure is broken; a line in a file stays a line.
        self._console.print(plain(sentence), soft_wrap=not self._console.is_terminal)

    def note(self, sentence: str) -> None:
        self._console.print(plain(sentence), soft_wrap=True)  # paths stay whole, to be copied
