"""One example carried through all stages, for the pipeline trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from surefit.data.personal import masked
from surefit.decision import ABSTAINED_ID
from surefit.model.pretrained import Pretrained
from surefit.runs.results import Judged
from surefit.runs.rows import PreparedRows
from surefit.runs.tokens import EncodedRows
from surefit.text.packing import lengths_of
from surefit.trace import PADDING_SENTENCES
from surefit.types import ABSTAINED, Examples, Int64Array

# Padding shown behind the example's tokens, so that the mask has something to hide.
_PADDING_SHOWN = 2


def carried_example(
    rows: PreparedRows, encoded: EncodedRows, pretrained: Pretrained, logits: Any, judged: Judged
) -> dict[str, Mapping[str, Any]]:
    """What each stage made of one test row of ordinary length, without personal data where there is one: name -> value.

    Args:
        rows: the rows before tokenisation.
        encoded: their encodings.
        pretrained: its tokenizer turns ids back into tokens.
        logits: of the test rows, shape (n, classes).
        judged: the answers to the test rows.
    """
    test = rows.splits["test"]
    encodings = encoded.splits["test"]
    lengths = lengths_of(encodings)
    row = _shown_row(test.examples, lengths)
    record = int(test.examples.records[row])
    raw = rows.raw["test"]
    raw_row = int(np.searchsorted(raw.records, record))
    assert raw.labels is not None  # rows to train on are labelled
    schema = rows.schema
    encoding = encodings[row]
    tokenizer = pretrained.tokenizer
    padded = np.append(encoding.input_ids, np.full(_PADDING_SHOWN, tokenizer.pad_token_id, dtype=np.int32))
    decided = int(judged.predicted[row])
    shown = int(judged.probabilities[row].argmax()) if decided == ABSTAINED_ID else decided
    return {
        "read": _text_fields(raw, raw_row) | {"label": raw.labels[raw_row].as_py()[0], "line": int(raw.lines[raw_row])},
        "clean": _text_fields(test.examples, row),
        "labels": {"class id": int(test.targets[row])},
        "duplicates": {"rows with this or a similar text": int((test.groups == test.groups[row]).sum())},
        "split": {"split": "test"},
        "tokenise": {"tokens": tokenizer.tokens(encoding.input_ids), "tokens cut off": encoding.truncated_tokens},
        "pack": {
            "tokens, padded": tokenizer.tokens(padded),
            "input_ids": padded.tolist(),
            "attention_mask": [1] * len(encoding) + [0] * _PADDING_SHOWN,
            "the padding": PADDING_SENTENCES[pretrained.classifier.skips_padding],
        },
        "train": {"logits": [round(float(logit), 4) for logit in logits[row]][:10]},
        "evaluate": {
            "prediction": f"({ABSTAINED})" if decided == ABSTAINED_ID else schema.id2label[decided],
            "probability": round(float(judged.probabilities[row, shown]), 4),
            "truth": schema.id2label[int(test.targets[row])],
        },
    }


def _shown_row(examples: Examples, lengths: Int64Array) -> int:
    """The row nearest to the median length in which no personal data is found; where all have some, the median."""
    by_length = np.argsort(lengths, kind="stable")
    from_median = np.argsort(np.abs(np.arange(len(lengths)) - len(lengths) // 2), kind="stable")
    nearest: list[int] = by_length[from_median].tolist()
    harmless = (row for row in nearest if all(masked(text) == text for text in _text_fields(examples, row).values()))
    return next(harmless, nearest[0])


def _text_fields(examples: Any, row: int) -> dict[str, str]:
    fields = {"text": examples.texts[row].as_py()}
    if examples.text_pairs is not None:
        fields["text_pair"] = examples.text_pairs[row].as_py()
    return fields
