"""What a run takes over from the run that it trains on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surefit.model.pretrained import saved_directory
from surefit.model.saved import read_schema, read_trained_columns
from surefit.runs.seen import SeenTexts, read_seen
from surefit.types import LabelSchema


@dataclass(frozen=True, eq=False)
class EarlierRun:
    """A finished run whose model is trained on.

    Attributes:
        schema: its classes, which the new run has too.
        columns: role -> column that it was trained on, preferred where no flag names others.
        seen: the texts that it has seen; those it did not train on must stay out of training.
    """

    schema: LabelSchema
    columns: Mapping[str, str]
    seen: SeenTexts

    def change_of_kind(self, columns: Mapping[str, str]) -> str:
        """A sentence where this model judged single texts and the rows are pairs, or the reverse; else empty.

        Args:
            columns: role -> column of the rows to train on.
        """
        before, now = ("text_pair" in roles for roles in (self.columns, columns))
        if before == now or not self.columns:
            return ""
        kinds = {False: "single texts", True: "pairs of texts"}
        return f"the run that is trained on from has learned {kinds[before]}, and this one learns {kinds[now]}"


def find_earlier_run(model: str) -> EarlierRun | None:
    """The earlier run that `--model` names; None for a model that no run of SureFit has saved.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    directory = saved_directory(model)
    if directory is None:
        return None
    return EarlierRun(read_schema(directory), read_trained_columns(directory), read_seen(directory))
