"""BERT over a packed batch on a CPU, forward only: what predictions are made with.

It computes what `BertEncoder` does. The stream of activations between the layers is float32 whatever
the products are computed in, memory is used again from batch to batch, and where only first tokens are
asked for, the last layer computes no more than these need.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from surefit.model.encoder import BertEncoder, Layer
from surefit.model.fast_memory import Workspace
from surefit.model.inference_products import LayerProducts, Reading
from surefit.model.inference_steps import InferenceSteps, Norm, TorchSteps
from surefit.model.kernels.inference_steps import CompiledSteps
from surefit.types import PackedBatch


class InferenceEncoder:
    """The encoder's forward pass.

    Args:
        encoder: the modules that own embeddings and LayerNorms.
        heads: attention heads of a layer.
        products: of each layer.
        workspace: memory, the same that the products have.
        compiled: whether to take the compiled loops, which must fit the encoder.
    """

    def __init__(
        self,
        encoder: BertEncoder,
        heads: int,
        products: Sequence[LayerProducts],
        workspace: Workspace,
        *,
        compiled: bool = False,
    ) -> None:
        self._encoder = encoder
        self._heads = heads
        self._products = products
        self._workspace = workspace
        self._norms = [_norms(layer) for layer in encoder.encoder.layer]
        self._steps = CompiledSteps if compiled else TorchSteps

    @torch.no_grad()
    def first_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each row's first token, shape (rows, hidden), float32.

        Args:
            batch: the rows; longest first is fastest.
        """
        steps = self._steps_of(batch)
        hidden, read = self._layers(steps, len(self._products) - 1)
        last = self._products[-1]
        first_read, first = (tensor.index_select(0, steps.first_tokens) for tensor in (read, hidden))
        context = steps.attend_first(last.query(first_read), last.key_value(read), last.reading("context"))
        return self._second_half(steps, len(self._products) - 1, context, first, None)[0].clone()

    @torch.no_grad()
    def all_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each token, shape (tokens, hidden), float32.

        Args:
            batch: the rows; longest first is fastest.
        """
        return self._layers(self._steps_of(batch), len(self._products))[0][: batch.tokens].clone()

    def _steps_of(self, batch: PackedBatch) -> InferenceSteps:
        return self._steps(self._encoder, self._heads, self._products[0].dtype, batch, self._workspace)

    def _layers(self, steps: InferenceSteps, count: int) -> tuple[Tensor, Tensor]:
        """What the first layers make of all tokens, shape (padded tokens, hidden): float32, and as the next layer reads it."""
        readings = [*(products.reading("hidden") for products in self._products), None]
        hidden, read = steps.embed(self._products[0].reading("hidden"))
        for number, products in enumerate(self._products[:count]):
            context = steps.attend(products.query_key_value(read), products.reading("context"))
            hidden, read = self._second_half(steps, number, context, hidden, readings[number + 1])
        return hidden, read

    def _second_half(
        self, steps: InferenceSteps, number: int, context: Tensor, residual: Tensor, reading: Reading | None
    ) -> tuple[Tensor, Tensor]:
        """The layer's output, float32 and as it is read, from the context of its attention and from its input."""
        products, (after_attention, after_feed_forward) = self._products[number], self._norms[number]
        summed = products.attention(context, residual)
        middle, read = steps.normalize("middle", after_attention, summed, products.reading("middle"), products.apart)
        return steps.normalize("output", after_feed_forward, products.feed_forward(read, middle), reading)


def _norms(layer: nn.Module) -> tuple[Norm, Norm]:
    """Those after attention and after the feed-forward part."""
    assert isinstance(layer, Layer)
    return Norm(layer.attention.output.LayerNorm), Norm(layer.output.LayerNorm)
