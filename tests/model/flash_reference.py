"""Torch's flash attention over packed sequences for CPUs, row by row: what its kernels on GPUs compute.

Registered with torch, so that tests on any machine go through torch's own operator and its rule of
differentiation. What the kernels on GPUs demand of their arguments is demanded here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def flash_attention_on_cpu() -> Iterator[None]:
    """While open, torch has flash attention over packed sequences on CPUs, in float32 too."""
    with torch.library._scoped_library("aten", "IMPL") as library:
        library.impl("_flash_attention_forward", _forward, "CPU")
        library.impl("_flash_attention_backward", _backward, "CPU")
        yield


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_queries: Tensor,
    cu_keys: Tensor,
    max_queries: int,
    max_keys: int,
    dropout_p: float,
    is_causal: bool,
    return_debug_mask: bool,
    **rest: Any,
) -> tuple[Tensor, ...]:
    assert not is_causal
    assert not return_debug_mask
    assert not rest
    _require_fit(query, cu_queries, max_queries)
    _require_fit(key, cu_keys, max_keys)
    _require_fit(value, cu_keys, max_keys)
    assert query.shape[1:] == key.shape[1:] == value.shape[1:]
    seed = torch.randint(2**62, (2,)).view(torch.uint64)
    output = torch.empty(query.shape, dtype=query.dtype)
    for number, (queries, keys) in enumerate(_rows(cu_queries, cu_keys)):
        kept, _ = _probabilities(query[queries], key[keys], dropout_p, seed, number)
        output[queries] = torch.einsum("hqk,khd->qhd", kept, value[keys].double()).to(query.dtype)
    statistics = torch.zeros(query.shape[1], len(query))
    return output, statistics, seed, torch.zeros((), dtype=torch.uint64), query.new_empty(0)


def _backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    statistics: Tensor,
    cu_queries: Tensor,
    cu_keys: Tensor,
    max_queries: int,
    max_keys: int,
    dropout_p: float,
    is_causal: bool,
    seed: Tensor,
    unused: Tensor,
    **rest: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    assert gradient.dtype == query.dtype
    of_query, of_key, of_value = (torch.empty(tensor.shape, dtype=tensor.dtype) for tensor in (query, key, value))
    for number, (queries, keys) in enumerate(_rows(cu_queries, cu_keys)):
        kept, probabilities = _probabilities(query[queries], key[keys], dropout_p, seed, number)
        flowing, scale = gradient[queries].double(), query.shape[-1] ** -0.5
        of_kept = torch.einsum("qhd,khd->hqk", flowing, value[keys].double())
        of_probabilities = of_kept * torch.where(probabilities > 0, kept / probabilities, 0)
        of_scores = probabilities * (of_probabilities - (of_probabilities * probabilities).sum(-1, keepdim=True)) * scale
        of_value[keys] = torch.einsum("hqk,qhd->khd", kept, flowing).to(value.dtype)
        of_query[queries] = torch.einsum("hqk,khd->qhd", of_scores, key[keys].double()).to(query.dtype)
        of_key[keys] = torch.einsum("hqk,qhd->khd", of_scores, query[queries].double()).to(key.dtype)
    return of_query, of_key, of_value


def _require_fit(tensor: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> None:
    assert tensor.ndim == 3
    assert tensor.stride(-1) == 1
    assert tensor.shape[-1] % 8 == 0
    assert cu_seqlens.dtype == torch.int32
    assert cu_seqlens.is_contiguous()
    assert cu_seqlens[-1] == len(tensor)
    assert cu_seqlens.diff().max() == max_seqlen


def _rows(cu_queries: Tensor, cu_keys: Tensor) -> list[tuple[slice, slice]]:
    assert len(cu_queries) == len(cu_keys)
    both = ([slice(start, end) for start, end in cu.unfold(0, 2, 1).tolist()] for cu in (cu_queries, cu_keys))
    return list(zip(*both, strict=True))


def _probabilities(query: Tensor, key: Tensor, dropout_p: float, seed: Tensor, row: int) -> tuple[Tensor, Tensor]:
    """Of a row's keys, with dropout and without, each of shape (heads, queries, keys), float64."""
    scores = torch.einsum("qhd,khd->hqk", query.double(), key.double()) * query.shape[-1] ** -0.5
    probabilities = scores.softmax(-1)
    generator = torch.Generator().manual_seed(int(seed.view(torch.int64)[0]) + row)
    kept = torch.rand(probabilities.shape, generator=generator) >= dropout_p
    return probabilities * kept / (1 - dropout_p), probabilities
