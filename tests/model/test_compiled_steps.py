"""The compiled loops step by step: against float64, against the steps by torch, and on values that are no numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from encoder_twins import SIZES, ragged_batch, random_encoder
from test_inference_encoder import BATCHES
from torch import Tensor

from processor import needs_compiled_loops
from surefit.model.activations import ACTIVATIONS
from surefit.model.configuration import BertConfig
from surefit.model.encoder import BertEncoder
from surefit.model.fast_memory import Workspace
from surefit.model.fast_products import Linear
from surefit.model.inference_products import Apart, FloatReading, Reading, Sum
from surefit.model.inference_steps import InferenceSteps, Norm, TorchSteps
from surefit.model.int8_products import LevelReading
from surefit.model.int8_ranges import Range, widths
from surefit.model.kernels import library
from surefit.model.kernels.inference_steps import CompiledSteps
from surefit.types import PackedBatch

pytestmark = needs_compiled_loops

RANGE = Range(0.021, 120, {3: 7.5})
RAGGED = [40, 33, 9, 9, 7, 1]
LONG = [60] * 12 + [31] * 25  # worth several threads
NAN, INF = float("nan"), float("inf")

each_batch = pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES.keys())
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
each_form = pytest.mark.parametrize("form", [torch.float32, torch.bfloat16, torch.uint8], ids=["fp32", "bf16", "levels"])
each_activation = pytest.mark.parametrize("hidden_act", ACTIVATIONS)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


class DirtyMemory(Workspace):
    """Memory whose undefined content is the worst there is."""

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return super().take(name, shape, dtype).fill_(torch.nan if dtype.is_floating_point else torch.iinfo(dtype).max)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def encoder_of(**changes: Any) -> BertEncoder:
    return random_encoder(BertConfig.from_dict(SIZES | changes))


def compiled_steps(batch: PackedBatch, dtype: torch.dtype = torch.float32, heads: int = 2, **changes: Any) -> InferenceSteps:
    return CompiledSteps(encoder_of(**changes), heads, dtype, batch, DirtyMemory())


def reading_of(form: torch.dtype, channels: int) -> Reading:
    if form == torch.uint8:
        return LevelReading("hidden", RANGE, channels, DirtyMemory())
    return FloatReading("hidden", form, DirtyMemory())


def assert_read(found: Tensor, exact: Tensor, form: torch.dtype, within: float = 1e-5) -> None:
    """What was read is the exact values in their form, but for an error in float32 of so much."""
    assert (found.dtype, found.shape) == (form, exact.shape)
    if form != torch.uint8:
        torch.testing.assert_close(found.double(), exact, atol=within, rtol=2**-8 if form == torch.bfloat16 else 0)
        return
    places = exact / (RANGE.scale * widths(RANGE.outliers, exact.shape[1]).double())
    # So near to half a level float32 may go either way.
    halfway = (places % 1 - 0.5).abs() < 2 * within / RANGE.scale
    assert halfway.double().mean() < 0.01
    levels = (places.round() + RANGE.zero_point).clamp(0, 255).to(torch.uint8)
    assert torch.equal(found[~halfway], levels[~halfway])


@each_form
@each_batch
def test_embeddings_are_summed_and_normalised(lengths: list[int], form: torch.dtype):
    batch, encoder = ragged_batch(lengths), encoder_of()
    steps = CompiledSteps(encoder, 2, torch.float32, batch, DirtyMemory())
    values, read = steps.embed(reading_of(form, 32))
    assert values.shape[0] >= batch.tokens
    assert values.shape[0] % 16 == 0
    exact = encoder.double().embeddings(batch, None)
    torch.testing.assert_close(values[: batch.tokens].double(), exact, atol=1e-5, rtol=0)
    assert_read(read[: batch.tokens], exact, form)


@pytest.mark.parametrize("form", [torch.bfloat16, torch.uint8], ids=["bf16", "levels"])
def test_embeddings_are_read_as_the_steps_by_torch_read_them(form: torch.dtype):
    batch, encoder = ragged_batch(RAGGED), encoder_of()
    kinds = (CompiledSteps, TorchSteps)
    results = [kind(encoder, 2, torch.float32, batch, Workspace()).embed(reading_of(form, 32)) for kind in kinds]
    (values, read), (expected, expected_read) = ([tensor[: batch.tokens] for tensor in pair] for pair in results)
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=0)
    # One level, or one unit in the last place, for the few values that lie next to the middle of two.
    assert (read.float() - expected_read.float()).abs().max() <= (1 if form == torch.uint8 else 2**-6)
    assert (read != expected_read).double().mean() < 0.001


def with_one(numbers: Any, place: int, number: int) -> Any:
    changed = numbers.copy()
    changed[place] = number
    return changed


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("input_ids", number) for number in (-1, 200, 2**40, -(2**63))),
        *(("position_ids", number) for number in (-1, 128)),
        *(("token_type_ids", number) for number in (-1, 2)),
    ],
)
def test_numbers_without_an_embedding_are_refused(name: str, number: int):
    batch = ragged_batch(RAGGED)
    steps = compiled_steps(replace(batch, **{name: with_one(getattr(batch, name), 17, number)}))
    with pytest.raises(IndexError, match="a token's id, position or type has no embedding"):
        steps.embed(reading_of(torch.float32, 32))


def test_a_row_longer_than_there_are_positions_is_refused():
    with pytest.raises(IndexError):
        compiled_steps(ragged_batch([129])).embed(reading_of(torch.float32, 32))


def projections(batch: PackedBatch, hidden: int, dtype: torch.dtype, size: float = 1.0, padding: float = NAN) -> Tensor:
    """Queries, keys and values of a batch, the first so many times as large, and rows behind it that hold anything."""
    tokens = drawn(batch.tokens, 3 * hidden, seed=1)
    tokens[:, :hidden] *= size
    return torch.cat([tokens, torch.full((32, 3 * hidden), padding)]).to(dtype)


def plainly_attended(batch: PackedBatch, query_key_value: Tensor, heads: int) -> Tensor:
    """The context of each token, in the precision of its arguments."""
    contexts = []
    for first, end in zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True):
        query, key, value = query_key_value[first:end].view(end - first, 3, heads, -1).permute(1, 2, 0, 3)
        probabilities = torch.softmax(query @ key.transpose(1, 2) * query.shape[-1] ** -0.5, -1)
        contexts.append((probabilities @ value).transpose(0, 1).reshape(end - first, -1))
    return torch.cat(contexts)


def attended(batch: PackedBatch, query_key_value: Tensor, heads: int, reading: Reading | None = None) -> Tensor:
    """The context of each token, and the same where first tokens alone ask."""
    hidden = query_key_value.shape[1] // 3
    steps = compiled_steps(batch, query_key_value.dtype, heads)
    reading = reading or reading_of(torch.float32, hidden)
    first = query_key_value.index_select(0, steps.first_tokens)[:, :hidden].contiguous()
    of_first = steps.attend_first(first, query_key_value[:, hidden:].contiguous(), reading).clone()
    found = steps.attend(query_key_value, reading)[: batch.tokens]
    torch.testing.assert_close(of_first, found[steps.first_tokens], rtol=0, atol=0, equal_nan=True)
    return found


@each_dtype
@each_batch
@pytest.mark.parametrize(("heads", "width"), [(1, 16), (3, 16), (2, 32), (2, 48), (1, 64), (2, 80)], ids=str)
def test_attention_is_the_softmax_of_the_scores(lengths: list[int], dtype: torch.dtype, heads: int, width: int):
    batch = ragged_batch(lengths)
    query_key_value = projections(batch, heads * width, dtype)
    found = attended(batch, query_key_value, heads)
    # Where the processor multiplies pairs of bf16, each weight is rounded by 2^-9 of itself at most; they sum up to 1.
    rounding = (
        2**-9 * float(query_key_value[: batch.tokens].abs().max()) if dtype == torch.bfloat16 and width % 32 == 0 else 0.0
    )
    exact = plainly_attended(batch, query_key_value.double(), heads)
    torch.testing.assert_close(found.double(), exact, atol=1e-5 + rounding, rtol=0)


def test_attention_of_long_rows():
    batch = ragged_batch([512, 511, 300, 2])
    query_key_value = projections(batch, 64, torch.float32)
    found = attended(batch, query_key_value, 2)
    torch.testing.assert_close(found.double(), plainly_attended(batch, query_key_value.double(), 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 10.0, 1e3, 1e6])
@each_batch
def test_scores_may_have_any_size(lengths: list[int], size: float):
    batch = ragged_batch(lengths)
    query_key_value = projections(batch, 32, torch.float32, size)
    # float32 knows a score of n to n * 2^-23; where two are as large as that, either may be the largest.
    exact = plainly_attended(batch, query_key_value.double(), 2)
    difference = (attended(batch, query_key_value, 2).double() - exact).abs()
    assert (difference < 1e-5 * max(1.0, size)).double().mean() > (0.99 if size > 1e3 else 0.999999)


@each_form
@each_dtype
def test_contexts_are_given_as_they_are_read(dtype: torch.dtype, form: torch.dtype):
    batch = ragged_batch(RAGGED)
    query_key_value = projections(batch, 32, dtype)
    found = attended(batch, query_key_value, 2, reading_of(form, 32))
    assert_read(found, plainly_attended(batch, query_key_value.double(), 2), form)


@each_dtype
@each_batch
def test_attention_of_a_row_is_the_same_to_the_bit_whatever_stands_beside_it(lengths: list[int], dtype: torch.dtype):
    batch = ragged_batch(lengths)
    query_key_value = projections(batch, 32, dtype, size=3.0)
    found = attended(batch, query_key_value, 2)
    for row, (first, end) in enumerate(zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True)):
        alone = attended(ragged_batch([lengths[row]]), query_key_value[first:end], 2)
        assert torch.equal(found[first:end], alone)


def test_exponentials_are_exact_at_any_distance_from_the_largest():
    """A row of two tokens weighs the second value with 1 / (1 + e^d), d being the difference of their scores."""
    distances = torch.linspace(-87.0, 87.0, 5001)
    batch = ragged_batch([2] * len(distances))
    query_key_value = torch.zeros(batch.tokens, 3, 16)
    query_key_value[0::2, 0, 0] = distances
    query_key_value[0::2, 1, 0] = 4.0  # is divided by the root of the width
    query_key_value[1::2, 2] = 1.0
    found = attended(batch, query_key_value.view(-1, 48), 1)[0::2, 0].double()
    exact = 1 / (1 + distances.double().exp())
    assert ((found / exact) - 1).abs().max() < 1e-6
    query_key_value[0::2, 0, 0] = torch.linspace(88.0, 1e30, 5001)
    assert not attended(batch, query_key_value.view(-1, 48), 1)[0::2].any(), "what is next to nothing is zero"


@pytest.mark.parametrize("part", ["query", "key", "value"])
@pytest.mark.parametrize("damage", [NAN, INF, -INF])
@pytest.mark.parametrize("width", [16, 32])
@each_dtype
def test_what_is_no_number_shows_where_it_would_by_torch_and_nowhere_else(
    dtype: torch.dtype, width: int, part: str, damage: float
):
    batch, heads = ragged_batch(RAGGED), 2
    hidden = heads * width
    query_key_value = projections(batch, hidden, dtype)
    before = attended(batch, query_key_value, heads)
    query_key_value[43, ("query", "key", "value").index(part) * hidden + 5] = damage  # of the second row's first head
    found = attended(batch, query_key_value, heads)
    expected = plainly_attended(batch, query_key_value.float(), heads)
    assert not expected.isfinite().all()
    torch.testing.assert_close(found, expected, atol=1e-5 if width == 16 else 1e-2, rtol=0, equal_nan=True)
    elsewhere = torch.ones_like(found, dtype=torch.bool)
    elsewhere[40:73, :width] = False
    assert torch.equal(found[elsewhere], before[elsewhere])


@pytest.mark.parametrize("size", [1e3, 1e7, 1e9, 1e12, 1e20])
def test_scores_of_any_size_are_weighed_in_bf16_too(size: float):
    batch = ragged_batch([40, 9])
    query_key_value = projections(batch, 64, torch.bfloat16, size)
    found, exact = attended(batch, query_key_value, 2), plainly_attended(batch, query_key_value.double(), 2)
    # Products of pairs are summed otherwise than one by one, so that of two scores next to each other either may win.
    assert found.isfinite().all()
    assert ((found.double() - exact).abs() < 0.02).double().mean() > 0.95


def test_scores_beyond_float32_are_no_numbers():
    batch = ragged_batch([5])
    query_key_value = projections(batch, 32, torch.float32)
    query_key_value[:, :64] *= 1e20
    assert attended(batch, query_key_value, 2).isnan().all()


def apart_of(channels: int, hidden: int, hidden_act: str) -> Apart:
    widening = Linear(drawn(channels, hidden, seed=2) * 0.2, drawn(channels, seed=3))
    return Apart(widening, drawn(channels, hidden, seed=4), hidden_act)


def exact_sum(values: Tensor, projected: Tensor | None, norm: torch.nn.LayerNorm) -> Tensor:
    summed = values.double() + (0 if projected is None else projected.double())
    weight, bias = (tensor.double() for tensor in (norm.weight, norm.bias))
    return torch.nn.functional.layer_norm(summed, norm.normalized_shape, weight, bias, norm.eps)


def norm_of(hidden: int, eps: float = 1e-12) -> torch.nn.LayerNorm:
    norm = torch.nn.LayerNorm(hidden, eps=eps)
    norm.weight.data, norm.bias.data = drawn(hidden, seed=7) + 1, drawn(hidden, seed=8)
    return norm


@each_form
@pytest.mark.parametrize("projected", [None, torch.float32, torch.bfloat16], ids=["sum", "fp32", "bf16"])
@pytest.mark.parametrize("hidden", [16, 48, 384, 1024])
def test_sums_are_normalised(hidden: int, projected: torch.dtype | None, form: torch.dtype):
    batch, norm = ragged_batch(RAGGED), norm_of(hidden)
    values = torch.cat([drawn(batch.tokens, hidden) + 3, torch.full((29, hidden), NAN)])
    added = (
        None if projected is None else torch.cat([drawn(batch.tokens, hidden, seed=1), values[batch.tokens :]]).to(projected)
    )
    steps = compiled_steps(batch)
    found, read = (
        tensor[: batch.tokens] for tensor in steps.normalize("middle", Norm(norm), Sum(values, added), reading_of(form, hidden))
    )
    exact = exact_sum(values, added, norm)[: batch.tokens]
    torch.testing.assert_close(found.double(), exact, atol=1e-5, rtol=0)
    assert_read(read, exact, form)
    expected, _ = TorchSteps(encoder_of(), 2, torch.float32, batch, Workspace()).normalize(
        "middle", Norm(norm), Sum(values, added), None
    )
    torch.testing.assert_close(found, expected[: batch.tokens], atol=1e-5, rtol=0)


@pytest.mark.parametrize("spread", [1e-20, 1e-3, 1e3, 1e15])
def test_sums_of_any_size_are_normalised(spread: float):
    batch, norm = ragged_batch(RAGGED), norm_of(64)
    values = drawn(batch.tokens, 64) * spread
    found, _ = compiled_steps(batch).normalize("middle", Norm(norm), Sum(values, None), None)
    torch.testing.assert_close(found.double(), exact_sum(values, None, norm), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0x7FFFFFFF, -1, 0x7F800000, -0x800000], ids=hex)
def test_a_token_that_is_no_number_spoils_itself_only(bits: int):
    """Whichever of the many not-a-numbers it is, or an infinity: rounded to bf16 it could become a zero."""
    batch, norm = ragged_batch(RAGGED), norm_of(32)
    values = drawn(batch.tokens, 32)
    steps = compiled_steps(batch)
    before = steps.normalize("middle", Norm(norm), Sum(values, None), None)[0].clone()
    values.view(torch.int32)[43, 7] = bits
    assert not values[43, 7].isfinite()
    found, read = steps.normalize("middle", Norm(norm), Sum(values, None), reading_of(torch.bfloat16, 32))
    assert found[43].isnan().all()
    assert read[43].isnan().all()
    others = [token for token in range(batch.tokens) if token != 43]
    assert torch.equal(found[others], before[others])


@each_activation
@pytest.mark.parametrize("channels", [0, 1, 16, 17, 300])
def test_channels_apart_are_added_after_reading(hidden_act: str, channels: int):
    batch, norm, hidden = ragged_batch(RAGGED), norm_of(48), 48
    apart, values = apart_of(channels, hidden, hidden_act), drawn(batch.tokens, hidden)
    found, read = compiled_steps(batch).normalize(
        "middle", Norm(norm), Sum(values, None), reading_of(torch.uint8, hidden), apart
    )
    exact = exact_sum(values, None, norm)
    assert_read(read, exact, torch.uint8)
    active = ACTIVATIONS[hidden_act].plain(exact @ apart.widening.weight.double().t() + apart.widening.bias.double())
    expected = exact + active @ apart.narrowing.double()
    torch.testing.assert_close(found.double(), expected, atol=1e-6 * float(expected.abs().max()) + 1e-5, rtol=0)


@pytest.fixture
def threads() -> Iterator[Any]:
    """Sets how many threads there are."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [2, 3, 7])
