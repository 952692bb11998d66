"""The plain encoder: parity with Hugging Face's BertModel, and dropout by place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_twins import (
    SIZES,
    assert_same_gradients,
    gradients_of,
    padded_inputs,
    ragged_batch,
    random_encoder,
    row_weights,
    rows_of,
)

from surefit.model.checkpoints import read_object, read_tensors
from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout
from surefit.model.encoder import (
    EMBEDDINGS_SITE,
    BertEncoder,
    Embeddings,
    Output,
    dropped_tokens,
    head_site,
    layer_sites,
)
from surefit.types import PackedBatch
from tiny_models import write_tiny_bert


def both_encoders(directory: Path, **changes: Any) -> tuple[BertEncoder, Any]:
    """Ours and Hugging Face's with the same weights, in evaluation mode, without dropout."""
    from transformers import BertConfig as StockConfig
    from transformers import BertModel

    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    content = read_object(directory / "config.json") | without_dropout | changes
    weights = {name: tensor for name, tensor in read_tensors(directory).items() if name != "embeddings.position_ids"}
    ours = BertEncoder(BertConfig.from_dict(content))
    ours.load_state_dict(weights)
    stock = BertModel(StockConfig(**content, attn_implementation="eager"))
    stock.load_state_dict(weights)
    return ours.eval(), stock.eval()


def assert_same_outputs(ours: BertEncoder, stock: Any, batch: PackedBatch) -> None:
    inputs = padded_inputs(batch)
    with torch.inference_mode():
        expected = stock(**inputs, output_hidden_states=True)
        states = ours.hidden_states(batch)
        assert len(states) == len(expected.hidden_states)
        for state, wanted in zip(states, expected.hidden_states, strict=True):
            torch.testing.assert_close(state, wanted[inputs["attention_mask"].bool()], atol=1e-5, rtol=0)
        torch.testing.assert_close(ours(batch), expected.pooler_output, atol=1e-5, rtol=0)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"])
def test_states_are_those_of_hugging_face(tiny_bert: Path, activation: str):
    ours, stock = both_encoders(tiny_bert, hidden_act=activation)
    assert_same_outputs(ours, stock, ragged_batch([1, 17, 128, 5, 5], 250))


def test_states_are_those_of_hugging_face_for_other_sizes(tmp_path: Path):
    directory = write_tiny_bert(
        tmp_path / "bert", hidden_size=24, num_attention_heads=3, num_hidden_layers=1, layer_norm_eps=1e-5, type_vocab_size=4
    )
    ours, stock = both_encoders(directory)
    assert_same_outputs(ours, stock, ragged_batch([9, 2, 30], 250, types=4))


def test_model_that_cannot_tell_texts_apart_ignores_token_types(tmp_path: Path):
    ours, stock = both_encoders(write_tiny_bert(tmp_path / "bert", type_vocab_size=1))
    pairs = ragged_batch([4, 6], 250, types=2)
    inputs = padded_inputs(pairs)
    with torch.inference_mode():
        expected = stock(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).pooler_output
        torch.testing.assert_close(ours(pairs), expected, atol=1e-5, rtol=0)


def test_states_of_the_embedded_model_are_those_of_hugging_face(embedded_model: Path):
    ours, stock = both_encoders(embedded_model)
    assert_same_outputs(ours, stock, ragged_batch([3, 40, 11], 30_000))


def test_row_in_a_batch_equals_row_alone(tiny_bert: Path):
    ours, _ = both_encoders(tiny_bert)
    batch = ragged_batch([3, 60, 1, 12], 250)
    with torch.inference_mode():
        together = ours(batch)
        alone = torch.cat([ours(rows_of(batch, row, row + 1)) for row in range(len(batch))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_gradients_are_those_of_hugging_face(tiny_bert: Path):
    ours, stock = both_encoders(tiny_bert)
    batch = ragged_batch([7, 2, 31], 250)
    ours.double()(batch).square().sum().backward()
    stock.double().train()(**padded_inputs(batch)).pooler_output.square().sum().backward()
    expected = dict(stock.named_parameters())
    assert {name for name, _ in ours.named_parameters()} == set(expected)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-10, rtol=1e-8, msg=name)


def test_bf16_stays_near_fp32(tiny_bert: Path):
    ours, _ = both_encoders(tiny_bert)
    batch = ragged_batch([9, 50], 250)
    with torch.inference_mode():
        exact = ours(batch)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = ours(batch)
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0)


