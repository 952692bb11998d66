"""Reads what stands in a checkpoint's directory: JSON, safetensors and vocabularies, nothing else.

Pickled weights are not read, because unpickling runs whatever code the file names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from surefit.artifacts import read_json
from surefit.errors import ModelError, RunError
from surefit.interruption import stop_afterwards
from surefit.text.tokenizer import TextTokenizer

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a model directory.

    Raises:
        ModelError: the file is missing, damaged or holds something else.
    """
    try:
        return read_json(path)
    except RunError as error:
        raise ModelError(str(error)) from None


def read_tensors(directory: Path) -> dict[str, Tensor]:
    """Reads the weights of a directory, in one file or in shards, as they are stored.

    Raises:
        ModelError: there are none in safetensors, or a file is damaged.
    """
    single = directory / WEIGHTS
    if single.is_file():
        return _read_file(single)
    index = directory / WEIGHTS_INDEX
    if not index.is_file():
        raise ModelError(
            f"{directory} has no {WEIGHTS}; other formats are not read, since pickled weights (.bin) can run code: convert "
            "them with AutoModel.from_pretrained(...).save_pretrained(DIRECTORY) of transformers and give that directory"
        )
    tensors: dict[str, Tensor] = {}
    for shard in shard_names(index):
        tensors |= _read_file(directory / shard)
    return tensors


def shard_names(index: Path) -> list[str]:
    """Names of the files that the index of sharded weights lists.

    Raises:
        ModelError: the index is damaged, or names a file outside its directory.
    """
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ModelError(f"{index} has no weight_map; it is damaged")
    shards = sorted(set(weight_map.values()))
    if any(Path(shard).name != shard or not shard.endswith(".safetensors") for shard in shards):
        raise ModelError(f"{index} names files that are not safetensors files of its own directory")
    return shards


def fitting_copy(name: str, stored: Tensor, like: Tensor, file: Path) -> Tensor:
    """A copy of a stored weight, in memory of its own and in the number format of the model.

    Args:
        name: the weight's name in the file, for messages.
        stored: what the file holds.
        like: the model's own weight, whose shape it must have.
        file: where it was read, for messages.

    Raises:
        ModelError: the shape is another, the values are quantised, or not all of them are numbers.
    """
    if stored.shape != like.shape:
        raise ModelError(
            f"{file}: tensor {name!r} has the shape {list(stored.shape)}, but config.json asks for {list(like.shape)}; "
            "the two do not belong together"
        )
    if like.is_floating_point() and stored.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        raise ModelError(f"{file}: tensor {name!r} holds {stored.dtype} values; quantised weights cannot be fine-tuned")
    copy = stored.to(like.dtype, copy=True)
    if not torch.isfinite(copy.sum()) and not torch.isfinite(copy).all():
        raise ModelError(f"{file}: tensor {name!r} holds values that are not finite numbers; the file is damaged")
    return copy


def encoder_names(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, str]:
    """Maps the names that an encoder's own weights have today to those in a checkpoint.

    Checkpoints of the encoder alone have no prefix, those with any head have one ("bert."), and
    old ones call the weight and bias of LayerNorm gamma and beta.

    Args:
        tensors: the checkpoint's tensors by name.
        prefix: the family's prefix, for instance "bert.".
    """
    has_prefix = any(name.startswith(prefix) for name in tensors)
    names = {}
    for name in tensors:
        if has_prefix and not name.startswith(prefix):
            continue  # a head
        modern = name.removeprefix(prefix)
        modern = modern.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        names[modern] = name
    return names


def read_special_tokens(directory: Path) -> dict[str, str]:
    """Role -> special token, as the tokenizer's JSON files name them; empty where they name none.

    Raises:
        ModelError: one of the files is damaged.
    """
    tokens: dict[str, str] = {}
    for file in ("special_tokens_map.json", TOKENIZER_CONFIG):
        path = directory / file
        if not path.is_file():
            continue
        for role, value in read_object(path).items():
            token = value.get("content") if isinstance(value, dict) else value
            if role.endswith("_token") and isinstance(token, str):
                tokens[role] = token
    return tokens


def read_tokenizer(directory: Path, max_length: int) -> TextTokenizer:
    """Reads the tokenizer of a directory.

    Args:
        directory: has `tokenizer.json`, or the vocabulary as text files.
        max_length: most tokens of a row.

    Raises:
        ModelError: there is none, it is damaged, it is no encoder's, or it and `config.json` disagree.
    """
    special_tokens = read_special_tokens(directory)
    if (directory / TOKENIZER).is_file():
        tokenizer = TextTokenizer.from_file(directory / TOKENIZER, max_length, special_tokens)
    else:
        tokenizer = _read_vocabulary(directory, max_length, special_tokens)
    _require_agreement(tokenizer, directory / CONFIG)
    return tokenizer


def _read_vocabulary(directory: Path, max_length: int, special_tokens: Mapping[str, str]) -> TextTokenizer:
    has_vocabulary = (directory / "vocab.txt").is_file() or (directory / "vocab.json").is_file()
    if not has_vocabulary:
        raise ModelError(f"{directory} has no {TOKENIZER} and no vocabulary (vocab.txt, or vocab.json with merges.txt)")
    from surefit.model.stock import backend_from_vocabulary

    return TextTokenizer(backend_from_vocabulary(directory), max_length, special_tokens, f"the vocabulary in {directory}")


def _require_agreement(tokenizer: TextTokenizer, file: Path) -> None:
    """Refuses a tokenizer that pads or counts the texts of a row otherwise than `config.json` says."""
    config = read_object(file)
    pad = config.get("pad_token_id")
    if pad is not None and pad != tokenizer.pad_token_id:
        raise ModelError(
            f"{file} has pad_token_id {pad!r}, but the padding token {tokenizer.special_tokens['pad_token']} of the tokenizer "
            f"has the id {tokenizer.pad_token_id}; the two do not belong together"
        )
    types = config.get("type_vocab_size")
    types = types if isinstance(types, int) else 2  # as in BERT; families that tell no texts apart have no such value
    if types > 1 and tokenizer.token_types > types:  # a model of one type is not told of any
        raise ModelError(
            f"the tokenizer does not belong to the model: its token types go up to {tokenizer.token_types - 1}, "
            f"{file} has type_vocab_size {types}"
        )


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        with stop_afterwards(), safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (the file is no mapping)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}; it is damaged or incomplete") from None
