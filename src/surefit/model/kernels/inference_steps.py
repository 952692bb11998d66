"""What an encoder computes between its products in inference, by the compiled loops."""

from __future__ import annotations

from ctypes import byref

import numpy as np
import torch
from torch import Tensor, nn

from surefit.model.encoder import BertEncoder
from surefit.model.fast_memory import Workspace
from surefit.model.inference_products import Apart, Reading, Sum
from surefit.model.inference_steps import InferenceSteps, Norm
from surefit.model.kernels import library
from surefit.model.kernels.library import FORMS, Rows, address, attention_team, call, team
from surefit.types import Int64Array, PackedBatch

# The library for products generates code for each number of tokens, so that it is rounded up: to a multiple of
# the second for batches of less than the first.
_TOKEN_STEPS = ((128, 16), (1 << 62, 32))


class CompiledSteps(InferenceSteps):
    """The steps by compiled loops, without padding; rows past the batch's tokens hold anything.

    Args:
        encoder, heads, dtype, batch, workspace: as for `TorchSteps`.
    """

    def __init__(self, encoder: BertEncoder, heads: int, dtype: torch.dtype, batch: PackedBatch, workspace: Workspace) -> None:
        self._modules = encoder.embeddings
        self._heads = heads
        self._batch = batch
        self._workspace = workspace
        self._tokens = batch.tokens
        step = next(step for limit, step in _TOKEN_STEPS if batch.tokens < limit)
        self._padded = -(-batch.tokens // step) * step
        self._ends = np.ascontiguousarray(batch.cu_seqlens, np.int32)
        self.first_tokens = torch.from_numpy(batch.cu_seqlens[:-1].astype(np.int64))

    def embed(self, reading: Reading) -> tuple[Tensor, Tensor]:
        modules, batch, norm = self._modules, self._batch, self._modules.LayerNorm
        hidden = norm.normalized_shape[0]
        into, read = self._results("output", (self._padded, hidden), reading)
        tables = (modules.word_embeddings, modules.position_embeddings, modules.token_type_embeddings)
        types = batch.token_type_ids * (tables[2].num_embeddings > 1)  # one vector where a pair's texts are not told apart
        numbers = [
            _rows_of(table, numbers)
            for table, numbers in zip(tables, (batch.input_ids, batch.position_ids, types), strict=True)
        ]
        call("surefit_embed")(
            *(one.ctypes.data for one in numbers),
            *(address(table.weight) for table in tables),
            *(self._tokens, hidden, byref(library.norm(norm)), address(into)),
            *(byref(reading.structure), address(read), team(self._tokens * hidden)),
        )
        return into, read

    def attend(self, query_key_value: Tensor, reading: Reading) -> Tensor:
        hidden = query_key_value.shape[1] // 3
        query, key, value = query_key_value.view(-1, 3, hidden).unbind(1)
        return self._attend(query, key, value, reading, only_first=False)

    def attend_first(self, query: Tensor, key_value: Tensor, reading: Reading) -> Tensor:
        key, value = key_value.view(len(key_value), 2, -1).unbind(1)
        return self._attend(query, key, value, reading, only_first=True)

    def normalize(
        self, name: str, norm: Norm, summed: Sum, reading: Reading | None, apart: Apart | None = None
    ) -> tuple[Tensor, Tensor]:
        values, projected = summed
        count, hidden = values.shape
        into, read = self._results(name, (count, hidden), reading)
        threads, scratch = team(count * hidden), None
        if apart is not None:
            size = call("surefit_apart_scratch")(apart.structure.channels)
            scratch = self._workspace.take("scratch", (threads, size), torch.float32)
        call("surefit_add_and_normalize")(
            *(address(values), address(projected), 0 if projected is None else FORMS[projected.dtype]),
            *(min(count, self._tokens), hidden, byref(norm.structure), address(into)),
            *(byref(_NOTHING if reading is None else reading.structure), address(read)),
            *(None if apart is None else byref(apart.structure), address(scratch), threads),
        )
        return into, read

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, reading: Reading, *, only_first: bool) -> Tensor:
        batch, hidden = self._batch, query.shape[1]
        heads = library.heads(self._heads, query, key, value)
        rows = Rows(len(batch), batch.max_seqlen, only_first, self._ends.ctypes.data)
        threads = attention_team(batch, hidden)
        size = call("surefit_attention_scratch")(batch.max_seqlen, heads.width)
        scratch = self._workspace.take("scratch", (threads, size), torch.float32)
        into = self._workspace.take("context", (len(query), hidden), reading.dtype)
        call("surefit_attention")(
            *(byref(heads), byref(rows), None, byref(reading.structure)),
            *(address(into), None, address(scratch), threads),
        )
        return into

    def _results(self, name: str, shape: tuple[int, int], reading: Reading | None) -> tuple[Tensor, Tensor]:
        into = self._workspace.take(name, shape, torch.float32)
        if reading is None or reading.dtype == torch.float32:
            return into, into
        return into, self._workspace.take(name, shape, reading.dtype)


_NOTHING = library.Reading(FORMS[torch.float32], 0, None)


def _rows_of(table: nn.Embedding, numbers: Int64Array) -> Int64Array:
    """The numbers of a table's rows, ready for the loops, which do not look where they read."""
    if numbers.min() < 0 or numbers.max() >= table.num_embeddings:
        raise IndexError("a token's id, position or type has no embedding")
    return np.ascontiguousarray(numbers, np.int64)
