"""Rows for a trained model: read from the columns it was trained on, where the file has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefit.config import ReadSettings
from surefit.data.collect import ReadResult
from surefit.data.columns import AsTrained, shown_name, usual_second_text
from surefit.data.read import read, read_frame
from surefit.data.source import RecordSource


def read_as_trained(
    source: Any, settings: ReadSettings, columns: Mapping[str, str], *, labelled: bool, given_beside: bool = False
) -> ReadResult:
    """Reads a file or a frame with columns of its own, or else with those that the model was trained on.

    A column that is asked for comes first, then the one of the same name as in training, then one
    that is found by its usual name. A second text is not looked for where training had none; that
    is noted.

    Args:
        source: path of a file, or a frame.
        settings: how it is read; the columns asked for stand in it.
        columns: role (text, text_pair, label, id) -> column of the training data; empty where that
            is not known. The id is the file's own matter.
        labelled: whether each row needs a label.
        given_beside: whether the source is given beside the training data, for validation or test:
            then it needs the same columns, and is asked for their names rather than for a flag.

    Raises:
        DataError, UsageError: as `read` and `read_frame`.
    """
    known = AsTrained.of(settings, columns, given_beside=given_beside)
    if isinstance(source, str | Path):
        reading = read(Path(source), known, labelled=labelled)
    else:
        reading = read_frame(source, known, labelled=labelled)
    return dataclasses.replace(reading, notes=notes_as_trained(reading, settings, columns))


def notes_as_trained(read: ReadResult | RecordSource, settings: ReadSettings, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The notes on a file or a frame, and one where it has a second text that is left alone.

    Args:
        read: what was read, from columns that were chosen with the two others.
        settings: the columns that were asked for.
        columns: role -> column of the training data.
    """
    unread = usual_second_text(read.columns)
    if unread is None or unread in read.chosen.values() or settings.text is not None or not columns or "text_pair" in columns:
        return read.notes
    return *read.notes, f"the column {shown_name(unread)} is not read: the model is trained on single texts"