@each_form
def test_threads_change_no_bit(count: int, form: torch.dtype, threads: Any):
    batch, encoder, norm, hidden = ragged_batch(LONG), encoder_of(hidden_size=192), norm_of(192), 192
    assert library.team(batch.tokens * hidden) == torch.get_num_threads()
    query_key_value, apart = projections(batch, hidden, torch.bfloat16), apart_of(20, hidden, "gelu")
    values = drawn(batch.tokens, hidden)

    def results() -> list[Tensor]:
        steps = CompiledSteps(encoder, 12, torch.bfloat16, batch, DirtyMemory())
        reading = reading_of(form, hidden)
        found = [*steps.embed(reading), steps.attend(query_key_value, reading)]
        found += [*steps.normalize("middle", Norm(norm), Sum(values, None), reading, apart)]
        return [tensor[: batch.tokens].clone() for tensor in found]

    threads(1)
    alone = results()
    threads(count)
    assert all(torch.equal(found, expected) for found, expected in zip(results(), alone, strict=True))


# Activations, as they are computed for channels apart and in training.


def activated(values: Tensor, hidden_act: str) -> Tensor:
    """What the loops make of values, whose number is a multiple of sixteen."""
    into, kind = torch.empty_like(values), library.ACTIVATION_KINDS[hidden_act]
    form = library.FORMS[values.dtype]
    library.call("surefit_activate")(values.data_ptr(), form, values.numel(), kind, into.data_ptr(), torch.get_num_threads())
    return into


