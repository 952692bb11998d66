from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from encoder_twins import ragged_batch

from surefit.model.dropout import StepDropout, dropped_of_256, keep_values, kept_scale

STEP = StepDropout(seed=3, step=7)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_share_and_mean_are_kept(p: float):
    dropped = STEP.drop(torch.ones(1000, 1001), 1, 0, p)
    assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("p", [0.0, 0.001, 0.1, 1 / 3, 0.5, 0.9, 0.9999])
def test_scale_is_that_of_the_share_that_is_dropped(p: float):
    assert kept_scale(p) * (1 - dropped_of_256(p) / 256) == pytest.approx(1)
    assert dropped_of_256(p) / 256 == pytest.approx(p, abs=1 / 256)
    assert (STEP.keep(1, 0, 400_000, p) == 0).float().mean().item() == pytest.approx(dropped_of_256(p) / 256, abs=0.005)


def test_every_place_is_dropped_equally_often():
    masks = torch.stack([StepDropout(0, step).keep(1, 3, 16, 0.5) for step in range(4000)])
    assert torch.allclose((masks == 0).float().mean(dim=0), torch.full((16,), 0.5), atol=0.04)


def test_mask_is_all_bits_or_none():
    keep = STEP.keep(1, 0, 1000, 0.3)
    assert (keep.dtype, keep.shape) == (torch.int8, (1000,))
    assert set(keep.tolist()) == {0, -1}


@pytest.mark.parametrize("start", [0, 1, 7, 8, 9, 64, 1001])
@pytest.mark.parametrize("count", [0, 1, 8, 13, 200])
def test_mask_further_along_is_a_slice_of_the_whole(start: int, count: int):
    whole = STEP.keep(5, 0, 2000, 0.4)
    assert torch.equal(STEP.keep(5, start, count, 0.4), whole[start : start + count])


def test_equal_places_are_dropped_again():
    assert torch.equal(STEP.keep(1, 5, 300, 0.5), StepDropout(seed=3, step=7).keep(1, 5, 300, 0.5))


def test_place_of_the_batch_is_for_the_caller_to_add():
    later = dataclasses.replace(STEP, tokens=9, rows=4, scores=64)
    assert torch.equal(later.keep(1, 5, 300, 0.5), STEP.keep(1, 5, 300, 0.5))


@pytest.mark.parametrize("other", [StepDropout(3, 8), StepDropout(4, 7), StepDropout(7, 3), StepDropout(2**32 - 1, 7)])
def test_steps_and_seeds_are_independent(other: StepDropout):
    assert_independent(STEP.keep(1, 0, 100_000, 0.5), other.keep(1, 0, 100_000, 0.5))


@pytest.mark.parametrize(("site", "other"), [(0, 1), (1, 2), (2, 40)])
def test_sites_are_independent(site: int, other: int):
    assert_independent(STEP.keep(site, 0, 100_000, 0.5), STEP.keep(other, 0, 100_000, 0.5))


def assert_independent(mask: torch.Tensor, other: torch.Tensor) -> None:
    assert (mask == other).float().mean().item() == pytest.approx(0.5, abs=0.01)


def test_nothing_is_dropped_without_a_share():
    values = torch.randn(5, 7)
    assert STEP.drop(values, 1, 0, 0.0) is values


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_is_the_mask_and_the_type_is_kept(dtype: torch.dtype):
    values = torch.full((9, 3), 2.0, dtype=dtype, requires_grad=True)
    dropped = STEP.drop(values, 1, 5, 0.25)
    dropped.sum().backward()
    assert dropped.dtype == dtype
    assert values.grad is not None
    assert torch.equal(values.grad * 2, dropped.detach())
    assert torch.equal(dropped != 0, STEP.keep(1, 5, 27, 0.25).view(9, 3).bool())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_kept_or_zeroed_by_their_bits(dtype: torch.dtype):
    values = torch.tensor([[1.5, -2.5, torch.nan, -torch.inf], [-0.0, 3e38, 1e-40, 7.0]], dtype=dtype)
    keep = torch.tensor([-1, 0, 0, -1, -1, -1, -1, 0], dtype=torch.int8)
    expected = torch.where(keep.view(2, 4).bool(), values, torch.zeros((), dtype=dtype))
    into = torch.empty_like(values)
    assert keep_values(values, keep, into) is into
    assert torch.equal(into, expected)
    assert keep_values(values, keep, values) is values
    assert torch.equal(values, expected)


def test_batch_after_a_batch_begins_where_it_ended():
    after = STEP.after(ragged_batch([9, 8, 7, 3, 2])).after(ragged_batch([17]))
    assert after == StepDropout(3, 7, tokens=29 + 17, rows=6, scores=4 * 16**2 + 8**2 + 24**2)


def test_generator_of_torch_is_set_by_seed_and_step():
    def drawn(seed: int, step: int) -> torch.Tensor:
        torch.rand(3)
        StepDropout(seed, step).begin()
        return torch.rand(5)

    with torch.random.fork_rng(devices=[]):
        assert torch.equal(drawn(1, 2), drawn(1, 2))
        assert not torch.equal(drawn(1, 2), drawn(1, 3))
        assert not torch.equal(drawn(1, 2), drawn(2, 2))


def test_generators_of_others_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    STEP.drop(torch.ones(100), 1, 0, 0.5)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
