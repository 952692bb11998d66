"""Encoder and head: from a packed batch to logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from surefit.model.configuration import BertConfig
from surefit.model.dropout import dropout
from surefit.model.encoder import BertEncoder
from surefit.model.heads import Head, logit_count, present_logits, weighted_loss_sum
from surefit.types import LabelSchema, PackedBatch


class SequenceClassifier(nn.Module, ABC):
    """What every classifier shows: it takes packed batches and gives one logit a class.

    Args:
        schema: the classes.
        head: which head stands on the encoder.
        config: the content of the checkpoint's `config.json`.

    Attributes:
        schema, head, config: as given.
    """

    def __init__(self, schema: LabelSchema, head: Head, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.schema = schema
        self.head = head
        self.config = dict(config)

    @abstractmethod
    def forward(self, batch: PackedBatch) -> Tensor:
        """Logits of each row, shape (rows, classes), float32, on the device of the weights."""

    @abstractmethod
    def hidden_states(self, batch: PackedBatch) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden), packed as the batch is."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The module whose `state_dict` has the names of Hugging Face's classifier of this family."""

    @property
    @abstractmethod
    def encoder_prefix(self) -> str:
        """What the names of the encoder's weights begin with, for instance "bert."."""

    @property
    @abstractmethod
    def output_layer(self) -> str:
        """Name of the last linear layer in `network`."""

    @property
    @abstractmethod
    def skips_padding(self) -> bool:
        """Whether no layer computes on padding."""

    @property
    @abstractmethod
    def head_in_words(self) -> str:
        """What the head is made of, for readers."""

    @property
    @abstractmethod
    def reads_first_token(self) -> bool:
        """Whether the head makes the decision from the vector of the first token, not from those of all."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Hugging Face's class for `network`."""

    @property
    @abstractmethod
    def vocabulary_rows(self) -> int:
        """How many token ids there are embeddings for."""

    @property
    @abstractmethod
    def max_tokens(self) -> int | None:
        """Most tokens of a row that the model can read; None where there is no limit."""

    @property
    @abstractmethod
    def input_names(self) -> tuple[str, ...]:
        """What the stock model takes, as `model_input_names` in `tokenizer_config.json`."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum of the rows' losses; see `heads.weighted_loss_sum`."""
        return weighted_loss_sum(logits, targets, weights, self.schema.problem_type)


class Classifier(SequenceClassifier):
    """SureFit's own BERT with a linear head; names as in Hugging Face's BertForSequenceClassification.

    Args:
        schema: the classes.
        head: which head stands on the encoder.
        config: the content of the checkpoint's `config.json`.
    """

    def __init__(self, schema: LabelSchema, head: Head, config: Mapping[str, Any]) -> None:
        super().__init__(schema, head, config)
        shape = BertConfig.from_dict(config)
        self.bert = BertEncoder(shape)
        self.classifier = nn.Linear(shape.hidden_size, logit_count(schema, head))
        self._shape = shape
        self._dropout_p = shape.hidden_dropout_prob if shape.classifier_dropout is None else shape.classifier_dropout

    def forward(self, batch: PackedBatch) -> Tensor:
        """Logits of each row, shape (rows, classes), float32."""
        pooled = dropout(self.bert(batch), self._dropout_p, self.training)
        return present_logits(self.classifier(pooled), self.schema, self.head)

    def hidden_states(self, batch: PackedBatch) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden)."""
        return self.bert.hidden_states(batch)

    @property
    def network(self) -> nn.Module:
        return self

    @property
    def encoder_prefix(self) -> str:
        return "bert."

    @property
    def output_layer(self) -> str:
        return "classifier"

    @property
    def skips_padding(self) -> bool:
        return True

    @property
    def head_in_words(self) -> str:
        return "the pooler, a linear layer with tanh, and then one more linear layer"

    @property
    def reads_first_token(self) -> bool:
        return True

    @property
    def architecture(self) -> str:
        return "BertForSequenceClassification"

    @property
    def vocabulary_rows(self) -> int:
        return self._shape.vocab_size

    @property
    def max_tokens(self) -> int | None:
        return self._shape.max_position_embeddings

    @property
    def input_names(self) -> tuple[str, ...]:
        pairs = self._shape.type_vocab_size > 1
        return ("input_ids", "token_type_ids", "attention_mask") if pairs else ("input_ids", "attention_mask")
