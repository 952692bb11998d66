"""Encoders of other families behind the same face."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from surefit.config import ModelSettings
from surefit.errors import ModelError, UsageError
from surefit.model.dropout import StepDropout
from surefit.model.hardware import Hardware
from surefit.model.pretrained import Pretrained, load_pretrained
from surefit.model.stock import StockClassifier
from surefit.types import SINGLE_LABEL, LabelSchema, PackedBatch
from tiny_models import STOCK_FAMILIES, write_tiny_stock

SCHEMA = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
TEXTS = ["good film", "", "the worst movie of the year , not a good story at all", "zebra"]


@pytest.fixture(scope="session", params=STOCK_FAMILIES)
def stock_checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stock(tmp_path_factory.mktemp(request.param), request.param)


def load(directory: Path, **settings: Any) -> Pretrained:
    return load_pretrained(str(directory), SCHEMA, ModelSettings(**({"max_length": 64} | settings)), seed=0)


def batch_of(loaded: Pretrained, texts: list[str]) -> PackedBatch:
    return PackedBatch.from_encodings(loaded.tokenizer.encode(texts), np.arange(len(texts)))


def test_encoder_weights_are_those_of_the_checkpoint(stock_checkpoint: Path):
    from transformers import AutoModel

    loaded = load(stock_checkpoint)
    assert isinstance(loaded.classifier, StockClassifier)
    expected = AutoModel.from_pretrained(stock_checkpoint).state_dict()
    ours = loaded.classifier.network.state_dict()
    prefix = loaded.classifier.encoder_prefix
    loaded_names = [name for name in ours if name.startswith(prefix)]
    assert len(loaded_names) > 10
    for name in loaded_names:
        assert torch.equal(ours[name], expected[name.removeprefix(prefix)]), name
    new = set(loaded.new_parameters)
    assert new == {name for name in ours if not name.startswith(prefix)}
    assert f"{loaded.classifier.output_layer}.weight" in new


def test_row_in_a_batch_equals_row_alone(stock_checkpoint: Path):
    loaded = load(stock_checkpoint)
    classifier = loaded.classifier
    with torch.inference_mode():
        together = classifier(batch_of(loaded, TEXTS))
        alone = torch.cat([classifier(batch_of(loaded, [text])) for text in TEXTS])
    assert (together.shape, together.dtype) == ((4, 3), torch.float32)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_values_are_dropped_where_it_is_asked_for_as_seed_and_step_say(stock_checkpoint: Path):
    loaded = load(stock_checkpoint)
    batch = batch_of(loaded, TEXTS)

    def logits(dropout: StepDropout | None) -> torch.Tensor:
        if dropout is not None:
            dropout.begin()
        with torch.no_grad():
            return loaded.classifier(batch, dropout)

    with torch.random.fork_rng(devices=[]):
        whole, dropped = logits(None), logits(StepDropout(1, 1))
        assert not torch.allclose(dropped, whole)
        assert torch.equal(logits(StepDropout(1, 1)), dropped)
        assert not torch.allclose(logits(StepDropout(1, 2)), dropped)
        assert torch.equal(logits(None), whole)


def test_weights_are_views_of_the_flat_ones(stock_checkpoint: Path):
    loaded = load(stock_checkpoint)
    classifier, batch = loaded.classifier, batch_of(loaded, TEXTS)
    with torch.no_grad():
        before = classifier(batch)
    classifier.prepare(Hardware(torch.device("cpu"), "fp32", 1))
    flat = classifier.flat
    assert flat.words is classifier.word_embeddings
    flat.make_gradients()
    with torch.random.fork_rng(devices=[]):
        classifier.loss(classifier(batch), torch.tensor([2, 0, 1, 1]), torch.ones(4)).backward()
    assert flat.gradients.any()
    assert flat.word_gradients.any()
    with torch.no_grad():
        torch.testing.assert_close(classifier(batch), before, atol=1e-6, rtol=0)
    flat.values.mul_(0.5)
    with torch.no_grad():
        assert not torch.allclose(classifier(batch), before)


@pytest.mark.parametrize(
    ("family", "takes_types"), [("electra", True), ("distilbert", False), ("roberta", False), ("mpnet", False)]
)
def test_token_types_go_to_models_that_tell_texts_apart_only(tmp_path: Path, family: str, takes_types: bool):
    names = load(write_tiny_stock(tmp_path / family, family)).classifier.input_names
    assert ("token_type_ids" in names) is takes_types


def test_hidden_states_are_packed_like_the_batch(stock_checkpoint: Path):
    loaded = load(stock_checkpoint)
    batch = batch_of(loaded, TEXTS)
    states = loaded.classifier.hidden_states(batch)
    assert len(states) == 3
    assert {state.shape[0] for state in states} == {batch.tokens}


def test_seed_decides_the_new_weights(stock_checkpoint: Path):
    def head(seed: int) -> torch.Tensor:
        loaded = load_pretrained(str(stock_checkpoint), SCHEMA, ModelSettings(max_length=64), seed)
        return loaded.classifier.network.state_dict()[f"{loaded.classifier.output_layer}.weight"]

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_pad_token_in_the_text_does_no_harm(tmp_path: Path):
    loaded = load(write_tiny_stock(tmp_path / "roberta", "roberta"))
    logits = loaded.classifier(batch_of(loaded, ["good <pad> film", "a"]))
    assert torch.isfinite(logits).all()


def test_positions_that_roberta_keeps_for_padding_do_not_count(tmp_path: Path):
    directory = write_tiny_stock(tmp_path / "roberta", "roberta")
    assert load(directory, max_length=256).tokenizer.max_length == 126, "the default gives way to the model's limit"
    with pytest.raises(UsageError, match="more than the 126 tokens"):
        load(directory, max_length=127)
    full = load(directory, max_length=126)
    assert torch.isfinite(full.classifier(batch_of(full, ["good film " * 100]))).all()


@pytest.mark.parametrize(
    ("family", "limit"), [("ibert", 127), ("nystromformer", 128), ("yoso", 128), ("longformer", 127), ("modernbert", 128)]
)
def test_rows_as_long_as_the_model_reads_can_be_run(tmp_path: Path, family: str, limit: int):
    loaded = load(write_tiny_stock(tmp_path / family, family), max_length=limit)
    assert loaded.classifier.max_tokens == limit
    assert torch.isfinite(loaded.classifier(batch_of(loaded, ["good film " * 100, "a"]))).all()


def test_model_that_its_class_cannot_run_is_refused_when_it_is_loaded(tmp_path: Path):
    directory = write_tiny_stock(tmp_path / "nystromformer", "nystromformer")
    config = json.loads((directory / "config.json").read_text()) | {"num_landmarks": 32, "segment_means_seq_len": 64}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"nystromformer model cannot be run by its Hugging Face class here: ") as refusal:
        load(directory)
    assert "\n" not in str(refusal.value)


def test_model_without_a_position_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text(
        json.dumps(
            {"model_type": "roberta", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
            | {"vocab_size": 50, "max_position_embeddings": 2}
        )
    )
    with pytest.raises(ModelError, match=r"config\.json: max_position_embeddings leaves no position"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "nobody-knows", "auto_map": {"AutoModel": "code.Model"}}, "never run"),
        ({"model_type": "nobody-knows"}, "not one that transformers knows"),
        ({"model_type": "gpt2"}, "is no encoder"),
        ({"model_type": "bart", "is_encoder_decoder": True}, "is no encoder"),
        ({"model_type": "fnet", "hidden_size": 32, "num_hidden_layers": 1}, "cannot leave padding out"),
        ({}, "not one that transformers knows"),
        ({"model_type": "distilbert", "dim": 2**40}, "hidden_size is more than"),
        ({"model_type": "roberta", "num_hidden_layers": 10**7}, "num_hidden_layers is more than 1000"),
        ({"model_type": "distilbert", "dim": 30, "n_heads": 4}, "makes no distilbert model"),
    ],
)
def test_models_that_are_no_known_encoder_are_refused(tmp_path: Path, config: dict[str, Any], message: str):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message) as refusal:
        load(tmp_path)
    assert "\n" not in str(refusal.value)


def test_vocabulary_in_text_files_is_converted(tmp_path: Path):
    directory = write_tiny_stock(tmp_path / "distilbert", "distilbert")
    as_json = load(directory).tokenizer
    vocabulary = json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]
    (directory / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    (directory / "tokenizer.json").unlink()
    converted = load(directory).tokenizer
    texts = ["A good\tfilm [SEP] zebra!", "", "good " * 100]
    for ours, expected in zip(converted.encode(texts), as_json.encode(texts), strict=True):
        assert ours.input_ids.tolist() == expected.input_ids.tolist()


def test_directory_without_tokenizer_is_refused(tmp_path: Path):
    directory = write_tiny_stock(tmp_path / "distilbert", "distilbert")
    (directory / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json and no vocabulary"):
        load(directory)
