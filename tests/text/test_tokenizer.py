from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, processors

from surefit.errors import ModelError
from surefit.normalization import normalize_text
from surefit.text.tokenizer import TextTokenizer
from tiny_models import bert_tokenizer, mpnet_tokenizer, roberta_tokenizer

# The tokenizers library composes by an older edition of Unicode than Python does; they agree on
# the characters that Unicode 3.2 had.
SETTLED = st.characters(exclude_categories=["Cs"]).filter(lambda sign: unicodedata.ucd_3_2_0.category(sign) != "Cn")
AWKWARD = st.sampled_from("\x00\x01\t\n\r\x0b\x1f \x7f\x85\xa0\xad\u200b\u200c\u200d\u2028\u3000\ufeff\u0301\u0323eEößﬁ漢")
TEXTS = st.text(st.one_of(SETTLED, AWKWARD, st.sampled_from("the good film ")), max_size=60)

BERT = TextTokenizer(bert_tokenizer(), max_length=64)
ROBERTA = TextTokenizer(roberta_tokenizer(), max_length=64)


def sentencepiece_tokenizer() -> tokenizers.Tokenizer:
    """A unigram tokenizer like XLM-RoBERTa's."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b"]
    tokenizer = tokenizers.Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def ids(tokenizer: TextTokenizer, text: str, pair: str | None = None) -> list[int]:
    return tokenizer.encode([text], None if pair is None else [pair])[0].input_ids.tolist()


def written_rule() -> normalizers.Normalizer:
    """The part of the normalizer in `tokenizer.json` that is SureFit's."""
    content = json.loads(BERT.to_json())
    rule = {"type": "Sequence", "normalizers": content["normalizer"]["normalizers"][:4]}
    return tokenizers.Tokenizer.from_str(json.dumps(content | {"normalizer": rule})).normalizer


RULE = written_rule()


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_rule_in_tokenizer_json_agrees_with_normalize_text(text: str):
    assert RULE.normalize_str(text) == normalize_text(text)


def test_rule_in_tokenizer_json_treats_every_character_as_normalize_text_does():
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    differing = [sign for sign in characters if RULE.normalize_str(f"a{sign}b") != normalize_text(f"a{sign}b")]
    assert differing == []


@pytest.mark.parametrize("tokenizer", [BERT, ROBERTA], ids=["bert", "roberta"])
@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_raw_text_gives_the_tokens_of_normalized_text(tokenizer: TextTokenizer, text: str):
    assert ids(tokenizer, text) == ids(tokenizer, normalize_text(text))


@pytest.mark.parametrize(
    "backend", [bert_tokenizer(), roberta_tokenizer()], ids=["with its own normalizer", "without any normalizer"]
)
def test_normalization_is_written_once_however_often_the_tokenizer_is_saved(backend: tokenizers.Tokenizer):
    once = TextTokenizer(backend, 32).to_json()
    again = TextTokenizer(tokenizers.Tokenizer.from_str(once), 32).to_json()
    assert again == once
    assert once.count('"NFC"') == 1


def test_inherited_padding_and_truncation_are_dropped():
    backend = bert_tokenizer()
    backend.enable_padding(length=128)
    backend.enable_truncation(4)
    tokenizer = TextTokenizer(backend, 32)
    assert len(tokenizer.encode(["good film"])[0]) == 4
    assert len(tokenizer.encode(["good " * 20])[0]) == 22
    written = json.loads(tokenizer.to_json())
    assert written["padding"] is None
    assert written["truncation"] is None
    assert backend.truncation is not None, "the tokenizer that was handed in must stay as it was"


@given(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 40)), st.integers(5, 30))
@settings(max_examples=200, deadline=None)
def test_truncation_is_that_of_the_library(first: int, second: int | None, max_length: int):
    text, pair = "good " * first, None if second is None else "bad " * second
    backend = tokenizers.Tokenizer.from_str(BERT.to_json())
    whole = backend.encode(text, pair)
    backend.enable_truncation(max_length, strategy="longest_first")
    expected = backend.encode(text, pair)
    encoding = BERT.with_max_length(max_length).encode([text], None if pair is None else [pair])[0]
    assert encoding.input_ids.tolist() == expected.ids
    assert encoding.token_type_ids.tolist() == expected.type_ids
    assert encoding.truncated_tokens == len(whole.ids) - len(expected.ids)


