"""Rows and texts of real words with the lengths that well-known datasets have.

Where a dataset itself is not at hand, what decides the speed of an encoder is how long its rows are.
The shapes below are log-normal distributions of tokens, special tokens included, with the means and
limits that the design of these benchmarks names: SST-2 about 12, AG News about 50 and at most 128,
IMDB about 290 and at most 512. Their widths are ours. The words are those of film reviews.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import ROTTEN_TOMATOES, load
from surefit.text.tokenizer import TextTokenizer
from surefit.types import Encoding


@dataclass(frozen=True)
class Lengths:
    """How long the rows are.

    Attributes:
        median: tokens of the middle row.
        spread: standard deviation of the logarithm of the tokens.
        least: fewest tokens.
        most: most tokens; longer rows are cut.
    """

    median: int
    spread: float
    least: int
    most: int


PROFILES = {
    "sst2": Lengths(median=11, spread=0.45, least=4, most=64),
    "ag_news": Lengths(median=48, spread=0.32, least=12, most=128),
    "imdb": Lengths(median=260, spread=0.6, least=16, most=512),
}


def rows_like(profile: str, count: int, tokenizer: TextTokenizer, seed: int = 0) -> list[Encoding]:
    """Encoded rows.

    Args:
        profile: one of `PROFILES`.
        count: how many rows.
        tokenizer: of the model that is to read them.
        seed: decides lengths and words.
    """
    source = np.random.default_rng(seed)
    lengths = draw_lengths(PROFILES[profile], count, source)
    texts = load(ROTTEN_TOMATOES, None).texts
    pieces = np.concatenate([encoding.input_ids[1:-1] for encoding in tokenizer.encode(texts)])
    ends = tokenizer.encode([""])[0].input_ids
    starts = source.integers(0, len(pieces) - PROFILES[profile].most, count)
    rows = []
    for start, length in zip(starts, lengths, strict=True):
        ids = np.concatenate([ends[:1], pieces[start : start + length - 2], ends[-1:]]).astype(np.int32)
        rows.append(Encoding(ids, np.zeros_like(ids), truncated_tokens=0))
    return rows


def texts_like(profile: str, count: int, tokenizer: TextTokenizer, seed: int = 0) -> list[str]:
    """Raw texts: as many words as fit into the drawn number of tokens, at least one.

    Args:
        profile: one of `PROFILES`.
        count: how many texts.
        tokenizer: by which tokens are counted; it must cut at white space, as BERT's do.
        seed: decides lengths and words.
    """
    source = np.random.default_rng(seed)
    lengths = draw_lengths(PROFILES[profile], count, source)
    words = np.array(" ".join(load(ROTTEN_TOMATOES, None).texts).split())
    vocabulary, places = np.unique(words, return_inverse=True)
    special = len(tokenizer.encode([""])[0])
    tokens = np.array([len(encoding) - special for encoding in tokenizer.encode(vocabulary.tolist())])[places]
    tokens_before = np.concatenate([[0], tokens.cumsum()])
    starts = source.integers(0, len(words) - PROFILES[profile].most, count)
    ends = np.searchsorted(tokens_before, tokens_before[starts] + lengths - special, side="right") - 1
    return [" ".join(words[start : max(end, start + 1)]) for start, end in zip(starts, ends, strict=True)]


def draw_lengths(shape: Lengths, count: int, source: np.random.Generator) -> NDArray[np.int64]:
    """Tokens of each row, special tokens included, shape (count,)."""
    drawn = np.exp(source.normal(np.log(shape.median), shape.spread, count)).round()
    return np.clip(drawn, shape.least, shape.most).astype(np.int64)


def multiply_adds(rows: list[Encoding], layers: int, hidden: int, intermediate: int) -> float:
    """Multiply-adds of a plain BERT's forward pass over the rows' own tokens, padding left out.

    Of each token and layer: four projections of hidden x hidden, two of hidden x intermediate, and its
    scores and context over the tokens of its row. Embeddings, pooler and head are left out.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.float64)
    weights = 4 * hidden * hidden + 2 * hidden * intermediate
    return float(layers * (lengths.sum() * weights + 2 * hidden * (lengths**2).sum()))
