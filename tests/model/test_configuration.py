from __future__ import annotations

import pytest

from surefit.errors import ModelError
from surefit.model.configuration import BertConfig, is_plain_bert


def test_what_a_config_leaves_out_is_as_in_bert_base():
    config = BertConfig.from_dict({"model_type": "bert"})
    assert (config.hidden_size, config.num_hidden_layers, config.head_dim) == (768, 12, 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "large"}, "hidden_size has a value of the wrong kind"),
        ({"hidden_size": True}, "hidden_size has a value of the wrong kind"),
        ({"hidden_size": 30}, "no multiple of num_attention_heads"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be 1 or more"),
        ({"hidden_size": 2**40}, "hidden_size is more than 65536"),
        ({"num_hidden_layers": 10**7}, "num_hidden_layers is more than 1000"),
        ({"vocab_size": 10**400}, "vocab_size is more than"),
        ({"initializer_range": float("inf")}, "initializer_range must be from 0 to 1"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be from 0 to 1"),
        ({"hidden_dropout_prob": 1}, "hidden_dropout_prob must be from 0 to 1"),
        ({"pad_token_id": 99_999}, "not in the vocabulary"),
        ({"is_decoder": True}, "is_decoder is set"),
        ({"add_cross_attention": True}, "add_cross_attention is set"),
        ({"position_embedding_type": "relative_key"}, "'relative_key' is not supported"),
    ],
)
def test_unusable_values_are_refused_by_name(changes: dict[str, object], message: str):
    with pytest.raises(ModelError, match=message):
        BertConfig.from_dict(changes)


def test_only_bert_with_a_known_activation_is_computed_here():
    assert is_plain_bert({"model_type": "bert"})
    assert not is_plain_bert({"model_type": "roberta"})
    assert not is_plain_bert({"model_type": "bert", "hidden_act": "mish"})