def every_bfloat16() -> Tensor:
    return torch.from_numpy(np.arange(-(2**15), 2**15, dtype=np.int16)).view(torch.bfloat16)


@each_activation
def test_activations_are_exact_over_the_whole_range(hidden_act: str):
    near = torch.linspace(-30, 30, 2**20)
    for values in (near, every_bfloat16().float()):
        finite = values[values.isfinite()]
        found = activated(torch.cat([finite, finite.new_zeros(-len(finite) % 16)]), hidden_act)[: len(finite)]
        exact = ACTIVATIONS[hidden_act].plain(finite.double())
        assert ((found - exact).abs() / finite.abs().clamp_min(1)).max() < 5e-7


@each_activation
def test_activations_in_bf16_are_those_of_float32_rounded(hidden_act: str):
    values = every_bfloat16()
    found, expected = activated(values, hidden_act), activated(values.float(), hidden_act).bfloat16()
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@each_activation
def test_activations_of_what_is_no_number_are_as_by_torch(hidden_act: str):
    values = torch.tensor([NAN, -NAN, INF, -INF] * 4)
    found, expected = activated(values, hidden_act), ACTIVATIONS[hidden_act].plain(values)
    assert torch.equal(found.isfinite(), expected.isfinite())
    assert torch.equal(found.isnan(), expected.isnan() & (values != INF)), (
        "torch's GELU of infinity is no number; it is infinite"
    )


@pytest.mark.parametrize("hidden_act", ["gelu", "relu"])
def test_activations_are_the_same_in_their_place(hidden_act: str):
    values = drawn(4096)
    expected = activated(values, hidden_act)
    kind = library.ACTIVATION_KINDS[hidden_act]
    library.call("surefit_activate")(values.data_ptr(), 0, values.numel(), kind, values.data_ptr(), 2)
    assert torch.equal(values, expected)
