"""What long work tells whoever watches it. Watching never changes the work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from surefit.trace import EpochTrace


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step, as a line of `training_log.jsonl`.

    Attributes:
        step: its number over the whole run, from 1.
        epoch: the epoch it belongs to, from 1.
        loss: mean loss of its rows, weighted as the rows are.
        learning_rate: the rate it was made with.
        rows: rows it learned from.
        tokens: tokens of those rows.
        seconds: time since the end of the step before, batch preparation included.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    rows: int
    tokens: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {"event": "step"} | asdict(self)


class Progress:
    """Receives what happens; this base class keeps quiet. Subclass it to show progress."""

    def begin(self, what: str, total: int) -> None:
        """A piece of work begins.

        Args:
            what: name of the work, for instance "tokenise".
            total: how many units it has, or 0 where that is not known.
        """

    def advance(self, done: int) -> None:
        """Some more units of the work that began last are done."""

    def end(self) -> None:
        """The work that began last is done."""

    def training(self, name: str) -> None:
        """A training of its own begins: steps and epochs are its from now on, until the next begins.

        Args:
            name: what it is called; where this is not told, it is the run's own training.
        """

    def step(self, record: StepRecord, total_steps: int) -> None:
        """An optimizer step was made, of at most `total_steps`."""

    def epoch(self, epoch: EpochTrace) -> None:
        """An epoch was trained and validated."""

    def note(self, sentence: str) -> None:
        """Something the user should know."""
