"""Encoder and head: from a packed batch to logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout
from surefit.model.encoder import BertEncoder, head_site
from surefit.model.fast_encoder import FastEncoder
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import flat_order, layer_products
from surefit.model.hardware import Hardware
from surefit.model.heads import Head, logit_count, present_logits, weighted_loss_sum
from surefit.model.inference_encoder import InferenceEncoder
from surefit.model.inference_products import FloatProducts, LayerProducts, PackedProducts, can_be_packed
from surefit.model.int8_products import Int8Products, ObservedProducts, can_be_int8
from surefit.model.int8_ranges import PLACES, Observe, Ranges, activation_name
from surefit.model.kernels import library
from surefit.model.parameters import FlatParameters
from surefit.model.varlen_attention import can_attend_varlen
from surefit.model.varlen_encoder import VarlenEncoder
from surefit.types import LabelSchema, PackedBatch


class SequenceClassifier(nn.Module, ABC):
    """What every classifier shows: it takes packed batches and gives one logit a class.

    Args:
        schema: the classes.
        head: which head stands on the encoder.
        config: the content of the checkpoint's `config.json`.

    Attributes:
        schema, head, config: as given.
        compiled: whether compiled loops compute what stands between the products; `prepare` decides it.
    """

    compiled = False

    def __init__(self, schema: LabelSchema, head: Head, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.schema = schema
        self.head = head
        self.config = dict(config)

        self._hardware = Hardware(torch.device("cpu"), "fp32", torch.get_num_threads())
        self._int8: Ranges | None = None
        self._flat: FlatParameters | None = None
        self.register_load_state_dict_post_hook(_after_loading)  # type: ignore[no-untyped-call]
        self.register_forward_pre_hook(_before_computing)

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies, in other processes too: views of the flat weights would each take all of them along."""
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.state_dict().items()}
        hardware = None if self._flat is None else self._hardware
        return _rebuild, (type(self), self.schema, self.head, self.config, weights, hardware, self._int8)

    def prepare(self, hardware: Hardware, *, int8: Ranges | None = None) -> None:
        """Moves the weights to where they are computed with, and chooses how.

        Args:
            hardware: where and in which precision.
            int8: ranges of the activations, with which predictions are made in int8.
        """
        self._hardware = hardware
        self._int8 = int8
        self.to(hardware.device)
        self._flat = FlatParameters(self.network, self.word_embeddings, self.flat_order)

    def take_threads(self) -> None:
        """To be called before computing: another classifier of this process may have set another number of threads."""
        if torch.get_num_threads() != self._hardware.threads:
            torch.set_num_threads(self._hardware.threads)

    @property
    def int8_activations(self) -> dict[str, int]:
        """Name -> channels of the activations whose ranges predictions in int8 need; none where it cannot make them."""
        return {}

    def observe(self, batches: Iterable[PackedBatch], see: Observe) -> None:
        """Computes batches in float32 on the CPU and shows `int8_activations`.

        Args:
            batches: the rows.
            see: told of each activation.
        """

    @property
    def flat(self) -> FlatParameters:
        """All weights as one; `prepare` lays them out.

        Raises:
            RuntimeError: it has not, or the model was moved or cast since.
        """
        if self._flat is None:
            raise RuntimeError("prepare() comes first")
        self._flat.require_views()
        return self._flat

    def weights_changed(self) -> None:
        """To be told after each change of the weights in place: some are kept in another precision too."""

    @abstractmethod
    def forward(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """Logits of each row, shape (rows, classes), float32, on the device of the weights.

        Args:
            batch: the rows.
            dropout: what to drop; nothing when not given.
        """

    @property
    @abstractmethod
    def word_embeddings(self) -> nn.Parameter:
        """The word embeddings, shape (vocabulary, width)."""

    @property
    @abstractmethod
    def hidden_size(self) -> int:
        """Width of the hidden states."""

    @property
    def flat_order(self) -> list[str]:
        """Names in `network` of the weights that stand first in `flat`."""
        return []

    @abstractmethod
    def hidden_states(self, batch: PackedBatch) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden), packed as the batch is."""

    @abstractmethod
    def all_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each token, shape (tokens, hidden), packed as the batch is, float32."""

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


def _after_loading(classifier: SequenceClassifier, _: object) -> None:
    classifier.weights_changed()


def _before_computing(classifier: SequenceClassifier, _: object) -> None:
    if classifier._flat is not None:
        classifier._flat.require_views()


