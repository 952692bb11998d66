"""A labelled file read and accounted for, without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefit.artifacts import require_other_file, write_csv
from surefit.config import ReadSettings
from surefit.data.audit import Audit, Source, audit
from surefit.data.clean import clean
from surefit.data.duplicates import exact_groups, find_duplicates
from surefit.data.read import read


def audit_file(data: Path, options: Mapping[str, Any], rejected: Path | None) -> Audit:
    """Reads a labelled file and describes it.

    Args:
        data: the file.
        options: how to read it, as flat settings.
        rejected: where to write the rejected records, if anywhere.

    Raises:
        DataError: the file cannot be read, or no row of it can be used.
    """
    if rejected is not None:
        require_other_file(rejected, data)
    reading = read(data, ReadSettings(**options))
    if rejected is not None:
        rows = ((item.record, item.line, item.id, item.reason) for item in reading.rejected)
        write_csv(rejected, ("record", "line", "id", "reason"), rows)
    cleaned = clean(reading.examples)
    groups = exact_groups(cleaned.examples.texts, cleaned.examples.text_pairs)
    assert reading.examples.labels is not None  # rows read as labelled are
    class_numbers = reading.examples.labels.flatten().dictionary_encode().indices.to_numpy()
    duplicates = find_duplicates(groups, class_numbers)
    source = Source(reading.file_format, reading.records, reading.rejected, cleaned.texts_changed, reading.notes)
    return audit(cleaned.examples, source, duplicates)
