"""Parity with Hugging Face's BertModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from surefit.model.checkpoints import read_object, read_tensors
from surefit.model.configuration import BertConfig
from surefit.model.encoder import BertEncoder, Embeddings, Output
from surefit.types import Encoding, PackedBatch
from tiny_models import write_tiny_bert


def ragged_batch(lengths: list[int], vocabulary: int, types: int = 2) -> PackedBatch:
    generator = np.random.default_rng(0)
    encodings = [
        Encoding(
            generator.integers(1, vocabulary, length, dtype=np.int32),
            np.sort(generator.integers(0, types, length, dtype=np.int32)),
            0,
        )
        for length in lengths
    ]
    return PackedBatch.from_encodings(encodings, np.arange(len(lengths)))


def row_alone(batch: PackedBatch, row: int) -> PackedBatch:
    tokens = slice(batch.cu_seqlens[row], batch.cu_seqlens[row + 1])
    encoding = Encoding(batch.input_ids[tokens].astype(np.int32), batch.token_type_ids[tokens].astype(np.int32), 0)
    return PackedBatch.from_encodings([encoding], np.array([row]))


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


def padded_inputs(batch: PackedBatch) -> dict[str, torch.Tensor]:
    padded = batch.to_padded(0)
    return {name: torch.from_numpy(getattr(padded, name)) for name in ("input_ids", "token_type_ids", "attention_mask")}


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
        alone = torch.cat([ours(row_alone(batch, row)) for row in range(len(batch))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_gradients_are_those_of_hugging_face(tiny_bert: Path):
    ours, stock = both_encoders(tiny_bert)
    batch = ragged_batch([7, 2, 31], 250)
    ours.double().train()(batch).square().sum().backward()
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


def test_dropout_is_decided_by_the_seed_and_off_in_evaluation(tiny_bert: Path):
    encoder = BertEncoder(BertConfig.from_dict(read_object(tiny_bert / "config.json")))
    batch = ragged_batch([9, 5], 250)

    def output(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return encoder(batch)

    encoder.train()
    assert torch.equal(output(1), output(1))
    assert not torch.equal(output(1), output(2))
    encoder.eval()
    assert torch.equal(output(1), output(2))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("part", ["embeddings", "projection"])
def test_embeddings_and_projections_have_dropout_of_their_own(tiny_bert: Path, part: str, training: bool):
    config = BertConfig.from_dict(read_object(tiny_bert / "config.json") | {"hidden_dropout_prob": 0.5})
    values = torch.ones(4, config.hidden_size)
    embeddings, projection = Embeddings(config).train(training), Output(config.hidden_size, config).train(training)

    def output(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return embeddings(ragged_batch([4], 250)) if part == "embeddings" else projection(values, values)

    assert torch.equal(output(1), output(1))
    assert torch.equal(output(1), output(2)) == (not training)
