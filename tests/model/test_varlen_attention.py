"""Flash attention over packed sequences: held to the plain attention, and chosen where it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from encoder_twins import ragged_batch
from flash_reference import flash_attention_on_cpu
from torch import Tensor

from gpu import CUDA, needs_gpu
from surefit.model.attention import GroupLayout, attention
from surefit.model.dropout import StepDropout
from surefit.model.hardware import Hardware
from surefit.model.varlen_attention import Sequences, can_attend_varlen, fits_flash, flash_capability, varlen_attention

CPU = torch.device("cpu")
HEADS, HEAD_DIM = 4, 32
WIDTH = HEADS * HEAD_DIM
LENGTHS = [[3], [1, 7, 4], [5, 5, 5, 5, 5], [1, 1], [9, 20, 3, 1, 17, 8, 2, 30, 5], [512, 128, 130, 1]]
each_batch = pytest.mark.parametrize("lengths", LENGTHS, ids=str)


@pytest.fixture(params=[pytest.param(CPU, id="reference"), pytest.param(CUDA, id="gpu", marks=needs_gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """A GPU, or a CPU that has flash attention from a reference."""
    if request.param == CUDA:
        yield CUDA
    else:
        with flash_attention_on_cpu():
            yield CPU


def random_projections(lengths: list[int], device: torch.device) -> Tensor:
    """Query, key and value side by side, in bf16, shape (tokens, 3 * width)."""
    torch.manual_seed(0)
    return torch.randn(sum(lengths), 3 * WIDTH).bfloat16().to(device).requires_grad_()


def attend(query_key_value: Tensor, lengths: list[int], dropout_p: float = 0.0) -> Tensor:
    rows = Sequences.of(ragged_batch(lengths), query_key_value.device)
    query, key, value = query_key_value.view(-1, 3, HEADS, HEAD_DIM).unbind(1)
    return varlen_attention(query, key, value, rows, rows, dropout_p)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """As near as bf16's rounding lets them be: its eight bits, a few times, of the largest value."""
    found, expected = found.detach().double(), expected.detach().double()
    torch.testing.assert_close(found, expected, atol=2**-6 * float(expected.abs().max()), rtol=0)


