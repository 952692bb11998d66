"""Encoders of other families than BERT, computed by Hugging Face's own classes.

The only module that uses transformers, which is slow to import: it is imported when needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from torch import Tensor, nn

from surefit.errors import ModelError
from surefit.model.classifier import SequenceClassifier
from surefit.model.configuration import require_possible_sizes
from surefit.model.dropout import StepDropout
from surefit.model.heads import Head, logit_count, present_logits
from surefit.model.transfer import on_device
from surefit.types import Encoding, LabelSchema, PackedBatch

# Tokens of the longest row that is tried out: attention takes memory with the square of them.
_LONGEST_TRIAL = 1024


class StockClassifier(SequenceClassifier):
    """Hugging Face's sequence classifier of a family of encoders, on padded batches.

    Its weights are random until they are loaded; torch's default generator decides them.

    Args:
        schema: the classes.
        head: which head stands on the encoder.
        config: the content of the checkpoint's `config.json`.

    Raises:
        ModelError: the family is unknown, is no encoder, or the values do not make a model.
    """

    def __init__(self, schema: LabelSchema, head: Head, config: Mapping[str, Any]) -> None:
        super().__init__(schema, head, config)
        self.model = _build(config, logit_count(schema, head))
        if "attention_mask" not in inspect.signature(self.model.forward).parameters:
            raise ModelError(f"config.json: {config.get('model_type')} models cannot leave padding out of account")
        self._takes_types = _takes_token_types(self.model)
        self._pad_token_id: int = self.model.config.pad_token_id or 0
        self._try_out()

    def forward(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """Logits of each row, shape (rows, classes), float32.

        The family's own class draws what it drops from torch's generator, which `StepDropout.begin`
        sets: by step, not by place.
        """
        self._drop(dropout is not None)
        with self._hardware.autocast():
            logits = self.model(**self._inputs(batch)).logits
        return present_logits(logits, self.schema, self.head)

    def hidden_states(self, batch: PackedBatch) -> list[Tensor]:
        """Output of the embeddings and of each layer, each of shape (tokens, hidden)."""
        self._drop(False)
        inputs = self._inputs(batch)
        is_token = inputs["attention_mask"].bool()
        with self._hardware.autocast():
            states = self.model(**inputs, output_hidden_states=True).hidden_states
        return [state[is_token] for state in states]

    def all_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each token, shape (tokens, hidden), float32."""
        self._drop(False)
        inputs = self._inputs(batch)
        with self._hardware.autocast():
            states: Tensor = self.model.base_model(**inputs).last_hidden_state
        return states[inputs["attention_mask"].bool()].float()

    def _drop(self, wanted: bool) -> None:
        if self.model.training != wanted:
            self.model.train(wanted)

    @property
    def word_embeddings(self) -> nn.Parameter:
        weight: nn.Parameter = self.model.get_input_embeddings().weight
        return weight

    @property
    def hidden_size(self) -> int:
        return int(self.model.config.hidden_size)  # every family's own name for it leads there

    def _try_out(self) -> None:
        """Runs a short and a long row, since some families need rows of certain lengths, or a GPU.

        Raises:
            ModelError: it fails at one of them.
        """
        token = 1 if self._pad_token_id == 0 else 0
        longest = _LONGEST_TRIAL if self.max_tokens is None else min(self.max_tokens, _LONGEST_TRIAL)
        if longest < 1:
            raise ModelError("config.json: max_position_embeddings leaves no position for a token")
        try:
            with _quiet_transformers(), torch.no_grad():  # tensors kept for later must not be inference tensors
                for length in (min(3, longest), longest):
                    ids = np.full(length, token, dtype=np.int32)
                    row = Encoding(ids, np.zeros_like(ids), truncated_tokens=0)
                    logits = self(PackedBatch.from_encodings([row], np.arange(1)))
                    if logits.shape != (1, len(self.schema)):
                        raise ValueError(f"a row of {length} tokens gives logits of shape {list(logits.shape)}")
        except Exception as error:  # whatever foreign code raises
            family = self.config.get("model_type")
            raise ModelError(
                f"config.json: a {family} model cannot be run by its Hugging Face class here: {_in_one_line(error)}"
            ) from None

    def _inputs(self, batch: PackedBatch) -> dict[str, Tensor]:
        padded = batch.to_padded(self._pad_token_id)
        return {name: on_device(getattr(padded, name), self.device) for name in self.input_names}

    @property
    def network(self) -> nn.Module:
        model: nn.Module = self.model
        return model

    @property
    def encoder_prefix(self) -> str:
        return f"{self.model.base_model_prefix}."

    @property
    def output_layer(self) -> str:
        outputs = logit_count(self.schema, self.head)
        head = [
            name
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Linear) and module.out_features == outputs and not name.startswith(self.encoder_prefix)
        ]
        return str(head[-1])

    @property
    def skips_padding(self) -> bool:
        return False

    @property
    def head_in_words(self) -> str:
        return f"the family's own classification head, that of {self.architecture}"

    @property
    def reads_first_token(self) -> bool:
        # Few families leave the choice to their configuration: ModernBERT says cls or mean, EuroBERT bos, mean or late.
        return getattr(self.model.config, "classifier_pooling", "cls") in ("cls", "bos")

    @property
    def architecture(self) -> str:
        return type(self.model).__name__

    @property
    def vocabulary_rows(self) -> int:
        return len(self.model.get_input_embeddings().weight)  # not every family has torch's own Embedding

    @property
    def max_tokens(self) -> int | None:
        tables: list[Any] = [
            module
            for name, module in self.model.named_modules()
            if name.endswith("position_embeddings") and hasattr(module, "padding_idx")  # not every one is torch's Embedding
        ]
        # RoBERTa and its kin number positions from behind the padding index; others keep rows that they never use.
        limits = [len(table.weight) - (0 if table.padding_idx is None else table.padding_idx + 1) for table in tables]
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if isinstance(limit, int) and limit > 0:
            limits.append(limit)
        return min(limits, default=None)

    @property
    def input_names(self) -> tuple[str, ...]:
        types = ("token_type_ids",) if self._takes_types else ()
        return ("input_ids", *types, "attention_mask")