def _rebuild(
    kind: type[SequenceClassifier],
    schema: LabelSchema,
    head: Head,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    hardware: Hardware | None,
    int8: Ranges | None,
) -> SequenceClassifier:
    classifier = kind(schema, head, config)
    classifier.load_state_dict(weights)
    if hardware is not None:
        classifier.prepare(hardware, int8=int8)
    return classifier


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
        self._fast: FastEncoder | None = None
        self._varlen: VarlenEncoder | None = None
        self._inference: InferenceEncoder | None = None
        self._dropout_p = shape.hidden_dropout_prob if shape.classifier_dropout is None else shape.classifier_dropout

    def prepare(self, hardware: Hardware, *, plain: bool = False, int8: Ranges | None = None) -> None:
        """Moves the weights to where they are computed with, and chooses how.

        Args:
            hardware: where and in which precision.
            plain: whether to compute by the plain modules where there is a faster way too.
            int8: ranges of the activations, with which predictions are made in int8.
        """
        super().prepare(hardware, int8=int8)
        self._fast, self._varlen, self._inference, self.compiled = None, None, None, False
        if plain:
            return
        if hardware.device.type == "cpu":
            self.compiled = hardware.compiled_loops and library.fits(self._shape)
            self._fast = FastEncoder(self.bert, self._shape, self.flat, "bert.", hardware.dtype, compiled=self.compiled)
        elif can_attend_varlen(hardware, self._shape.head_dim):
            self._varlen = VarlenEncoder(self.bert, self._shape)

    def weights_changed(self) -> None:
        if self._fast is not None:
            self._fast.refresh()
        self._inference = None

    @property
    def int8_activations(self) -> dict[str, int]:
        shape = self._shape
        if not can_be_int8(shape.hidden_act):
            return {}
        channels = {place: shape.intermediate_size if place == "active" else shape.hidden_size for place in PLACES}
        layers = range(shape.num_hidden_layers)
        return {activation_name(layer, place): channels[place] for layer in layers for place in PLACES}

    def observe(self, batches: Iterable[PackedBatch], see: Observe) -> None:
        hidden_act, workspace = self._shape.hidden_act, Workspace()
        weights = layer_products(self.flat.values, self.flat, self._shape, "bert.")
        products = [ObservedProducts(layer, own, hidden_act, workspace, see) for layer, own in enumerate(weights)]
        encoder = InferenceEncoder(self.bert, self._shape.num_attention_heads, products, workspace)
        for batch in batches:
            encoder.first_tokens(batch)

    def _inference_encoder(self) -> InferenceEncoder | None:
        """What computes forward only, made when it is first needed; None where gradients may be asked for, or on a GPU."""
        if self._fast is None or torch.is_grad_enabled():
            return None
        if self._inference is None:
            self._inference = self._new_inference_encoder(self._fast)
        return self._inference

    def _new_inference_encoder(self, fast: FastEncoder) -> InferenceEncoder:
        products: list[LayerProducts]
        shape, workspace = self._shape, Workspace()
        if self._int8 is not None:
            weights = layer_products(self.flat.values, self.flat, shape, "bert.")
            products = [Int8Products(layer, own, shape.hidden_act, self._int8, workspace) for layer, own in enumerate(weights)]
        elif can_be_packed(fast.dtype, shape.hidden_act):
            products = [PackedProducts(own, shape.hidden_act, workspace) for own in fast.weights]
        else:
            products = [FloatProducts(own, shape.hidden_act, workspace) for own in fast.weights]
        return InferenceEncoder(self.bert, shape.num_attention_heads, products, workspace, compiled=self.compiled)

    def forward(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """Logits of each row, shape (rows, classes), float32."""
        if dropout is None and (inference := self._inference_encoder()) is not None:
            first = inference.first_tokens(batch)
        else:
            with self._hardware.autocast():
                first = (self._fast or self._varlen or self.bert).first_tokens(batch, dropout)
        # A few rows only, so that full precision costs nothing.
        pooled = self.bert.pooler(first.float())
        if dropout is not None:
            site, start = head_site(self._shape.num_hidden_layers), dropout.rows * self._shape.hidden_size
            pooled = dropout.drop(pooled, site, start, self._dropout_p)
        return present_logits(self.classifier(pooled), self.schema, self.head)

    def hidden_states(self, batch: PackedBatch) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden)."""
        with self._hardware.autocast():
            return self.bert.hidden_states(batch)

    def all_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each token, shape (tokens, hidden), float32."""
        if (inference := self._inference_encoder()) is not None:
            return inference.all_tokens(batch)
        with self._hardware.autocast():
            return (self._varlen or self.bert).all_tokens(batch).float()

    @property
    def word_embeddings(self) -> nn.Parameter:
        weight = self.bert.embeddings.word_embeddings.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    @property
    def hidden_size(self) -> int:
        return self._shape.hidden_size

    @property
    def flat_order(self) -> list[str]:
        return flat_order(self._shape.num_hidden_layers, "bert.")

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
