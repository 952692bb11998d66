"""From a name to a model: directories, runs, the embedded alias."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from surefit.config import ModelSettings
from surefit.errors import ModelError, UsageError
from surefit.model.pretrained import Pretrained, load_pretrained, save_classifier
from surefit.types import MULTI_LABEL, SINGLE_LABEL, DecisionRule, LabelSchema
from tiny_models import write_tiny_bert

TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))
HEAD = ("classifier.weight", "classifier.bias")


def load(name: object, schema: LabelSchema = TWO, seed: int = 0, **settings: Any) -> Pretrained:
    return load_pretrained(str(name), schema, ModelSettings(**settings), seed)


def rewrite(directory: Path, rename: Any) -> None:
    """Rewrites a checkpoint's weights, `rename` giving each its new name or None."""
    tensors = {rename(name): tensor for name, tensor in load_file(directory / "model.safetensors").items()}
    tensors.pop(None, None)
    save_file(tensors, directory / "model.safetensors")


def weights(loaded: Pretrained) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in loaded.classifier.state_dict().items() if name not in HEAD}


def test_directory_is_loaded_with_a_new_head(tiny_bert: Path):
    loaded = load(tiny_bert)
    assert loaded.source == str(tiny_bert)
    assert loaded.new_parameters == HEAD
    stored = load_file(tiny_bert / "model.safetensors")
    for name, tensor in weights(loaded).items():
        assert torch.equal(tensor, stored[name.removeprefix("bert.")])
    head = loaded.classifier.state_dict()["classifier.weight"]
    assert head.std().item() == pytest.approx(0.02, rel=0.3)


