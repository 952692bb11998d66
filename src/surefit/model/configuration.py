"""The shape of a BERT, read from its `config.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surefit.errors import ModelError
from surefit.model.activations import ACTIVATIONS

# Far more than any published encoder has, and few enough for their product to be computed with.
_MOST = {"num_hidden_layers": 1000, "hidden_size": 2**16, "intermediate_size": 2**20}
_MOST_ROWS = 2**24  # of an embedding matrix


@dataclass(frozen=True)
class BertConfig:
    """What decides the shapes and the arithmetic of a BERT; names and defaults as in Hugging Face.

    Attributes:
        vocab_size: rows of the word embeddings.
        hidden_size: width of the hidden states.
        num_hidden_layers: number of layers.
        num_attention_heads: number of heads; it divides `hidden_size`.
        intermediate_size: width of the feed-forward part.
        hidden_act: its activation, one of `activations.ACTIVATIONS`.
        hidden_dropout_prob: dropout of embeddings and of each sublayer's output.
        attention_probs_dropout_prob: dropout of attention probabilities.
        classifier_dropout: dropout before the head; `hidden_dropout_prob` where it is None.
        max_position_embeddings: most tokens of a row.
        type_vocab_size: how many texts of a row can be told apart.
        initializer_range: standard deviation of new weights.
        layer_norm_eps: added to the variance in LayerNorm.
        pad_token_id: id of the padding token.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        for name in (*sizes, "max_position_embeddings", "type_vocab_size"):
            _require(getattr(self, name) >= 1, f"{name} must be 1 or more, got {getattr(self, name)}")
        require_possible_sizes(self)
        for name in ("initializer_range", "layer_norm_eps"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            _require(0 <= (getattr(self, name) or 0) < 1, f"{name} must be from 0 to 1, got {getattr(self, name)}")
        divides = self.hidden_size % self.num_attention_heads == 0
        _require(divides, f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {self.num_attention_heads}")
        _require(0 <= self.pad_token_id < self.vocab_size, f"pad_token_id {self.pad_token_id} is not in the vocabulary")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> BertConfig:
        """Takes what it needs from the content of a `config.json`.

        Raises:
            ModelError: a value is of the wrong kind or out of range, or the model has parts that
                this BERT has not.
        """
        for unsupported in ("is_decoder", "add_cross_attention"):
            _require(not content.get(unsupported), f"{unsupported} is set, but a classifier needs an encoder")
        positions = content.get("position_embedding_type") or "absolute"
        _require(positions == "absolute", f"position_embedding_type {positions!r} is not supported, only 'absolute'")
        values: dict[str, Any] = {}
        for slot in dataclasses.fields(cls):
            value = content.get(slot.name)
            if value is None:
                continue
            kinds = {"int": (int,), "str": (str,)}.get(str(slot.type), (int, float))
            right = isinstance(value, kinds) and not isinstance(value, bool)
            _require(right, f"{slot.name} has a value of the wrong kind")
            values[slot.name] = value
        return cls(**values)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def require_possible_sizes(config: object) -> None:
    """Refuses sizes that no encoder has, before a model of them fills the memory.

    Args:
        config: has the sizes as attributes with the names of BERT's; those it has not are passed over.

    Raises:
        ModelError: a size is out of reach.
    """
    for name in (*_MOST, "vocab_size", "max_position_embeddings", "type_vocab_size"):
        size, most = getattr(config, name, None), _MOST.get(name, _MOST_ROWS)
        _require(not isinstance(size, int) or size <= most, f"{name} is more than {most}, which no encoder has")


def is_plain_bert(content: Mapping[str, Any]) -> bool:
    """Whether SureFit's own encoder computes what this `config.json` describes."""
    return content.get("model_type") == "bert" and content.get("hidden_act", "gelu") in ACTIVATIONS


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ModelError(f"config.json: {sentence}")