def test_dropout_is_decided_by_seed_and_step():
    encoder, batch = random_encoder(BertConfig.from_dict(SIZES)), ragged_batch([9, 5])
    outputs = [
        encoder(batch, dropout) for dropout in (StepDropout(1, 1), StepDropout(1, 1), StepDropout(1, 2), StepDropout(2, 1))
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], outputs[3])
    assert not torch.allclose(outputs[0], encoder(batch))


def test_mode_of_the_modules_drops_nothing():
    encoder, batch = random_encoder(BertConfig.from_dict(SIZES)), ragged_batch([9, 5])
    assert torch.equal(encoder.train()(batch), encoder.eval()(batch))


def test_each_site_drops_other_values():
    """With equal values everywhere, a site shows in what it leaves."""
    config = BertConfig.from_dict(SIZES | {"hidden_dropout_prob": 0.5, "num_hidden_layers": 3})
    values, dropout = torch.ones(4, config.hidden_size), StepDropout(0, 1)
    numbers = [EMBEDDINGS_SITE, *(site for layer in range(3) for site in vars(layer_sites(layer)).values()), head_site(3)]
    assert len(set(numbers)) == len(numbers)
    masks = [dropped_tokens(values, dropout, site, 0.5) for site in numbers]
    for number, mask in enumerate(masks):
        assert not any(torch.equal(mask, other) for other in masks[:number])


@pytest.mark.parametrize("part", ["embeddings", "projection"])
def test_embeddings_and_projections_have_dropout_of_their_own(part: str):
    config = BertConfig.from_dict(SIZES | {"hidden_dropout_prob": 0.5})
    values = torch.randn(4, config.hidden_size)
    embeddings, projection = Embeddings(config), Output(config.hidden_size, config, layer_sites(0).attention)

    def output(dropout: StepDropout | None) -> torch.Tensor:
        return embeddings(ragged_batch([4]), dropout) if part == "embeddings" else projection(values, values, dropout)

    assert torch.equal(output(None), output(None))
    assert torch.equal(output(StepDropout(0, 1)), output(StepDropout(0, 1)))
    assert not torch.equal(output(StepDropout(0, 1)), output(None))
    assert not torch.equal(output(StepDropout(0, 1)), output(StepDropout(0, 1, tokens=1)))


@pytest.mark.parametrize("cuts", [(4, 8), (4,), (8,)], ids=str)
def test_step_cut_between_groups_is_the_step_uncut(cuts: tuple[int, ...]):
    batch = ragged_batch([60, 41, 33, 31, 17, 9, 9, 8, 3, 2, 1])
    encoder, dropout = random_encoder(BertConfig.from_dict(SIZES)).double(), StepDropout(3, 7)

    def run(rows: PackedBatch, dropout: StepDropout) -> torch.Tensor:
        pooled = encoder(rows, dropout)
        (pooled * row_weights(rows)).sum().backward()
        return pooled.detach()

    whole_output = run(batch, dropout)
    whole = gradients_of(encoder)
    encoder.zero_grad()
    outputs = []
    for first, end in zip((0, *cuts), (*cuts, len(batch)), strict=True):
        cut = rows_of(batch, first, end)
        outputs.append(run(cut, dropout))
        dropout = dropout.after(cut)
    torch.testing.assert_close(torch.cat(outputs), whole_output, atol=1e-12, rtol=0)
    assert_same_gradients(gradients_of(encoder), whole, within=1e-12)