def backend_from_vocabulary(directory: Path) -> tokenizers.Tokenizer:
    """Makes a fast tokenizer of a checkpoint that has its vocabulary as text files only.

    Raises:
        ModelError: the files do not make one.
    """
    with _quiet_transformers():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            backend: tokenizers.Tokenizer = tokenizer.backend_tokenizer
        except Exception as error:  # whatever the conversion of foreign files raises
            raise ModelError(f"{directory} holds no tokenizer that can be read: {_in_one_line(error)}") from None
    return backend


def _build(config: Mapping[str, Any], outputs: int) -> Any:
    model_type = str(config.get("model_type"))
    with _quiet_transformers():
        from transformers import AutoConfig, AutoModelForSequenceClassification

        stock_class: Any = AutoModelForSequenceClassification
        _require_encoder(model_type, config)
        labels = {"num_labels": outputs, "problem_type": None}
        content = {key: value for key, value in config.items() if key not in ("model_type", "id2label", "label2id", "auto_map")}
        try:
            stock_config = AutoConfig.for_model(model_type, **content | labels)
            require_possible_sizes(stock_config)
            # Attention written out is faster backwards on CPUs than the fused kernel.
            return stock_class.from_config(stock_config, dtype=torch.float32, attn_implementation="eager")
        except ModelError:
            raise
        except Exception as error:  # whatever foreign values lead to
            raise ModelError(f"config.json makes no {model_type} model: {_in_one_line(error)}") from None


def _require_encoder(model_type: str, config: Mapping[str, Any]) -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    if model_type not in CONFIG_MAPPING:
        own_code = ", and code that comes with a model is never run" if "auto_map" in config else ""
        raise ModelError(f"config.json: model_type {model_type!r} is not one that transformers knows{own_code}")
    known = model_type in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES and model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if not known or config.get("is_encoder_decoder") or config.get("is_decoder"):
        raise ModelError(f"config.json: {model_type!r} is no encoder such as BERT, DistilBERT, RoBERTa, MPNet or DeBERTa")


def _takes_token_types(model: Any) -> bool:
    taken = "token_type_ids" in inspect.signature(model.forward).parameters
    return taken and getattr(model.config, "type_vocab_size", 0) > 1


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keeps transformers' remarks and progress bars off the terminal."""
    import transformers

    logging: Any = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
