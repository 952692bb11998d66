from __future__ import annotations

import pytest
import torch

from surefit.model.dropout import dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_share_and_mean_are_kept(p: float):
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1000, 1001), p, training=True)
    assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_every_place_is_dropped_equally_often():
    torch.manual_seed(0)
    dropped = torch.stack([dropout(torch.ones(16), 0.5, training=True) == 0 for _ in range(4000)]).float().mean(dim=0)
    assert torch.allclose(dropped, torch.full((16,), 0.5), atol=0.04), dropped


def test_nothing_is_dropped_outside_training_or_without_a_share():
    values = torch.randn(5, 7)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0, training=True) is values


def test_seed_decides_the_mask():
    values = torch.ones(33)
    torch.manual_seed(3)
    first, second = dropout(values, 0.5, training=True), dropout(values, 0.5, training=True)
    torch.manual_seed(3)
    assert torch.equal(dropout(values, 0.5, training=True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_is_the_mask_and_the_type_is_kept(dtype: torch.dtype):
    values = torch.full((9, 3), 2.0, dtype=dtype, requires_grad=True)
    dropped = dropout(values, 0.25, training=True)
    dropped.sum().backward()
    assert dropped.dtype == dtype
    assert values.grad is not None
    assert torch.equal(values.grad * 2, dropped.detach())


def test_extreme_share_divides_by_nothing():
    assert torch.isfinite(dropout(torch.ones(1000), 0.9999, training=True)).all()
