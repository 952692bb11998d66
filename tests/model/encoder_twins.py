"""One small BERT computed twice, fast and plainly, and batches for it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout
from surefit.model.encoder import BertEncoder
from surefit.model.fast_encoder import FastEncoder
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import flat_order, layer_products
from surefit.model.inference_encoder import InferenceEncoder
from surefit.model.inference_products import FloatProducts, LayerProducts, PackedProducts
from surefit.model.int8_products import Int8Products, ObservedProducts
from surefit.model.int8_ranges import Range, RangeFinder, Ranges
from surefit.model.kernels import library
from surefit.model.parameters import FlatParameters
from surefit.types import Encoding, PackedBatch

VOCABULARY = 200
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
}


def ragged_batch(lengths: Sequence[int], vocabulary: int = VOCABULARY, types: int = 2, seed: int = 0) -> PackedBatch:
    """Rows of random tokens, among them the padding token."""
    generator = np.random.default_rng(seed)
    encodings = [
        Encoding(
            generator.integers(0, vocabulary, length, dtype=np.int32),
            np.sort(generator.integers(0, types, length, dtype=np.int32)),
            0,
        )
        for length in lengths
    ]
    return PackedBatch.from_encodings(encodings, np.arange(len(lengths)))


def rows_of(batch: PackedBatch, first: int, end: int) -> PackedBatch:
    """Some neighbouring rows of a batch."""
    encodings = []
    for row in range(first, end):
        tokens = slice(batch.cu_seqlens[row], batch.cu_seqlens[row + 1])
        encodings.append(
            Encoding(
                batch.input_ids[tokens].astype(np.int32), batch.token_type_ids[tokens].astype(np.int32), truncated_tokens=0
            )
        )
    return PackedBatch.from_encodings(encodings, batch.example_ids[first:end])


def padded_inputs(batch: PackedBatch, *, types: bool = True) -> dict[str, Tensor]:
    """What Hugging Face's BertModel takes."""
    padded = batch.to_padded(0)
    names = ("input_ids", "token_type_ids", "attention_mask") if types else ("input_ids", "attention_mask")
    return {name: torch.from_numpy(getattr(padded, name)) for name in names}