def test_seed_decides_the_head_and_disturbs_no_other_random_numbers(tiny_bert: Path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (load(tiny_bert, seed=seed).classifier.state_dict()["classifier.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.rand(3), expected)


def test_embedded_model_is_known_by_its_alias(embedded_model: Path):
    loaded = load("minilm-l6")
    assert loaded.source == "minilm-l6"
    assert loaded.new_parameters == HEAD
    assert loaded.tokenizer.max_length == 256
    stored = load_file(embedded_model / "model.safetensors")
    assert torch.equal(weights(loaded)["bert.pooler.dense.weight"], stored["pooler.dense.weight"])


def old_layer_norm(name: str) -> str:
    return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize("rename", [lambda name: f"bert.{name}", old_layer_norm], ids=["prefix", "gamma and beta"])
def test_names_of_checkpoints_with_heads_and_of_old_ones_are_understood(tmp_path: Path, tiny_bert: Path, rename: Any):
    directory = write_tiny_bert(tmp_path / "bert")
    rewrite(directory, rename)
    tensors = load_file(directory / "model.safetensors") | {"cls.predictions.bias": torch.zeros(5)}
    save_file(tensors, directory / "model.safetensors")
    expected = weights(load(tiny_bert))
    for name, tensor in weights(load(directory)).items():
        assert torch.equal(tensor, expected[name])


def test_missing_pooler_is_new_and_named(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    rewrite(directory, lambda name: None if name.startswith("pooler") else name)
    assert load(directory).new_parameters == ("bert.pooler.dense.weight", "bert.pooler.dense.bias", *HEAD)


def test_shards_are_read(tmp_path: Path, tiny_bert: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    tensors = load_file(directory / "model.safetensors")
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[:10], "model-00002-of-00002.safetensors": names[10:]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, directory / file)
    index = {"weight_map": {name: file for file, part in files.items() for name in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "model.safetensors").unlink()
    expected = weights(load(tiny_bert))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(load(directory)).items())
    (directory / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing"):
        load(directory)
    index["weight_map"][names[0]] = "../elsewhere.safetensors"
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="of its own directory"):
        load(directory)


def test_half_precision_weights_become_fp32(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    tensors = {name: tensor.half() for name, tensor in load_file(directory / "model.safetensors").items()}
    save_file(tensors, directory / "model.safetensors")
    assert {parameter.dtype for parameter in load(directory).classifier.parameters()} == {torch.float32}


def test_loaded_weights_live_on_when_the_file_changes(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    loaded = load(directory)
    before = {name: tensor.clone() for name, tensor in weights(loaded).items()}
    with open(directory / "model.safetensors", "r+b") as file:
        file.write(b"\xff" * (directory / "model.safetensors").stat().st_size)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(loaded).items())


def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"can run code: convert"):
        load(directory)


def test_damaged_weights_are_refused_by_name(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        load(directory)


def test_missing_and_misshapen_tensors_are_refused_by_name(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    rewrite(directory, lambda name: None if name == "encoder.layer.1.output.dense.bias" else name)
    with pytest.raises(ModelError, match=r"model\.safetensors lacks the tensor 'encoder\.layer\.1\.output\.dense\.bias'"):
        load(directory)
    directory = write_tiny_bert(tmp_path / "other")
    config = json.loads((directory / "config.json").read_text()) | {"max_position_embeddings": 64}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"'embeddings\.position_embeddings\.weight' has the shape \[128, 32\]"):
        load(directory)


def test_tokenizer_of_another_model_is_refused(tmp_path: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    content = json.loads((directory / "tokenizer.json").read_text())
    content["model"]["vocab"]["zebra"] = len(content["model"]["vocab"])
    (directory / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="does not belong to the model"):
        load(directory)


def test_standard_deviation_of_new_weights_may_be_left_open(tmp_path: Path):
    head = load(write_tiny_bert(tmp_path / "bert", initializer_range=None)).classifier.state_dict()["classifier.weight"]
    assert head.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 2**40},
        {"hidden_size": 2**16},
        {"num_hidden_layers": 10**7},
        {"num_hidden_layers": 1000},
        {"initializer_range": float("inf")},
        {"type_vocab_size": "two"},
        {"max_position_embeddings": 2**24},
        {"pad_token_id": True},
    ],
    ids=str,
)
def test_damaged_configuration_is_refused_by_name(tmp_path: Path, changes: dict[str, Any]):
    directory = write_tiny_bert(tmp_path / "bert")
    config = json.loads((directory / "config.json").read_text()) | changes
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"config\.json") as refusal:
        load(directory)
    assert "\n" not in str(refusal.value)


def drop_unknown_token(content: dict[str, Any]) -> None:
    del content["model"]["vocab"]["[UNK]"]


TOKENIZER_DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "class token left out": (lambda content: content["post_processor"]["single"].pop(0), r"does not set \[CLS\] before a text"),
    "separator left out": (lambda content: content["post_processor"]["single"].pop(2), r"\[SEP\] after each text"),
    "class token of another id": (
        lambda content: content["post_processor"]["special_tokens"]["[CLS]"].update(ids=[77]),
        "damaged or of another model",
    ),
    "class token without an embedding": (
        lambda content: content["post_processor"]["special_tokens"]["[CLS]"].update(ids=[99_999]),
        "damaged or of another model",
    ),
    "more tokens without an embedding": (
        lambda content: content["post_processor"]["special_tokens"]["[SEP]"].update(ids=[3, 99_999, 3], tokens=["[SEP]"] * 3),
        "does not belong to the model: its token ids go up to 99999",
    ),
    "token type without an embedding": (
        lambda content: content["post_processor"]["single"][1]["Sequence"].update(type_id=7),
        r"token types go up to 7, .*config\.json has type_vocab_size 2",
    ),
    "unknown token gone": (drop_unknown_token, r"has no token for unknown characters: .*\[UNK\]"),
}


@pytest.mark.parametrize("damage", list(TOKENIZER_DAMAGES))
def test_tokenizer_that_frames_texts_otherwise_is_refused_by_name(tmp_path: Path, damage: str):
    directory = write_tiny_bert(tmp_path / "bert")
    load(directory)
    content = json.loads((directory / "tokenizer.json").read_text())
    inflict, message = TOKENIZER_DAMAGES[damage]
    inflict(content)
    (directory / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=message) as refusal:
        load(directory)
    assert str(directory) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_padding_id_of_another_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"config\.json has pad_token_id 4, but the padding token \[PAD\] .* the id 0"):
        load(write_tiny_bert(tmp_path / "bert", pad_token_id=4))
    assert load(write_tiny_bert(tmp_path / "absent", pad_token_id=0)).tokenizer.pad_token_id == 0