def test_special_tokens_stay_and_cut_tokens_are_counted():
    encoding = BERT.with_max_length(8).encode(["good " * 100], ["bad film"])[0]
    tokens = BERT.tokens(encoding.input_ids)
    assert tokens == ["[CLS]", "good", "good", "good", "[SEP]", "bad", "film", "[SEP]"]
    assert encoding.token_type_ids.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert encoding.truncated_tokens == 97


@pytest.mark.parametrize("text", ["", " \t\n", "\x00\u200b\ufeff"])
def test_text_without_tokens_keeps_its_special_tokens(text: str):
    assert BERT.tokens(BERT.encode([text])[0].input_ids) == ["[CLS]", "[SEP]"]


def test_rows_keep_their_order_over_chunks():
    texts = [f"{'good ' * (row % 7)}{row}" for row in range(3000)]
    encodings = BERT.encode(texts)
    assert len(encodings) == 3000
    for row in (0, 1, 1023, 1024, 2999):
        assert encodings[row].input_ids.tolist() == ids(BERT, texts[row])


@pytest.mark.parametrize("pairs", [False, True])
def test_lengths_are_those_before_the_cut(pairs: bool):
    tokenizer = BERT.with_max_length(8)
    texts = ["", "a good film", "good " * 1500, *["the film"] * 1100]
    seconds = ["a book" * (number % 3) for number in range(len(texts))] if pairs else None
    encodings = tokenizer.encode(texts, seconds)
    lengths = tokenizer.lengths(texts, seconds)
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(encoding) + encoding.truncated_tokens for encoding in encodings]
    assert tokenizer.lengths([], [] if pairs else None).shape == (0,)


def test_lengths_of_rows_that_cannot_be_encoded_are_refused():
    with pytest.raises(ModelError, match="--max-length must be more"):
        BERT.with_max_length(2).lengths(["a"])
    with pytest.raises(ValueError, match="1 texts and 2 second texts"):
        BERT.lengths(["a"], ["b", "c"])


def test_no_rows_give_no_encodings():
    assert BERT.encode([]) == []


def test_megabytes_are_encoded_in_linear_time():
    def seconds(text: str, pair: str | None) -> float:
        start = time.perf_counter()
        BERT.encode([text], None if pair is None else [pair])
        return time.perf_counter() - start

    for text in ("good film " * 100_000, "x" * 1_000_000, "é\u200b " * 250_000):
        assert seconds(text, None) < 20
    # The library's own truncation of such a pair would make a hundred million pieces.
    assert seconds("good film " * 50_000, "bad film " * 50_000) < 20


