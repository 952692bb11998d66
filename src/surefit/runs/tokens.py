"""The rows of all splits as token ids, recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from surefit.data.split import SplitName
from surefit.model.pretrained import Pretrained
from surefit.progress import Progress
from surefit.runs.rows import PreparedRows
from surefit.text.packing import lengths_of
from surefit.text.tokenizer import TextTokenizer
from surefit.trace import PADDED_SENTENCE, STAGE_SENTENCES, PipelineRecorder, StageTrace
from surefit.types import Encoding, Examples

_CHUNK_ROWS = 4096
# The text itself is not needed any more; the class ids are what training learns.
_COLUMNS = ("input_ids", "token_type_ids", "truncated_tokens", "class id", "split")


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """The encodings of each split, and how much was cut.

    Attributes:
        splits: one encoding a row.
        truncated_rows: rows that lost tokens.
        truncated_tokens: tokens that were lost.
    """

    splits: dict[SplitName, tuple[Encoding, ...]]
    truncated_rows: int
    truncated_tokens: int


def encode_examples(examples: Examples, tokenizer: TextTokenizer, progress: Progress) -> tuple[Encoding, ...]:
    """Tokenises rows in chunks, so that progress can be seen."""
    encodings: list[Encoding] = []
    for start in range(0, len(examples), _CHUNK_ROWS):
        texts = examples.texts.slice(start, _CHUNK_ROWS).to_pylist()
        pairs = None if examples.text_pairs is None else examples.text_pairs.slice(start, _CHUNK_ROWS).to_pylist()
        encodings.extend(tokenizer.encode(texts, pairs))
        progress.advance(len(texts))
    return tuple(encodings)


def encode_rows(
    rows: PreparedRows, pretrained: Pretrained, batch_size: int, recorder: PipelineRecorder, progress: Progress
) -> EncodedRows:
    """Tokenises every split and records the stages "tokenise" and "pack"."""
    start = time.perf_counter()
    tokenizer = pretrained.tokenizer
    total = sum(len(part.examples) for part in rows.splits.values())
    progress.begin("tokenise", total)
    splits = {name: encode_examples(part.examples, tokenizer, progress) for name, part in rows.splits.items()}
    progress.end()
    cut = [encoding.truncated_tokens for part in splits.values() for encoding in part if encoding.truncated_tokens]
    lengths = np.concatenate([lengths_of(part) for part in splits.values()])
    notes = [f"{lengths.sum():,} tokens, {np.median(lengths):.0f} in the median row, {lengths.max():,} in the longest"]
    if cut:
        notes.append(f"{len(cut):,} rows lost {sum(cut):,} tokens at --max-length {tokenizer.max_length}")
    else:
        notes.append(f"no row is cut at --max-length {tokenizer.max_length}")
    seconds = time.perf_counter() - start
    columns = (*rows.splits["train"].examples.columns, "class id", "group", "split")
    left = [name for name in columns if name not in _COLUMNS]
    notes.append(f"{', '.join(left[:-1])} and {left[-1]} stay behind: the model learns class ids from token ids")
    does = STAGE_SENTENCES["tokenise"].format(first=tokenizer.first_token, last=tokenizer.last_token)
    recorder.add(StageTrace("tokenise", does, total, columns, total, _COLUMNS, tuple(notes), seconds=seconds))
    recorder.add(_packing(splits["train"], total, batch_size, pretrained))
    return EncodedRows(splits, len(cut), sum(cut))


def _packing(encodings: tuple[Encoding, ...], total: int, batch_size: int, pretrained: Pretrained) -> StageTrace:
    """What packing makes of the training rows, some of all `total`, and what padding them would have cost."""
    lengths, max_length = lengths_of(encodings), pretrained.tokenizer.max_length
    tokens = int(lengths.sum())
    padded = max_length * len(lengths)
    saved = 1 - tokens / padded if padded > tokens else 0.0
    batches = -(-len(lengths) // batch_size)
    notes = [
        f"in are the {len(lengths):,} training rows of all {total:,}; the others follow when they are judged",
        f"out is one row for each of their {tokens:,} tokens; the class ids stay with the batch, one for each text",
        f"{batches:,} batches of up to {batch_size} rows an epoch",
    ]
    if saved and pretrained.classifier.skips_padding:
        notes.append(f"{saved:.0%} fewer tokens than with every row padded to {max_length}")
    columns = ("input_ids", "token_type_ids", "position_ids")
    does = STAGE_SENTENCES["pack"] if pretrained.classifier.skips_padding else PADDED_SENTENCE
    return StageTrace("pack", does, len(lengths), _COLUMNS, tokens, columns, tuple(notes))