def random_encoder(config: BertConfig) -> BertEncoder:
    """An encoder in which no weight is 0 or 1, so that none goes unnoticed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = BertEncoder(config)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return encoder


def gradients_of(encoder: nn.Module) -> dict[str, Tensor]:
    """A copy of all gradients by name."""
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in encoder.named_parameters()}


class Twins:
    """The fast computation of an encoder, and the plain one of its copy in float64.

    Args:
        dtype: of the fast computation.
        changes: to the sizes.

    Attributes:
        compiled: whether it is made by the compiled loops.
    """

    compiled = False

    def __init__(self, dtype: torch.dtype = torch.float32, **changes: Any) -> None:
        self.config = BertConfig.from_dict(SIZES | changes)
        self.encoder = random_encoder(self.config)
        self.plain = copy.deepcopy(self.encoder).double()
        if self.compiled and not library.fits(self.config):
            pytest.skip("the compiled loops were not built, or do not take this shape")
        words = self.encoder.embeddings.word_embeddings.weight
        self.flat = FlatParameters(self.encoder, words, flat_order(self.config.num_hidden_layers, ""))
        self.fast = FastEncoder(self.encoder, self.config, self.flat, "", dtype, compiled=self.compiled)

    def outputs(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """What the fast encoder makes of a batch, no backward pass following."""
        with torch.no_grad():
            return self.fast.first_tokens(batch, dropout)

    def clear(self) -> None:
        """Sets the gradients of both to zero."""
        self.plain.zero_grad()
        self.flat.make_gradients()
        self.flat.clear_gradients(torch.arange(self.config.vocab_size))

    def run_fast(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """Adds to the gradients of a loss in which all values of the pooled rows count; returns these."""
        pooled = self.encoder.pooler(self.fast.first_tokens(batch, dropout).float())
        _loss(pooled, batch).backward()
        return pooled.detach()

    def run_plain(self, batch: PackedBatch, dropout: StepDropout | None = None) -> Tensor:
        """The same, plainly."""
        pooled = self.plain(batch, dropout)
        _loss(pooled, batch).backward()
        return pooled.detach()

    def assert_same_step(self, batch: PackedBatch, dropout: StepDropout | None = None) -> None:
        """Both make the same outputs and gradients of a batch."""
        self.clear()
        pooled, expected = self.run_fast(batch, dropout), self.run_plain(batch, dropout)
        torch.testing.assert_close(pooled.double(), expected, atol=1e-5, rtol=0)
        assert_same_gradients(gradients_of(self.encoder), gradients_of(self.plain))


class InferenceTwins(Twins):
    """The forward pass alone of an encoder, and the plain one of its copy in float64.

    Args:
        dtype: of the forward pass.
        compiled: whether it takes the compiled loops.
        packed: whether its weights are laid out anew.
        changes: to the sizes; with the loops heads are at least sixteen wide.

    Attributes:
        workspace: its memory.
        inference: the forward pass.
    """

    def __init__(
        self, dtype: torch.dtype = torch.float32, *, compiled: bool = False, packed: bool = False, **changes: Any
    ) -> None:
        super().__init__(dtype, **({"num_attention_heads": 2} if compiled else {}) | changes)
        self.workspace = Workspace()
        self._compiled = compiled
        kind = PackedProducts if packed else FloatProducts
        products = [kind(own, self.config.hidden_act, self.workspace) for own in self.fast.weights]
        self.inference = self._inference(products, compiled=compiled)

    def change(self, name: str, factor: float) -> None:
        """Multiplies all weights whose names contain `name`, of both."""
        for encoder in (self.encoder, self.plain):
            for own, parameter in encoder.named_parameters():
                parameter.data.mul_(factor if name in own else 1)
        self.fast.refresh()

    def find_ranges(self, batch: PackedBatch) -> dict[str, Range]:
        """The ranges of the activations in a batch."""
        finder, hidden_act = RangeFinder(), self.config.hidden_act
        layers = enumerate(layer_products(self.flat.values, self.flat, self.config, ""))
        products = [ObservedProducts(layer, own, hidden_act, self.workspace, finder.see) for layer, own in layers]
        self._inference(products, compiled=False).first_tokens(batch)
        return finder.ranges()

    def in_int8(self, ranges: Ranges) -> InferenceEncoder:
        """The forward pass in int8."""
        layers = enumerate(layer_products(self.flat.values, self.flat, self.config, ""))
        products = [Int8Products(layer, own, self.config.hidden_act, ranges, self.workspace) for layer, own in layers]
        return self._inference(products, compiled=self._compiled)

    def expected(self, batch: PackedBatch) -> Tensor:
        """What the plain twin makes of first tokens, float64."""
        with torch.no_grad():
            return self.plain.first_tokens(batch)

    def _inference(self, products: Sequence[LayerProducts], *, compiled: bool) -> InferenceEncoder:
        return InferenceEncoder(self.encoder, self.config.num_attention_heads, products, self.workspace, compiled=compiled)


def rows_alone(encoder: InferenceEncoder, batch: PackedBatch) -> Tensor:
    """What an encoder makes of each row by itself."""
    return torch.cat([encoder.first_tokens(rows_of(batch, row, row + 1)) for row in range(len(batch))])


def assert_same_gradients(gradients: dict[str, Tensor], expected: dict[str, Tensor], within: float = 1e-5) -> None:
    """Each differs by no more than a share of its largest value.

    Where the largest is nearly zero, as of the bias of the keys, whose gradient cancels out, the same
    share of a hundredth of the largest gradient of all is allowed.
    """
    assert set(gradients) == set(expected)
    floor = max(float(gradient.abs().max()) for gradient in expected.values()) / 100
    for name, gradient in gradients.items():
        wanted = expected[name].double()
        most = max(float(wanted.abs().max()), floor)
        torch.testing.assert_close(
            gradient.double(), wanted, atol=within * most, rtol=0, msg=lambda text, at=name: f"{at}: {text}"
        )


def row_weights(batch: PackedBatch, width: int = SIZES["hidden_size"]) -> Tensor:
    """Weights of a loss: of each row its own, so that it counts the same however the step is cut; float64."""
    weights = [np.random.default_rng(int(example)).standard_normal(width) for example in batch.example_ids]
    return torch.from_numpy(np.stack(weights))


def _loss(pooled: Tensor, batch: PackedBatch) -> Tensor:
    return (pooled * row_weights(batch, pooled.shape[1]).to(pooled.dtype)).sum()
