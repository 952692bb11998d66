"""BERT over a packed batch on a CPU, forward only: what predictions are made with.

It computes what `BertEncoder` does. The stream of activations between the layers is float32 whatever
the products are computed in, memory is used again from batch to batch, and the last layer computes only
what first tokens need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from surefit.model.encoder import BertEncoder, Layer
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_memory import Workspace
from surefit.model.inference_attention import InferenceAttention
from surefit.model.inference_products import LayerProducts
from surefit.text.packing import large_row_groups
from surefit.types import PackedBatch

aten = torch.ops.aten


class InferenceEncoder:
    """The encoder's forward pass.

    Args:
        encoder: the modules that own embeddings and LayerNorms.
        heads: attention heads of a layer.
        products: of each layer.
        workspace: memory, the same that the products have.
    """

    def __init__(self, encoder: BertEncoder, heads: int, products: Sequence[LayerProducts], workspace: Workspace) -> None:
        self._encoder = encoder
        self._heads = heads
        self._products = products
        self._workspace = workspace

    @torch.no_grad()
    def first_tokens(self, batch: PackedBatch) -> Tensor:
        """The last layer's output for each row's first token, shape (rows, hidden), float32.

        Args:
            batch: the rows; longest first is fastest.
        """
        dtype = self._products[0].dtype
        layout = FastLayout(batch, large_row_groups(np.diff(batch.cu_seqlens)), self._heads, dtype)
        attention = InferenceAttention(layout, self._workspace, dtype)
        hidden = self._embed(batch, layout)
        *layers, last = zip(self._encoder.encoder.layer, self._products, strict=True)
        for modules, products in layers:
            query_key_value = products.query_key_value(products.read("hidden", hidden))
            hidden = self._second_half(modules, products, attention.all_tokens(query_key_value), hidden)
        modules, products = last
        read = products.read("hidden", hidden)
        first_read, first = (tensor.index_select(0, layout.first_tokens) for tensor in (read, hidden))
        context = attention.first_tokens(products.query(first_read), products.key_value(read))
        return self._second_half(modules, products, context, first).clone()

    def _second_half(self, modules: nn.Module, products: LayerProducts, context: Tensor, residual: Tensor) -> Tensor:
        """The layer's output from the context of its attention and from its input."""
        assert isinstance(modules, Layer)
        summed = products.add_attention(products.read("context", context), residual)
        middle = self._normalize("middle", modules.attention.output.LayerNorm, summed)
        summed = products.add_feed_forward(products.read("middle", middle), middle)
        return self._normalize("output", modules.output.LayerNorm, summed)

    def _embed(self, batch: PackedBatch, layout: FastLayout) -> Tensor:
        modules, hidden = self._encoder.embeddings, self._encoder.embeddings.LayerNorm.normalized_shape[0]
        summed = self._take("embeddings", layout.padded_tokens, hidden)
        own = summed[: layout.tokens]
        ids, positions, types = map(torch.from_numpy, (batch.input_ids, batch.position_ids, batch.token_type_ids))
        torch.index_select(modules.word_embeddings.weight, 0, ids, out=own)
        own.add_(modules.position_embeddings.weight.index_select(0, positions))
        type_rows = modules.token_type_embeddings.weight
        own.add_(type_rows if len(type_rows) == 1 else type_rows.index_select(0, types))
        summed[layout.tokens :].copy_(own[0])  # not zeros, which LayerNorm may have to divide by their spread
        return self._normalize("output", modules.LayerNorm, summed)

    def _normalize(self, name: str, norm: nn.LayerNorm, values: Tensor) -> Tensor:
        into = self._take(name, *values.shape)
        mean, scale = self._take("statistics", 2, len(values), 1)
        shape = list(norm.normalized_shape)
        aten.native_layer_norm.out(values, shape, norm.weight, norm.bias, norm.eps, out0=into, out1=mean, out2=scale)
        return into

    def _take(self, name: str, *shape: int) -> Tensor:
        return self._workspace.take(name, shape, torch.float32)
