"""Encodings to logits: order kept, and a row says the same whatever stands beside it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from learnable_rows import learnable_rows
from surefit.config import ModelSettings
from surefit.inference.engine import BatchBudget, InferenceEngine, TextWindow, predict_logits, token_budgets
from surefit.model.dropout import StepDropout
from surefit.model.hardware import Hardware
from surefit.model.measured import Figure
from surefit.model.pretrained import load_pretrained
from surefit.progress import Progress
from surefit.text.packing import pack
from surefit.types import SINGLE_LABEL, LabelSchema
from tiny_models import write_tiny_stock

FP32 = Hardware(torch.device("cpu"), "fp32", 1)
BF16 = Hardware(torch.device("cpu"), "bf16", 1)


class Counter(Progress):
    def __init__(self):
        self.counts = []

    def advance(self, done):
        self.counts.append(done)


def prepared(directory, hardware, **how):
    """A classifier, and rows of very different length in no order of length."""
    pretrained = load_pretrained(str(directory), LabelSchema(SINGLE_LABEL, ("a", "b", "c")), ModelSettings(), seed=0)
    pretrained.classifier.prepare(hardware, **how)
    texts = [" ".join([text] * (1 + number * 7 % 5)) for number, (text, _) in enumerate(learnable_rows(30))]
    return pretrained.classifier, pretrained.tokenizer.encode(texts)


@pytest.fixture(scope="module", params=["fast", "plain", "stock"])
def model(request, tiny_bert, tmp_path_factory):
    if request.param != "stock":
        return prepared(tiny_bert, FP32, plain=request.param == "plain")
    classifier, encodings = prepared(write_tiny_stock(tmp_path_factory.mktemp("stock"), "distilbert"), FP32)
    with torch.no_grad():  # larger than they are drawn, so that no two rows have nearly the same logits
        for parameter in classifier.parameters():
            parameter *= 3 if parameter.ndim == 2 else 1
    return classifier, encodings


def test_each_row_alone_is_as_in_the_batch(model):
    classifier, encodings = model
    together = predict_logits(classifier, encodings)
    alone = np.concatenate([predict_logits(classifier, [encoding]) for encoding in encodings])
    assert (together.shape, together.dtype) == ((30, 3), np.float32)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) == 30


def test_the_order_is_that_of_the_encodings(model):
    classifier, encodings = model
    backwards = predict_logits(classifier, encodings[::-1])[::-1]
    np.testing.assert_allclose(predict_logits(classifier, encodings), backwards, atol=1e-5)


def test_the_token_budget_changes_nothing_but_the_batches(model):
    classifier, encodings = model
    counters = Counter(), Counter()
    wide = predict_logits(classifier, encodings, counters[0])
    few = BatchBudget()
    few.tokens = 64
    narrow = predict_logits(classifier, encodings, counters[1], few)
    np.testing.assert_allclose(wide, narrow, atol=1e-5)
    assert counters[0].counts == [30]
    assert len(counters[1].counts) > 5
    assert sum(counters[1].counts) == 30


def test_no_rows_have_no_logits(model):
    assert predict_logits(model[0], []).shape == (0, 3)


def test_dropout_is_off_even_in_a_model_in_training(model):
    classifier, encodings = model
    first = predict_logits(classifier, encodings)
    for _ in range(2):
        classifier.train()
        dropped = classifier(pack(encodings, np.arange(30)), StepDropout(seed=0, step=1)).detach().numpy()
        assert np.abs(dropped - first).max() > 1e-3
        assert (predict_logits(classifier, encodings) == first).all()


def test_predicting_asks_for_no_gradients(model):
    classifier, encodings = model
    classifier.zero_grad()
    predict_logits(classifier, encodings)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_the_fast_and_the_plain_way_say_the_same(tiny_bert):
    fast, plain = (predict_logits(*prepared(tiny_bert, FP32, plain=plain)) for plain in (False, True))
    np.testing.assert_allclose(fast, plain, atol=1e-5)


def test_bf16_says_about_the_same(tiny_bert):
    exact, rough = (predict_logits(*prepared(tiny_bert, hardware)) for hardware in (FP32, BF16))
    np.testing.assert_allclose(exact, rough, atol=0.02)
    assert (exact != rough).any()


@pytest.mark.parametrize("hardware", [FP32, BF16], ids=["fp32", "bf16"])
def test_several_threads_may_predict_with_one_model(tiny_bert, hardware):
    classifier, encodings = prepared(tiny_bert, hardware)
    shares = [encodings[first::4] * 5 for first in range(4)]
    expected = [predict_logits(classifier, share) for share in shares]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda share: predict_logits(classifier, share), shares * 10))
    assert all((logits == expected[number % 4]).all() for number, logits in enumerate(found))


def test_each_classifier_computes_with_its_own_threads(tiny_bert):
    one, encodings = prepared(tiny_bert, FP32)
    two, _ = prepared(tiny_bert, replace(FP32, threads=2))
    for classifier, threads in ((one, 1), (two, 2), (one, 1)):
        predict_logits(classifier, encodings)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(FP32.threads)


def computed_at_once(budget, lengths):
    return [batch.tolist() for batch in budget.batches(np.array(lengths))]


def test_few_rows_are_not_measured_with():
    budget = BatchBudget()
    for _ in range(3):
        assert sorted(row for batch in computed_at_once(budget, [50] * 100) for row in batch) == list(range(100))
    assert not budget.measured


def test_the_token_budget_is_measured_once_on_rows_that_are_computed_anyway():
    budget = BatchBudget()
    lengths = np.random.default_rng(0).integers(4, 100, 1500)
    usual = budget.tokens
    first = computed_at_once(budget, lengths)
    assert (budget.measured, budget.tokens) == (False, usual)
    second = computed_at_once(budget, lengths)
    assert budget.measured
    assert budget.tokens in BatchBudget().candidates
    chosen = budget.tokens
    third = computed_at_once(budget, lengths)
    assert budget.tokens == chosen
    for batches in (first, second, third):
        assert sorted(row for batch in batches for row in batch) == list(range(1500))
    sizes = {max(int(lengths[batch].max()) * len(batch) for batch in batches) for batches in (second, third)}
    assert max(sizes) <= max(BatchBudget().candidates)


def test_a_gpu_gets_larger_batches():
    gpu, cpu = (token_budgets(torch.device(name)) for name in ("cuda", "cpu"))
    assert min(gpu) >= max(cpu)
    assert BatchBudget(candidates=gpu).tokens == max(gpu)


def test_the_slow_budget_is_not_taken():
    budget = BatchBudget()
    lengths = np.full(1500, 50)
    computed_at_once(budget, lengths)
    narrow = min(BatchBudget().candidates) // 50
    for batch in budget.batches(lengths):
        time.sleep(0.05 if len(batch) <= narrow else 0.001)
    assert budget.tokens > min(BatchBudget().candidates)


@pytest.fixture
def figure(own_cache):
    return Figure("batch_tokens", torch.device("cpu"), 1)


def test_a_kept_budget_is_taken_from_the_first_row_on(figure):
    figure.keep(2048)
    budget = BatchBudget(figure)
    assert (budget.tokens, budget.measured) == (2048, True)
    assert max(map(len, computed_at_once(budget, [50] * 1500))) == 2048 // 50
    assert figure.kept() == 2048


@pytest.mark.parametrize("kept", [0, 1, 2047, 10**9, 2048.5])
def test_a_kept_budget_that_is_no_candidate_is_not_taken(figure, kept):
    figure.keep(kept)
    budget = BatchBudget(figure)
    assert (budget.tokens, budget.measured) == (BatchBudget().tokens, False)


def compute_with(budget, seconds_of):
    """Windows until the budget is measured, each batch as long as is said of its rows and of the batches before."""
    lengths, number = np.full(600, 50), 0
    while not budget.measured:
        for batch in budget.batches(lengths):
            time.sleep(seconds_of(len(batch), number))
            number += 1


def test_a_measured_budget_is_kept(figure):
    for _ in range(5):  # a machine that is very busy may disturb one
        budget = BatchBudget(figure)
        if not budget.measured:
            compute_with(budget, lambda rows, number: 0.03)
    assert figure.kept() == budget.tokens == max(BatchBudget().candidates)


def test_a_budget_whose_measurements_disagree_is_taken_but_not_kept(figure):
    budget = BatchBudget(figure)
    compute_with(budget, lambda rows, number: 0.001 * 1.1**number)
    assert budget.measured
    assert figure.kept() is None


def test_budgets_of_other_models_and_other_hardware_are_kept_apart(tiny_bert, tmp_path, own_cache):
    bert, distilbert = (prepared(path, FP32)[0] for path in (tiny_bert, write_tiny_stock(tmp_path, "distilbert")))
    kinds = [(bert, FP32), (bert, BF16), (distilbert, FP32), (bert, replace(FP32, threads=2))]
    BatchBudget.of(*kinds[0]).figure.keep(2048)
    assert [BatchBudget.of(*kind).measured for kind in kinds] == [True, False, False, False]


def test_windows_come_in_order_with_the_rows_that_could_not_be_used(tiny_bert):
    classifier, _ = prepared(tiny_bert, FP32)
    tokenizer = load_pretrained(str(tiny_bert), LabelSchema(SINGLE_LABEL, ("a", "b", "c")), ModelSettings(), seed=0).tokenizer
    texts = [text for text, _ in learnable_rows(40)]
    engine = InferenceEngine(classifier, tokenizer, BatchBudget())
    counter = Counter()
    windows = [TextWindow(["", "empty text"] * 5, texts[start : start + 5], None) for start in range(0, 40, 5)]
    windows.insert(3, TextWindow(["empty text"], [], None))
    found = list(engine.run(windows, lambda window: window, counter))
    assert [window for window, _ in found] == windows
    assert [answers.reasons for _, answers in found] == [window.reasons for window in windows]
    together = predict_logits(classifier, tokenizer.encode(texts))
    np.testing.assert_allclose(np.concatenate([answers.logits for _, answers in found]), together, atol=1e-5)
    assert sum(counter.counts) == 40
