from __future__ import annotations

import copy

import pytest
import torch
from encoder_twins import SIZES, Twins, ragged_batch, random_encoder
from torch import nn

from surefit.model.configuration import BertConfig
from surefit.model.encoder import BertEncoder
from surefit.model.fast_products import flat_order
from surefit.model.parameters import FlatParameters

WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture
def encoder() -> BertEncoder:
    return random_encoder(BertConfig.from_dict(SIZES))


def flat_of(encoder: BertEncoder) -> FlatParameters:
    return FlatParameters(encoder, encoder.embeddings.word_embeddings.weight, flat_order(SIZES["num_hidden_layers"], ""))


def test_names_shapes_and_values_stay(encoder: BertEncoder):
    before = copy.deepcopy(encoder.state_dict())
    parameters = dict(encoder.named_parameters())
    flat_of(encoder)
    assert dict(encoder.named_parameters()).keys() == parameters.keys()
    assert all(parameter is parameters[name] for name, parameter in encoder.named_parameters())
    after = encoder.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_all_but_the_word_embeddings_are_views_of_the_flat_values(encoder: BertEncoder):
    flat = flat_of(encoder)
    assert flat.words is encoder.embeddings.word_embeddings.weight
    named = dict(encoder.named_parameters())
    assert flat.places.keys() == named.keys() - {WORDS}
    assert sum(end - start for start, end in flat.places.values()) == len(flat.values)
    flat.values.copy_(torch.arange(len(flat.values)))
    for name, (start, end) in flat.places.items():
        assert torch.equal(named[name].flatten(), torch.arange(start, end).float()), name


def test_asked_for_come_first_then_vectors_then_matrices_as_the_model_has_them(encoder: BertEncoder):
    flat, first = flat_of(encoder), flat_order(SIZES["num_hidden_layers"], "")
    rest = [name for name, _ in encoder.named_parameters() if name not in {*first, WORDS}]
    vectors = [name for name in rest if encoder.get_parameter(name).ndim == 1]
    assert list(flat.places) == [*first, *vectors, *(name for name in rest if name not in vectors)]


def test_spans_tell_matrices_from_vectors(encoder: BertEncoder):
    flat = flat_of(encoder)
    spans = flat.spans(flat.matrices)
    assert [matrices for _, _, matrices in spans] == [True, False, True]
    assert [start for start, _, _ in spans] == [0, *(end for _, end, _ in spans[:-1])]
    assert spans[-1][1] == len(flat.values)
    for name, (start, end) in flat.places.items():
        (kind,) = [matrices for first, last, matrices in spans if first <= start < end <= last]
        assert kind == (encoder.get_parameter(name).ndim > 1), name


def test_without_an_order_vectors_come_before_matrices():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4), nn.LayerNorm(4))
    flat = FlatParameters(model, model[0].weight)
    assert list(flat.places) == ["1.bias", "2.weight", "2.bias", "1.weight"]
    assert flat.matrices == ["1.weight"]
    assert flat.spans(["1.weight"]) == [(0, 12, False), (12, 24, True)]
    assert flat.spans(["2.weight", "2.bias"]) == [(0, 4, False), (4, 12, True), (12, 24, False)]
    assert flat.spans([]) == [(0, 24, False)]


def test_loaded_weights_reach_the_flat_values(encoder: BertEncoder):
    flat = flat_of(encoder)
    saved = {name: value.clone() for name, value in encoder.state_dict().items()}
    flat.values.zero_()
    encoder.load_state_dict(saved)
    start, end = flat.places["pooler.dense.weight"]
    assert torch.equal(flat.values[start:end].view(32, 32), saved["pooler.dense.weight"])
    assert all(torch.equal(value, saved[name]) for name, value in encoder.state_dict().items())


def test_gradients_are_views_of_the_flat_gradients(encoder: BertEncoder):
    flat = flat_of(encoder)
    flat.make_gradients()
    gradients = flat.gradients
    encoder(ragged_batch([9, 4])).square().sum().backward()
    flat.make_gradients()  # keeps those that there are
    assert flat.gradients is gradients
    for name, (start, end) in flat.places.items():
        gradient = encoder.get_parameter(name).grad
        assert gradient is not None
        assert gradient.data_ptr() == gradients[start:end].data_ptr()
        assert torch.equal(gradient.flatten(), gradients[start:end])
    assert gradients.any()
    assert flat.word_gradients.any()
    assert flat.word_gradients is encoder.get_parameter(WORDS).grad


