"""One example carried through all stages, for the pipeline trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from surefit.runs.results import Judged
from surefit.runs.rows import PreparedRows
from surefit.runs.tokens import EncodedRows
from surefit.text.packing import lengths_of, pack
from surefit.text.tokenizer import TextTokenizer
from surefit.types import Int64Array

# How much longer its neighbour in the shown batch is, so that some padding can be seen.
_PADDING_SHOWN = 4


def carried_example(
    rows: PreparedRows, encoded: EncodedRows, tokenizer: TextTokenizer, logits: Any, judged: Judged
) -> dict[str, Mapping[str, Any]]:
    """What each stage made of one test row of ordinary length: stage name -> name -> value.

    Args:
        rows: the rows before tokenisation.
        encoded: their encodings.
        tokenizer: turns ids back into tokens.
        logits: of the test rows, shape (n, classes).
        judged: the answers to the test rows.
    """
    test = rows.splits["test"]
    encodings = encoded.splits["test"]
    lengths = lengths_of(encodings)
    row = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
    record = int(test.examples.records[row])
    raw = rows.raw["test"]
    raw_row = int(np.searchsorted(raw.records, record))
    assert raw.labels is not None  # rows to train on are labelled
    schema = rows.schema
    encoding = encodings[row]
    companion = _companion(lengths, row)
    padded = pack(encodings, np.array([row, companion])).to_padded(tokenizer.pad_token_id)
    decided = int(judged.predicted[row])
    return {
        "read": _text_fields(raw, raw_row) | {"label": raw.labels[raw_row].as_py()[0], "line": int(raw.lines[raw_row])},
        "clean": _text_fields(test.examples, row),
        "labels": {"class id": int(test.targets[row])},
        "duplicates": {"rows with this text": int((test.groups == test.groups[row]).sum())},
        "split": {"split": "test"},
        "tokenise": {"tokens": tokenizer.tokens(encoding.input_ids), "tokens cut off": encoding.truncated_tokens},
        "pack": {
            "tokens, padded": tokenizer.tokens(padded.input_ids[0].astype(np.int32)),
            "input_ids": padded.input_ids[0].tolist(),
            "attention_mask": padded.attention_mask[0].tolist(),
        },
        "train": {"logits": [round(float(logit), 4) for logit in logits[row]][:10]},
        "evaluate": {
            "prediction": schema.id2label[decided],
            "probability": round(float(judged.probabilities[row, decided]), 4),
            "truth": schema.id2label[int(test.targets[row])],
        },
    }


def _text_fields(examples: Any, row: int) -> dict[str, str]:
    fields = {"text": examples.texts[row].as_py()}
    if examples.text_pairs is not None:
        fields["text_pair"] = examples.text_pairs[row].as_py()
    return fields


def _companion(lengths: Int64Array, row: int) -> int:
    """The shortest other row that is some tokens longer, else the longest."""
    longer = np.flatnonzero(lengths >= lengths[row] + _PADDING_SHOWN)
    return int(longer[np.argmin(lengths[longer])]) if len(longer) else int(np.argmax(lengths))
