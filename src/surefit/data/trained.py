"""Rows for a trained model: read from the columns it was trained on, where the file has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefit.config import ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.columns import UnknownColumnError
from surefit.data.read import read, read_frame


def read_as_trained(source: Any, settings: ReadSettings, columns: Mapping[str, str], *, labelled: bool) -> ReadResult:
    """Reads a file or a frame with columns of its own, or else with those that the model was trained on.

    A column that is asked for comes first, then the one of the same name as in training, then one
    that is found by its usual name. A second text is not looked for where training had none.

    Args:
        source: path of a file, or a frame.
        settings: how it is read; the columns asked for stand in it.
        columns: role (text, text_pair, label, id) -> column of the training data; empty where that
            is not known. The id is the file's own matter.
        labelled: whether each row needs a label.

    Raises:
        DataError, UsageError: as `read` and `read_frame`.
    """
    roles = ("text", "text_pair", "label") if labelled else ("text", "text_pair")
    trained: dict[str, Any] = {role: columns[role] for role in roles if role in columns and getattr(settings, role) is None}
    if settings.text is not None:
        trained.pop("text_pair", None)  # who names the text names the second text too
    while True:
        try:
            reading = _read(source, dataclasses.replace(settings, **trained), labelled=labelled)
            break
        except UnknownColumnError as absent:
            if absent.role not in trained:
                raise
            del trained[absent.role]
    if columns and "text_pair" not in columns and settings.text_pair is None and "text_pair" in reading.chosen:
        # A second text was found by its name; who names the text gets none.
        trained["text"] = reading.chosen["text"]
        reading = _read(source, dataclasses.replace(settings, **trained), labelled=labelled)
    return reading


def _read(source: Any, settings: ReadSettings, *, labelled: bool) -> ReadResult:
    if isinstance(source, str | Path):
        return read(Path(source), settings, labelled=labelled)
    return read_frame(source, settings, labelled=labelled)
