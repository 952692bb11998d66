from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from surefit.errors import UsageError
from surefit.model.heads import choose_head, logit_count, one_row, present_logits, two_rows, weighted_loss_sum
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))
THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
MULTI = LabelSchema(MULTI_LABEL, ("a", "b", "c"))


def test_softmax_is_the_head_of_one_label_a_row_and_sigmoid_of_several():
    assert (choose_head(TWO, None), choose_head(THREE, None), choose_head(MULTI, None)) == ("softmax", "softmax", "sigmoid")
    assert choose_head(TWO, "sigmoid") == "sigmoid"


def test_heads_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(UsageError, match="there are 3"):
        choose_head(THREE, "sigmoid")
    with pytest.raises(UsageError, match="several labels"):
        choose_head(MULTI, "softmax")


def test_number_of_logits():
    assert [logit_count(TWO, "softmax"), logit_count(TWO, "sigmoid"), logit_count(MULTI, "sigmoid")] == [2, 1, 3]


def test_one_logit_is_presented_as_an_equal_pair():
    outputs = torch.tensor([[-2.0], [0.0], [3.5]], dtype=torch.bfloat16)
    logits = present_logits(outputs, TWO, "sigmoid")
    assert logits.dtype == torch.float32
    torch.testing.assert_close(torch.softmax(logits, dim=1)[:, 1:], torch.sigmoid(outputs.float()))


def test_cross_entropy_of_the_pair_is_binary_cross_entropy_of_the_logit():
    torch.manual_seed(0)
    outputs = torch.randn(50, 1, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 2, (50,))
    expected = functional.binary_cross_entropy_with_logits(outputs[:, 0].float(), targets.float(), reduction="sum")
    loss = weighted_loss_sum(present_logits(outputs, TWO, "sigmoid"), targets, torch.ones(50), SINGLE_LABEL)
    torch.testing.assert_close(loss, expected)


def test_two_rows_of_a_head_give_the_presented_pair():
    torch.manual_seed(0)
    weight, bias, states = torch.randn(1, 4), torch.randn(1), torch.randn(5, 4)
    pair = functional.linear(states, two_rows(weight), two_rows(bias))
    torch.testing.assert_close(pair, present_logits(functional.linear(states, weight, bias), TWO, "sigmoid"))
    assert torch.equal(one_row(two_rows(weight)), weight)


def test_loss_is_the_weighted_sum_over_rows():
    logits, targets = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), torch.tensor([0, 2])
    each = functional.cross_entropy(logits, targets, reduction="none")
    loss = weighted_loss_sum(logits, targets, torch.tensor([1.0, 3.0]), SINGLE_LABEL)
    torch.testing.assert_close(loss, each[0] + 3 * each[1])


def test_loss_of_several_labels_is_the_mean_over_classes():
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 3), torch.randint(0, 2, (4, 3))
    loss = weighted_loss_sum(logits, targets, torch.ones(4), MULTI_LABEL)
    torch.testing.assert_close(loss / 4, functional.binary_cross_entropy_with_logits(logits, targets.float()))
