"""What an encoder computes between its products in inference: by torch here, by compiled loops in `kernels`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from surefit.model.encoder import BertEncoder
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_memory import Workspace
from surefit.model.inference_attention import InferenceAttention
from surefit.model.inference_products import Apart, Reading, Sum
from surefit.model.kernels import library
from surefit.text.packing import large_row_groups
from surefit.types import PackedBatch

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Norm:
    """A LayerNorm.

    Attributes:
        module: its weights, which stay where they are.
    """

    module: nn.LayerNorm

    @cached_property
    def structure(self) -> library.Norm:
        """The same for the compiled loops."""
        return library.norm(self.module)


class InferenceSteps(ABC):
    """The steps of one batch; each gives its result as the product after it reads it.

    Attributes:
        first_tokens: place of each row's first token, shape (rows,), int64.
    """

    first_tokens: Tensor

    @abstractmethod
    def embed(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """The first layer's input, shape (padded tokens, hidden): float32, and as it is read."""

    @abstractmethod
    def attend(self, query_key_value: Tensor, reading: Reading) -> Tensor:
        """The context of each token as it is read, shape (padded tokens, hidden).

        Args:
            query_key_value: side by side, shape (padded tokens, 3 * hidden); may be overwritten where it is empty.
            reading: of the result.
        """

    @abstractmethod
    def attend_first(self, query: Tensor, key_value: Tensor, reading: Reading) -> Tensor:
        """The context of first tokens as it is read, shape (rows, hidden).

        Args:
            query: of first tokens, shape (rows, hidden).
            key_value: of all tokens side by side, shape (padded tokens, 2 * hidden); as above.
            reading: of the result.
        """

    @abstractmethod
    def normalize(
        self, name: str, norm: Norm, summed: Sum, reading: Reading | None, apart: Apart | None = None
    ) -> tuple[Tensor, Tensor]:
        """LayerNorm of a sum, of its shape: float32, and as it is read.

        Args:
            name: of the memory for the result, not that of the sum.
            norm: which one.
            summed: the sum.
            reading: of the result; None where no product reads it.
            apart: adds to the first result after it has been read.
        """


class TorchSteps(InferenceSteps):
    """The steps by torch.

    Args:
        encoder: the modules that own embeddings and LayerNorms.
        heads: attention heads of a layer.
        dtype: of queries, keys and values.
        batch: the rows; longest first is fastest.
        workspace: memory.
    """

    def __init__(self, encoder: BertEncoder, heads: int, dtype: torch.dtype, batch: PackedBatch, workspace: Workspace) -> None:
        self._modules = encoder.embeddings
        self._batch = batch
        self._workspace = workspace
        self._layout = FastLayout(batch, large_row_groups(np.diff(batch.cu_seqlens)), heads, dtype)
        self._attention = InferenceAttention(self._layout, workspace, dtype)
        self.first_tokens = self._layout.first_tokens

    def embed(self, reading: Reading) -> tuple[Tensor, Tensor]:
        modules, batch, hidden = self._modules, self._batch, self._modules.LayerNorm.normalized_shape[0]
        summed = self._take("embeddings", self._layout.padded_tokens, hidden)
        own = summed[: self._layout.tokens]
        ids, positions, types = map(torch.from_numpy, (batch.input_ids, batch.position_ids, batch.token_type_ids))
        torch.index_select(modules.word_embeddings.weight, 0, ids, out=own)
        own.add_(modules.position_embeddings.weight.index_select(0, positions))
        type_rows = modules.token_type_embeddings.weight
        own.add_(type_rows if len(type_rows) == 1 else type_rows.index_select(0, types))
        summed[self._layout.tokens :].copy_(own[0])  # not zeros, which LayerNorm may have to divide by their spread
        return self.normalize("output", Norm(modules.LayerNorm), Sum(summed, None), reading)

    def attend(self, query_key_value: Tensor, reading: Reading) -> Tensor:
        return reading.of(self._attention.all_tokens(query_key_value))

    def attend_first(self, query: Tensor, key_value: Tensor, reading: Reading) -> Tensor:
        return reading.of(self._attention.first_tokens(query, key_value))

    def normalize(
        self, name: str, norm: Norm, summed: Sum, reading: Reading | None, apart: Apart | None = None
    ) -> tuple[Tensor, Tensor]:
        values = summed.values if summed.projected is None else summed.values.add_(summed.projected)
        into = self._take(name, *values.shape)
        mean, scale = self._take("statistics", 2, len(values), 1)
        module = norm.module
        shape = list(module.normalized_shape)
        aten.native_layer_norm.out(values, shape, module.weight, module.bias, module.eps, out0=into, out1=mean, out2=scale)
        read = into if reading is None else reading.of(into)
        if apart is not None:
            # Where products read the float32 values themselves, nothing is computed apart.
            apart.add(into)
        return into, read

    def _take(self, name: str, *shape: int) -> Tensor:
        return self._workspace.take(name, shape, torch.float32)