def test_maximum_length_beyond_the_model_is_refused_unless_it_is_the_default(tiny_bert: Path):
    assert load(tiny_bert).tokenizer.max_length == 128
    assert load(tiny_bert, max_length=16).tokenizer.max_length == 16
    with pytest.raises(UsageError, match="--max-length 129 is more than the 128 tokens"):
        load(tiny_bert, max_length=129)


@pytest.mark.parametrize(
    "name", ["./nothing", "/nothing/here", "~/nothing-here", "runs/nothing/model", "nothing/", "..\\nothing"]
)
def test_what_looks_like_a_path_is_never_looked_up_on_the_hub(name: str):
    with pytest.raises(ModelError, match="there is no such directory"):
        load(name)


def test_mistyped_alias_is_answered_at_once():
    with pytest.raises(ModelError, match="did you mean --model minilm-l6"):
        load("minilm-l5")


def test_files_and_directories_without_a_model_are_refused(tmp_path: Path, tiny_bert: Path):
    with pytest.raises(ModelError, match="is a file"):
        load(tiny_bert / "config.json")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ModelError, match="no finished model yet"):
        load(tmp_path)


def test_names_that_no_hub_allows_are_refused():
    with pytest.raises(ModelError, match="neither a directory nor a name"):
        load("not a name")


def saved_run(directory: Path, tiny_bert: Path, schema: LabelSchema, head: str | None, temperature: float) -> Pretrained:
    loaded = load(tiny_bert, schema, head=head, max_length=48)
    save_classifier(directory / "model", loaded.classifier, loaded.tokenizer, DecisionRule(temperature), base_model="tiny")
    return loaded


@pytest.mark.parametrize(("head", "temperature"), [("softmax", 1.0), ("softmax", 1.7), ("sigmoid", 1.7)])
def test_run_is_trained_on_with_its_own_head(tmp_path: Path, tiny_bert: Path, head: str, temperature: float):
    before = saved_run(tmp_path, tiny_bert, TWO, head, temperature)
    after = load(tmp_path, LabelSchema(SINGLE_LABEL, ("yes", "no")))
    assert after.classifier.schema == TWO, "the run's order of classes, not the data's"
    assert (after.classifier.head, after.new_parameters, after.source) == (head, (), str(tmp_path))
    expected = before.classifier.state_dict()
    state = after.classifier.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, expected[name], msg=name)
    assert all(parameter.requires_grad for parameter in after.classifier.parameters())


def test_run_that_does_not_know_a_class_is_refused(tmp_path: Path, tiny_bert: Path):
    saved_run(tmp_path, tiny_bert, TWO, None, 1.0)
    with pytest.raises(ModelError, match="does not know the class 'maybe'"):
        load(tmp_path, LabelSchema(SINGLE_LABEL, ("maybe", "no")))
    with pytest.raises(ModelError, match="was trained for single_label"):
        load(tmp_path, LabelSchema(MULTI_LABEL, ("no", "yes")))


def test_run_keeps_its_head(tmp_path: Path, tiny_bert: Path):
    saved_run(tmp_path, tiny_bert, TWO, "sigmoid", 1.0)
    assert load(tmp_path, head="sigmoid").classifier.head == "sigmoid"
    with pytest.raises(UsageError, match="has a sigmoid head"):
        load(tmp_path, head="softmax")


def test_stock_classifier_of_others_can_be_fine_tuned(tmp_path: Path, tiny_bert: Path):
    directory = write_tiny_bert(tmp_path / "bert")
    rewrite(directory, lambda name: f"bert.{name}")
    tensors = load_file(directory / "model.safetensors")
    tensors |= {"classifier.weight": torch.ones(9, 32), "classifier.bias": torch.ones(9)}
    save_file(tensors, directory / "model.safetensors")
    assert load(directory).new_parameters == HEAD
