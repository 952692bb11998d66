"""What an encoder computes between its products in training, by the compiled loops."""

from __future__ import annotations

from ctypes import byref

import numpy as np
import torch
from torch import Tensor, nn

from surefit.model.encoder import layer_sites
from surefit.model.fast_products import Linear
from surefit.model.kernels import library
from surefit.model.kernels.library import ACTIVATION_KINDS, FORMS, address, attention_team, call, team
from surefit.model.training_steps import Flow, Stream, TrainingSteps, gradient_of


class CompiledSteps(TrainingSteps):
    """The steps by compiled loops. Attention goes row by row and keeps no probabilities: they are computed again."""

    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        thirds = query_key_value.view(len(query_key_value), 3, -1).unbind(1)
        return self._attend(layer, *thirds, only_first=False)

    def attend_backward(self, layer: int, of_context: Tensor) -> Tensor:
        forward = self.memory.kept("query key value", layer)
        into = self.memory.take("gradient of query key value", *forward.shape)
        thirds, of_thirds = (tensor.view(len(tensor), 3, -1).unbind(1) for tensor in (forward, into))
        self._attend_backward(layer, thirds, of_thirds, of_context, only_first=False)
        into[self.layout.tokens :].zero_()
        return into

    def attend_first(self, layer: int, query: Tensor, key_value: Tensor) -> Tensor:
        return self._attend(layer, query, *key_value.view(len(key_value), 2, -1).unbind(1), only_first=True)

    def attend_first_backward(self, layer: int, of_context: Tensor) -> tuple[Tensor, Tensor]:
        query, key_value = self.memory.kept("query", layer), self.memory.kept("query key value", layer)
        of_query = self.memory.take("gradient of query", *query.shape)
        into = self.memory.take("gradient of query key value", *key_value.shape)
        halves, of_halves = (tensor.view(len(tensor), 2, -1).unbind(1) for tensor in (key_value, into))
        self._attend_backward(layer, (query, *halves), (of_query, *of_halves), of_context, only_first=True)
        into[self.layout.tokens :].zero_()
        return of_query, into

    def normalize(
        self, name: str, layer: int, norm: nn.LayerNorm, residual: Tensor, projected: Tensor, keep: Tensor | None
    ) -> Stream:
        memory, (padded, hidden) = self.memory, projected.shape
        if keep is not None:
            memory.keep(f"mask of {name}", layer, keep)
        summed = memory.take_kept(f"sum of {name}", layer, padded, hidden, dtype=torch.float32)
        statistics = memory.take_kept(f"statistics of {name}", layer, padded, 2, dtype=torch.float32)
        read = memory.take_kept(name, layer, padded, hidden)
        values = read if read.dtype == torch.float32 else memory.take(f"values of {name}", padded, hidden, dtype=torch.float32)
        tokens = min(padded, self.layout.tokens)
        call("surefit_train_normalize")(
            *(address(residual), address(projected), FORMS[projected.dtype], address(keep), tokens, padded, hidden),
            *(byref(library.norm(norm)), address(summed), address(statistics), address(values), address(read)),
            team(tokens * hidden),
        )
        return Stream(values, read)

    def normalize_backward(
        self, name: str, layer: int, norm: nn.LayerNorm, flow: Flow, of_projection: Linear
    ) -> tuple[Tensor, Tensor]:
        memory, (padded, hidden) = self.memory, flow.values.shape
        tokens = min(padded, self.layout.tokens)
        residual = memory.take(f"gradient of {name}", padded, hidden, dtype=torch.float32)
        of_projected = memory.take("gradient of projected", padded, hidden)
        partial = memory.take("sums", call("surefit_chunks")(tokens), 3, hidden, dtype=torch.float32)
        call("surefit_train_normalize_backward")(
            *(address(flow.values), address(flow.added), FORMS[memory.dtype]),
            *(address(memory.kept(f"{part} of {name}", layer)) for part in ("sum", "statistics")),
            *(address(memory.find(f"mask of {name}", layer)), tokens, padded, hidden, byref(library.norm(norm))),
            *(address(residual), address(of_projected), address(gradient_of(norm.weight)), address(gradient_of(norm.bias))),
            *(address(of_projection.bias), self.masks.hidden_scale, address(partial), team(tokens * hidden)),
        )
        return residual, of_projected

    def activate(self, layer: int, widened: Tensor) -> Tensor:
        into = self.memory.take_kept("active", layer, *widened.shape)
        count, kind = widened.numel(), ACTIVATION_KINDS[self.config.hidden_act]
        call("surefit_activate")(address(widened), FORMS[widened.dtype], count, kind, address(into), team(count))
        return into

    def activate_backward(self, layer: int, of_active: Tensor, of_widening: Linear) -> Tensor:
        into, (tokens, width) = self.memory.take("gradient of widened", *of_active.shape), of_active.shape
        partial = self.memory.take("sums", call("surefit_chunks")(tokens), width, dtype=torch.float32)
        call("surefit_activate_backward")(
            *(address(of_active), address(self.memory.kept("widened", layer)), FORMS[of_active.dtype], tokens, width),
            *(ACTIVATION_KINDS[self.config.hidden_act], address(into), address(of_widening.bias), address(partial)),
            team(tokens * width),
        )
        return into

    def _attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, *, only_first: bool) -> Tensor:
        memory, hidden = self.memory, query.shape[1]
        keep = self.masks.of_scores(layer_sites(layer).probabilities)
        if keep is not None:
            memory.keep("kept scores", layer, keep)
        rows, threads = self._rows(only_first), attention_team(self.batch, hidden)
        statistics = memory.take_kept("statistics of scores", layer, len(query), self.layout.heads, 2, dtype=torch.float32)
        into = memory.take_kept("context", layer, len(query), hidden)
        heads = library.heads(self.layout.heads, query, key, value)
        scratch = memory.take(
            "scratch", threads, call("surefit_attention_scratch")(rows.longest, heads.width), dtype=torch.float32
        )
        call("surefit_attention")(
            *(byref(heads), byref(rows), self._mask(keep), byref(library.Reading(FORMS[into.dtype], 0, None))),
            *(address(into), address(statistics), address(scratch), threads),
        )
        if not only_first:
            into[self.layout.tokens :].zero_()
        return into

    def _attend_backward(
        self, layer: int, forward: tuple[Tensor, ...], into: tuple[Tensor, ...], of_context: Tensor, *, only_first: bool
    ) -> None:
        memory, rows, threads = self.memory, self._rows(only_first), attention_team(self.batch, of_context.shape[1])
        heads, gradients = (library.heads(self.layout.heads, *tensors) for tensors in (forward, into))
        scratch = memory.take(
            "scratch", threads, call("surefit_attention_backward_scratch")(rows.longest, heads.width), dtype=torch.float32
        )
        call("surefit_attention_backward")(
            *(byref(heads), byref(rows), self._mask(memory.find("kept scores", layer))),
            *(address(memory.kept("statistics of scores", layer)), address(of_context), byref(gradients)),
            *(address(scratch), threads),
        )

    def _rows(self, only_first: bool) -> library.Rows:
        self._ends = np.ascontiguousarray(self.batch.cu_seqlens, np.int32)
        return library.Rows(len(self.batch), self.batch.max_seqlen, only_first, self._ends.ctypes.data)

    def _mask(self, keep: Tensor | None) -> object:
        if keep is None:
            return None
        first, width = self.layout.score_places
        return byref(library.ScoreMask(address(keep), first.ctypes.data, width.ctypes.data, self.masks.score_scale))
