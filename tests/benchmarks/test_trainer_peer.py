import dataclasses

import numpy as np
import pytest
import torch
from benchmarks.cells import Recipe
from benchmarks.corpora import Corpus
from benchmarks.trainer_peer import fine_tune_and_predict
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

pytest.importorskip("accelerate", reason="the Trainer needs accelerate, of the extra 'dev'")
RECIPE = Recipe(
    epochs=6, learning_rate=1e-3, batch_size=8, warmup_share=0.1, weight_decay=0.01, max_length=16, precision="fp32", seed=0
)
WORDS = ("good", "bad", "fine", "poor", "film", "plot", "cast", "the")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads only get into each other's way on matrices this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """A random BERT of two layers, saved."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    vocabulary = {token: position for position, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


def reviews(rows, start=0):
    texts, labels = [], []
    for row in range(start, start + rows):
        positive = row % 2 == 0
        word = (("bad", "poor"), ("good", "fine"))[positive][row // 2 % 2]
        texts.append(f"the {WORDS[4 + row % 3]} {word} {'film ' * (row % 4)}".strip())
        labels.append("positive" if positive else "negative")
    return Corpus("reviews", tuple(texts), tuple(labels))


def splits():
    return {"train": reviews(96), "validation": reviews(24, 96), "test": reviews(30, 120)}


def test_the_peer_learns_and_answers_the_test_rows_in_order(tiny_bert, tmp_path):
    answers = fine_tune_and_predict(splits(), tiny_bert, RECIPE, tmp_path)
    right = [answer == label for answer, label in zip(answers, splits()["test"].labels, strict=True)]
    assert sum(right) >= 28


def noise(rows, seed):
    """Random words under random labels: what is answered depends on every detail of training."""
    generator = np.random.default_rng(seed)
    texts = tuple(" ".join(generator.choice(WORDS, 6)) for _ in range(rows))
    return Corpus("noise", texts, tuple(generator.choice(["left", "right"], rows).tolist()))


def test_the_peer_repeats_exactly_by_seed(tiny_bert, tmp_path):
    splits = {"train": noise(64, 0), "validation": noise(32, 1), "test": noise(100, 2)}
    recipe = dataclasses.replace(RECIPE, epochs=12, learning_rate=3e-3)
    first = fine_tune_and_predict(splits, tiny_bert, recipe, tmp_path / "first")
    again = fine_tune_and_predict(splits, tiny_bert, recipe, tmp_path / "again")
    other = fine_tune_and_predict(splits, tiny_bert, dataclasses.replace(recipe, seed=1), tmp_path / "other")
    assert first == again
    assert first != other


def test_bf16_is_only_inside_products_and_still_learns(tiny_bert, tmp_path):
    answers = fine_tune_and_predict(splits(), tiny_bert, dataclasses.replace(RECIPE, precision="bf16"), tmp_path)
    assert sum(answer == label for answer, label in zip(answers, splits()["test"].labels, strict=True)) >= 28
