"""Attention backward by the compiled loops, head by head, against autograd in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from encoder_twins import SIZES, ragged_batch
from torch import Tensor

from processor import needs_compiled_loops
from surefit.model.configuration import BertConfig
from surefit.model.fast_layout import FastLayout
from surefit.model.fast_masks import Masks
from surefit.model.fast_memory import PassMemory, Workspace
from surefit.model.kernels.training_steps import CompiledSteps
from surefit.text.packing import row_groups

pytestmark = needs_compiled_loops

LENGTHS = [70, 40, 33, 17, 9, 2, 1]
HEADS, WIDTH = 2, 32  # so wide that pairs of bf16 are multiplied where the processor can


def gradients(query_key_value: Tensor, of_context: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Of queries, keys and values side by side, by the loops and by autograd in float64; both of shape (tokens, 3 * hidden)."""
    batch, hidden = ragged_batch(LENGTHS), HEADS * WIDTH
    config = BertConfig.from_dict(SIZES | {"hidden_size": hidden})
    memory = PassMemory(Workspace(), dtype)
    layout = FastLayout(batch, row_groups(np.diff(batch.cu_seqlens)), HEADS, dtype)
    steps = CompiledSteps(batch, config, layout, Masks(None, config, layout), memory)
    own = memory.take_kept("query key value", 0, layout.padded_tokens, 3 * hidden).zero_()
    own[: batch.tokens] = query_key_value
    of_own = torch.zeros(layout.padded_tokens, hidden, dtype=dtype)
    of_own[: batch.tokens] = of_context
    steps.attend(0, own)
    found = steps.attend_backward(0, of_own)[: batch.tokens].double()

    exact = own[: batch.tokens].double().requires_grad_()
    for first, end in zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True):
        query, key, value = exact[first:end].view(end - first, 3, HEADS, WIDTH).permute(1, 2, 0, 3)
        probabilities = torch.softmax(query @ key.transpose(1, 2) * WIDTH**-0.5, -1)
        context = (probabilities @ value).transpose(0, 1).reshape(end - first, hidden)
        context.backward(of_own[first:end].double())
    assert exact.grad is not None
    return found, exact.grad


def drawn(size: float) -> tuple[Tensor, Tensor]:
    """Queries, so many times as large, with keys and values; and gradients of contexts."""
    generator = torch.Generator().manual_seed(0)
    query_key_value, of_context = (torch.randn(sum(LENGTHS), n * HEADS * WIDTH, generator=generator) for n in (3, 1))
    query_key_value[:, : HEADS * WIDTH] *= size
    return query_key_value, of_context


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 0.01)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 30.0])
def test_gradients_of_attention(dtype: torch.dtype, within: float, size: float):
    found, exact = gradients(*drawn(size), dtype)
    for own, expected in zip(found.split(HEADS * WIDTH, 1), exact.split(HEADS * WIDTH, 1), strict=True):
        assert (own - expected).norm() <= within * expected.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9, 1e12])
def test_scores_may_have_any_size(dtype: torch.dtype, size: float):
    """Of two scores that are next to each other in float32 either may win, so that single values may differ."""
    found, exact = gradients(*drawn(size), dtype)
    assert found.isfinite().all()
    of_values, expected = found[:, -HEADS * WIDTH :], exact[:, -HEADS * WIDTH :]
    assert ((of_values - expected).abs() < 0.02).double().mean() > 0.95
