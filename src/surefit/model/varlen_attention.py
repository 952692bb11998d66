"""Attention over packed sequences on a GPU, by flash attention (Dao 2023): no rectangles, no padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surefit.model.hardware import Hardware
from surefit.model.transfer import on_device
from surefit.types import PackedBatch

# The first compute capability whose cards have the instructions that the kernel is written in.
_LEAST_CAPABILITY = (8, 0)
# Widths of a head: the kernel reads eight values at once, and its backward pass takes wider heads on some cards only.
_HEAD_STEP, _WIDEST_HEAD = 8, 192


@dataclass(frozen=True, eq=False)
class Sequences:
    """Which tokens of a packed tensor belong to which row.

    Attributes:
        cu_seqlens: row i owns tokens cu_seqlens[i]:cu_seqlens[i + 1], shape (rows + 1,), int32.
        max_seqlen: tokens of the longest row.
    """

    cu_seqlens: Tensor
    max_seqlen: int

    @classmethod
    def of(cls, batch: PackedBatch, device: torch.device) -> Sequences:
        """Those of a batch, on a device."""
        return cls(on_device(batch.cu_seqlens, device), batch.max_seqlen)

    @property
    def first_tokens(self) -> Tensor:
        """Where each row begins, shape (rows,), int32."""
        return self.cu_seqlens[:-1]

    def of_first_tokens(self) -> Sequences:
        """Those of a tensor that holds the first token of each row."""
        return Sequences(torch.arange(len(self.cu_seqlens), dtype=torch.int32, device=self.cu_seqlens.device), 1)


def varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, queries: Sequences, keys: Sequences, dropout_p: float
) -> Tensor:
    """Multi-head attention in which the queries of each row attend to the keys of the same row.

    softmax(Q K^T / sqrt(head_dim)) V, Vaswani et al. 2017, equation 1. It is autograd that calls the
    backward pass. This is what `torch.nn.attention.varlen.varlen_attn` calls; that has no dropout.

    Args:
        query: bfloat16 or float16, shape (queries, heads, head_dim), the values of a head side by side.
        key, value: of the same type, shape (keys, heads, head_dim).
        queries: the rows of the queries.
        keys: the rows of the keys and values, as many.
        dropout_p: share of the attention probabilities to drop; torch's generator decides which.

    Returns:
        the context of each query, shape (queries, heads * head_dim).
    """
    context: Tensor
    context, *_ = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        queries.cu_seqlens,
        keys.cu_seqlens,
        queries.max_seqlen,
        keys.max_seqlen,
        dropout_p,
        False,  # is_causal
        False,  # return_debug_mask
    )
    return context.flatten(1)


def can_attend_varlen(hardware: Hardware, head_dim: int) -> bool:
    """Whether `varlen_attention` runs there, and fits what the model computes in.

    Args:
        hardware: what the model runs on.
        head_dim: width of its attention heads.
    """
    return hardware.precision == "bf16" and fits_flash(flash_capability(hardware.device), head_dim)


def fits_flash(capability: tuple[int, int], head_dim: int) -> bool:
    """Whether flash attention runs forward and backward on such a card with heads of such a width."""
    return capability >= _LEAST_CAPABILITY and head_dim % _HEAD_STEP == 0 and head_dim <= _WIDEST_HEAD


def flash_capability(device: torch.device) -> tuple[int, int]:
    """A card's compute capability; (0, 0) where this torch has no flash attention for the device."""
    if device.type != "cuda" or torch.version.hip is not None or not torch.backends.cuda.is_flash_attention_available():
        return 0, 0
    return torch.cuda.get_device_capability(device)