def test_gradients_are_asked_for_before_they_are_used(encoder: BertEncoder):
    with pytest.raises(AssertionError, match="comes first"):
        _ = flat_of(encoder).gradients


def test_cleared_gradients_are_zero(encoder: BertEncoder):
    flat, batch = flat_of(encoder), ragged_batch([9, 4])
    flat.make_gradients()
    encoder(batch).square().sum().backward()
    flat.clear_gradients(torch.from_numpy(batch.input_ids).unique())
    assert not flat.gradients.any()
    assert not flat.word_gradients.any()


def test_only_what_the_next_pass_sets_is_not_cleared():
    twins, batch = Twins(), ragged_batch([9, 4])
    twins.run_fast(batch)
    flat = twins.flat
    last = flat_order(SIZES["num_hidden_layers"], "")[-1]
    assert flat.overwritten == flat.places[last][1]
    assert not flat.fresh
    flat.gradients.fill_(7)
    flat.clear_gradients(torch.from_numpy(batch.input_ids).unique())
    assert flat.fresh
    assert flat.gradients[: flat.overwritten].eq(7).all()
    assert not flat.gradients[flat.overwritten :].any()
    assert not flat.word_gradients.any()


@pytest.mark.parametrize("share", [0.3, 0.999, 1.001, 10.0])
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_gradients_are_shortened_as_torch_does(share: float, fast: bool):
    twins, batch = Twins(), ragged_batch([9, 4])
    twins.flat.make_gradients()
    if fast:
        twins.run_fast(batch)
    else:
        twins.encoder(batch).square().sum().backward()
    parameters = list(twins.encoder.parameters())
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    for own, parameter in zip(copies, parameters, strict=True):
        assert parameter.grad is not None
        own.grad = parameter.grad.clone()
    most = share * float(torch.nn.utils.get_total_norm([own.grad for own in copies if own.grad is not None]))
    expected = torch.nn.utils.clip_grad_norm_(copies, most)
    norm = twins.flat.shorten_gradients(most, torch.from_numpy(batch.input_ids).unique())
    assert norm == pytest.approx(float(expected))
    for own, parameter in zip(copies, parameters, strict=True):
        torch.testing.assert_close(parameter.grad, own.grad, rtol=1e-5, atol=1e-9)


def test_short_gradients_are_left_alone():
    twins, batch = Twins(), ragged_batch([9, 4])
    twins.run_fast(batch)
    before, of_words = twins.flat.gradients.clone(), twins.flat.word_gradients.clone()
    twins.flat.shorten_gradients(1e6, torch.from_numpy(batch.input_ids).unique())
    assert torch.equal(twins.flat.gradients, before)
    assert torch.equal(twins.flat.word_gradients, of_words)


def test_norm_that_is_no_number_is_told(encoder: BertEncoder):
    flat = flat_of(encoder)
    flat.make_gradients()
    flat.gradients[3] = torch.nan
    assert flat.shorten_gradients(1.0, torch.arange(2)) != flat.shorten_gradients(1.0, torch.arange(2))


def test_weights_that_are_not_trained_are_left_as_they_are():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2), nn.Linear(2, 2))
    model[2].weight.requires_grad = False
    flat = FlatParameters(model, model[0].weight)
    assert "2.weight" not in flat.places
    assert "2.bias" in flat.places
    assert model[2].weight.untyped_storage().data_ptr() != flat.values.untyped_storage().data_ptr()


def test_a_model_that_was_cast_is_refused_and_one_that_stays_as_it_is_not(encoder: BertEncoder):
    flat = flat_of(encoder)
    encoder.to("cpu").float()
    flat.require_views()
    encoder.half()
    with pytest.raises(RuntimeError, match=r"the weights were moved or cast by themselves; call prepare\(\)"):
        flat.require_views()
    encoder.float()  # other tensors than the flat ones, though of the same kind
    with pytest.raises(RuntimeError, match="moved or cast"):
        flat.require_views()