def test_special_tokens_are_found_by_their_usual_names_and_by_given_ones():
    assert BERT.special_tokens == {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    assert (BERT.pad_token_id, BERT.unk_token_id) == (0, 1)
    assert ROBERTA.special_tokens["cls_token"] == "<s>"
    named = TextTokenizer(bert_tokenizer(), 32, {"pad_token": "[MASK]"})
    assert named.pad_token_id == 4


@pytest.mark.parametrize(
    ("backend", "frame", "continuation", "space"),
    [
        (bert_tokenizer(), ("[CLS]", "[SEP]"), "##", ""),
        (mpnet_tokenizer(), ("<s>", "</s>"), "##", ""),
        (roberta_tokenizer(), ("<s>", "</s>"), "", "Ġ"),
        (sentencepiece_tokenizer(), ("<s>", "</s>"), "", "▁"),
    ],
    ids=["bert", "mpnet", "roberta", "sentencepiece"],
)
def test_it_says_which_tokens_frame_a_text_and_how_pieces_show_words(
    backend: tokenizers.Tokenizer, frame: tuple[str, str], continuation: str, space: str
):
    tokenizer = TextTokenizer(backend, 32)
    assert (tokenizer.first_token, tokenizer.last_token) == frame
    assert (tokenizer.continuation_mark, tokenizer.space_mark) == (continuation, space)


def test_marks_of_words_are_found_without_a_pre_tokenizer():
    backend = sentencepiece_tokenizer()
    backend.pre_tokenizer = None
    assert TextTokenizer(backend, 32).space_mark == ""
    backend.normalizer = normalizers.Replace(" ", "▁")
    assert TextTokenizer(backend, 32).space_mark == "▁"


def test_special_tokens_that_the_file_forgets_to_mark_are_marked():
    content = json.loads(bert_tokenizer().to_str()) | {"added_tokens": []}
    tokenizer = TextTokenizer(tokenizers.Tokenizer.from_str(json.dumps(content)), 32)
    assert tokenizer.tokens(ids(tokenizer, "good [SEP] film")) == ["[CLS]", "good", "[SEP]", "film", "[SEP]"]


def test_tokenizer_with_more_ids_than_the_model_has_embeddings_is_refused():
    BERT.require_fit(BERT.vocab_size)
    with pytest.raises(ModelError, match="does not belong to the model"):
        BERT.require_fit(BERT.vocab_size - 1)


def test_tokenizer_without_special_tokens_around_the_text_is_refused():
    content = json.loads(bert_tokenizer().to_str()) | {"post_processor": None}
    with pytest.raises(ModelError, match="post_processor is missing"):
        TextTokenizer(tokenizers.Tokenizer.from_str(json.dumps(content)), 32)


WITHOUT_PAIRS = {
    "no special tokens": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "nothing at all": [],
    "no token between": [
        *({"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}),
        *({"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}),
    ],
}


@pytest.mark.parametrize("pair", WITHOUT_PAIRS.values(), ids=WITHOUT_PAIRS)
def test_tokenizer_for_single_texts_only_is_refused_where_rows_are_pairs(pair: list[object]):
    content = json.loads(bert_tokenizer().to_str())
    backend = tokenizers.Tokenizer.from_str(
        json.dumps(content | {"post_processor": content["post_processor"] | {"pair": pair}})
    )
    tokenizer = TextTokenizer(backend, 32)
    tokenizer.require_fit(tokenizer.vocab_size)
    assert (ids(tokenizer, "good film"), tokenizer.token_types) == (ids(BERT, "good film"), 2 if pair else 1)
    with pytest.raises(ModelError, match="has no form for pairs of texts"):
        tokenizer.encode(["good"], ["film"])


def test_tokenizer_that_fails_at_unknown_characters_is_refused():
    content = json.loads(sentencepiece_tokenizer().to_str())
    content["model"]["unk_id"] = None
    with pytest.raises(ModelError, match=r"has no token for unknown characters: .*unk_id"):
        TextTokenizer(tokenizers.Tokenizer.from_str(json.dumps(content)), 32)


@pytest.mark.parametrize("backend", [bert_tokenizer(), mpnet_tokenizer(), roberta_tokenizer(), sentencepiece_tokenizer()])
def test_tokenizers_of_all_kinds_fit_a_model_of_as_many_tokens(backend: tokenizers.Tokenizer):
    tokenizer = TextTokenizer(backend, 32)
    tokenizer.require_fit(tokenizer.vocab_size)
    assert tokenizer.encode(["\U0010fffd"])[0].input_ids[0] == backend.token_to_id(tokenizer.special_tokens["cls_token"])


def test_tokenizer_without_padding_token_is_refused():
    with pytest.raises(ModelError, match=r"has no <nothing> token"):
        TextTokenizer(bert_tokenizer(), 32, {"pad_token": "<nothing>"})


def test_maximum_length_that_leaves_no_room_for_text_is_refused():
    with pytest.raises(ModelError, match="adds 2 special tokens"):
        BERT.with_max_length(2).encode(["good"])


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"version": "1.0", "model": {"type": "None"}}'])
def test_damaged_tokenizer_file_is_refused_by_name(tmp_path: Path, content: str):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read") as refusal:
        TextTokenizer.from_file(path, 32)
    assert "\n" not in str(refusal.value)


def test_forking_after_tokenizing_is_silent_and_hangs_nobody():
    program = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tiny_models import bert_tokenizer
from surefit.text.tokenizer import TextTokenizer
tokenizer = TextTokenizer(bert_tokenizer(), 32)
tokenizer.encode(["good film"] * 100)
child = os.fork()
if child == 0:
    tokenizer.encode(["good film"] * 100)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    command = [sys.executable, "-c", program, str(Path(__file__).parents[1])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