@each_batch
def test_outputs_and_gradients_are_those_of_the_plain_attention(lengths: list[int], device: torch.device):
    own = random_projections(lengths, device)
    plain = own.detach().double().requires_grad_()
    weights = torch.randn(sum(lengths), WIDTH, device=device)
    found = attend(own, lengths)
    expected = attention(plain, GroupLayout.of(ragged_batch(lengths), device), HEADS, None, 0, 0.0)
    assert (found.dtype, found.shape) == (torch.bfloat16, expected.shape)
    assert_near(found, expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert own.grad is not None
    assert plain.grad is not None
    assert_near(own.grad, plain.grad)


@each_batch
def test_a_row_in_a_batch_equals_the_row_alone(lengths: list[int], device: torch.device):
    own = random_projections(lengths, device)
    alone = torch.cat([attend(row, [len(row)]) for row in own.split(lengths)])
    assert_near(attend(own, lengths), alone)


@each_batch
def test_first_tokens_attend_as_they_do_among_all(lengths: list[int], device: torch.device):
    own = random_projections(lengths, device)
    rows = Sequences.of(ragged_batch(lengths), device)
    query, key, value = own.view(-1, 3, HEADS, HEAD_DIM).unbind(1)
    first = varlen_attention(query[rows.first_tokens.long()], key, value, rows.of_first_tokens(), rows, 0.0)
    expected = attend(own, lengths)[rows.first_tokens.long()]
    assert_near(first, expected)
    weights = torch.randn(first.shape, device=device)
    gradients = [torch.autograd.grad((output * weights).sum(), own)[0] for output in (first, expected)]
    assert_near(gradients[0], gradients[1])


def test_gradients_stay_within_their_row(device: torch.device):
    own = random_projections([3, 4], device)
    attend(own, [3, 4])[:3].sum().backward()
    assert own.grad is not None
    assert own.grad[:3].abs().sum() > 0
    assert not own.grad[3:].any()


def test_step_and_seed_decide_what_is_dropped(device: torch.device):
    own = random_projections([60, 9], device)

    def dropped(seed: int, step: int) -> Tensor:
        StepDropout(seed, step).begin()
        return attend(own, [60, 9], 0.5)

    with torch.random.fork_rng(devices=[] if device == CPU else [device]):
        assert torch.equal(dropped(1, 2), dropped(1, 2))
        assert not torch.equal(dropped(1, 2), dropped(1, 3))
        assert not torch.equal(dropped(1, 2), dropped(2, 2))
        assert not torch.equal(dropped(1, 2), attend(own, [60, 9]))


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_share_is_dropped_and_the_mean_is_kept(p: float, device: torch.device):
    """With equal scores and a value of one, the context is the share of the keys that is left, scaled up."""
    length = 512
    query_key = torch.zeros(length, HEADS, HEAD_DIM, dtype=torch.bfloat16, device=device)
    rows = Sequences.of(ragged_batch([length]), device)
    with torch.random.fork_rng(devices=[] if device == CPU else [device]):
        StepDropout(0, 1).begin()
        context = varlen_attention(query_key, query_key, torch.ones_like(query_key), rows, rows, p).float()
    assert context.mean().item() == pytest.approx(1, abs=0.02)
    assert context.view(length, HEADS, HEAD_DIM)[..., 0].std().item() == pytest.approx((p / (1 - p) / length) ** 0.5, rel=0.2)


def test_gradients_meet_the_masks_of_the_forward_pass(device: torch.device):
    """Attention is linear in the values, so that the loss is the product of the values and their gradients."""
    own = random_projections([60, 9], device)
    query, key, value = (part.detach().clone() for part in own.view(-1, 3, HEADS, HEAD_DIM).unbind(1))
    value.requires_grad_()
    rows = Sequences.of(ragged_batch([60, 9]), device)
    with torch.random.fork_rng(devices=[] if device == CPU else [device]):
        StepDropout(0, 1).begin()
        context = varlen_attention(query, key, value, rows, rows, 0.5)
    weights = torch.randn(context.shape, device=device).bfloat16()
    loss = (context.double() * weights).sum()
    (gradient,) = torch.autograd.grad(loss, value)
    assert (gradient.double() * value).sum().item() == pytest.approx(loss.item(), abs=0.5)
    assert not torch.allclose(context, attend(own, [60, 9]), atol=0.1)


def test_sequences_are_int32_and_know_the_longest():
    rows = Sequences.of(ragged_batch([3, 9, 1]), CPU)
    assert (rows.cu_seqlens.dtype, rows.cu_seqlens.tolist(), rows.max_seqlen) == (torch.int32, [0, 3, 12, 13], 9)
    assert rows.first_tokens.tolist() == [0, 3, 12]
    first = rows.of_first_tokens()
    assert (first.cu_seqlens.dtype, first.cu_seqlens.tolist(), first.max_seqlen) == (torch.int32, [0, 1, 2, 3], 1)


@pytest.mark.parametrize(
    ("capability", "head_dim", "fits"),
    [
        ((8, 0), 64, True),
        ((8, 6), 32, True),
        ((9, 0), 8, True),
        ((12, 0), 192, True),
        ((7, 5), 64, False),
        ((0, 0), 64, False),
        ((9, 0), 60, False),
        ((9, 0), 256, False),
    ],
    ids=str,
)
def test_the_card_and_the_width_of_the_heads_decide(capability: tuple[int, int], head_dim: int, fits: bool):
    assert fits_flash(capability, head_dim) == fits


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_have_no_flash_attention(device: str):
    assert flash_capability(torch.device(device)) == (0, 0)
    assert not can_attend_varlen(Hardware(torch.device(device), "bf16", 1), 64)


@needs_gpu
@pytest.mark.parametrize(("precision", "runs"), [("bf16", True), ("fp32", False)])
def test_a_gpu_attends_so_in_bf16_alone(precision: str, runs: bool):
    assert can_attend_varlen(Hardware(CUDA, precision, 1), 64) == runs


def test_a_torch_without_flash_attention_attends_otherwise():
    if torch.backends.cuda.is_flash_attention_available():
        pytest.skip("this torch is built with flash attention")
    assert flash_capability(CUDA) == (0, 0)
    assert not can_attend_varlen(Hardware(CUDA, "bf16", 1), 64)
