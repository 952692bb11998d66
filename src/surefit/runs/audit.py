"""A labelled file read and accounted for, without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefit.config import ReadSettings
from surefit.data.audit import Audit, Source, audit
from surefit.data.clean import clean
from surefit.data.duplicates import exact_groups, find_duplicates
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.data.text_findings import text_findings
from surefit.runs.directory import require_writable
from surefit.runs.rejected import read_and_list_rejected


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
        require_writable(rejected, data)
    reading = read_and_list_rejected(data, ReadSettings(**options), {}, rejected)
    cleaned = clean(reading.examples)
    texts = exact_groups(cleaned.examples.texts, cleaned.examples.text_pairs)
    groups = near_groups(WordSets.of(cleaned.examples))
    assert reading.examples.labels is not None  # rows read as labelled are
    class_numbers = reading.examples.labels.flatten().dictionary_encode().indices.to_numpy()
    duplicates = find_duplicates(texts, class_numbers)
    near_duplicates = find_duplicates(groups, class_numbers, texts)
    source = Source(reading.file_format, reading.records, reading.rejected, cleaned.texts_changed, reading.notes)
    in_texts = text_findings(cleaned.examples, reading.examples, reading.chosen)
    return audit(cleaned.examples, source, duplicates, near_duplicates, in_texts)
