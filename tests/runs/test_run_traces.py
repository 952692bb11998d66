"""The traces of a run: what they say of each stage, and the row that is carried through all of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from learnable_rows import LEARNING, learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory
from surefit.config import TrainingSettings
from surefit.runs.conclude import _ended
from surefit.runs.train import train
from surefit.trace import STAGE_SENTENCES, EpochTrace
from surefit.training.dynamics import TrainingDynamics
from surefit.training.state import TrainingState
from tiny_models import write_tiny_stock


@pytest.fixture(scope="module")
def run(trained_run):
    return RunDirectory(trained_run.directory)


@pytest.fixture(scope="module")
def stages(trained_run):
    return {stage.stage: stage for stage in trained_run.trace.pipeline.stages}


def test_the_stages_stand_in_their_order(trained_run):
    assert [stage.stage for stage in trained_run.trace.pipeline.stages] == list(STAGE_SENTENCES)
    names = {"first": "[CLS]", "last": "[SEP]"}
    assert all(stage.does == STAGE_SENTENCES[stage.stage].format(**names) for stage in trained_run.trace.pipeline.stages)


def test_the_rows_out_of_a_stage_are_the_rows_into_the_next(stages, run):
    preparing = [stages[name] for name in ("read", "clean", "labels", "duplicates", "split", "tokenise")]
    assert (preparing[0].rows_in, preparing[0].rows_out) == (170, 168)
    for before, after in pairwise(preparing):
        assert (before.rows_out, before.columns_out) == (after.rows_in, after.columns_in)
    splits = pd.Series([row["split"] for row in read_table(run.splits)]).value_counts()
    assert stages["pack"].rows_in == stages["train"].rows_out == splits["train"]
    assert stages["pack"].columns_in == stages["tokenise"].columns_out
    assert (stages["pack"].rows_out, stages["pack"].columns_out) == (stages["train"].rows_in, stages["train"].columns_in)
    assert stages["evaluate"].rows_in == stages["evaluate"].rows_out == stages["save"].rows_in == splits["test"]
    assert stages["train"].columns_out == stages["evaluate"].columns_in
    assert stages["evaluate"].columns_out == stages["save"].columns_in
    assert {"class id", "split"} <= set(stages["tokenise"].columns_out) & set(stages["tokenise"].columns_in)


def test_where_the_rows_of_stages_differ_a_note_says_why(stages, run):
    counts = pd.Series([row["split"] for row in read_table(run.splits)]).value_counts()
    train_rows, tokens = f"{counts['train']} training rows", f"{stages['pack'].rows_out:,} tokens"
    notes = {name: " ".join(stage.notes) for name, stage in stages.items()}
    assert "id, text, label and group stay behind: the model learns class ids from token ids" in notes["tokenise"]
    assert f"in are the {train_rows} of all {stages['tokenise'].rows_out}" in notes["pack"]
    assert f"out is one row for each of their {tokens}" in notes["pack"]
    assert f"in are the {tokens} of the {train_rows}; out are the logits of each of these rows" in notes["train"]
    assert f"in are the logits of the {counts['test']} test rows" in notes["evaluate"]
    assert f"the {counts['validation']} validation rows chose the epoch" in notes["evaluate"]
    for written in (run.model, run.predictions, run.metrics, run.trace, run.model_card):
        assert written.name in notes["save"]


def test_the_saving_of_packing_is_against_every_row_padded(stages):
    pack = stages["pack"]
    share = 1 - pack.rows_out / (128 * pack.rows_in)
    assert f"{share:.0%} fewer tokens than with every row padded to 128" in pack.notes


@pytest.mark.parametrize("patience", [1, 2])
def test_an_early_stop_says_how_many_epochs_were_no_better(patience):
    figures = [0.5, 0.7, *[0.6] * patience]
    epochs = [EpochTrace(number, 0.5, 0.5, 0.7, f1, observation="", seconds=0.0) for number, f1 in enumerate(figures, 1)]
    dynamics = TrainingDynamics.blank(9, 1)
    ended = _ended(TrainingState(dynamics, epochs=epochs), TrainingSettings(epochs=9, patience=patience))
    assert ended == (
        f"Stopped early after {2 + patience} of 9 epochs: {patience} brought no better macro F1. "
        "The weights of epoch 2, the best on the validation rows, are kept."
    )
    assert _ended(TrainingState(dynamics, epochs=epochs[:2]), TrainingSettings(epochs=2)).startswith(
        "Ended after 2 of 2 epochs, as asked."
    )


def test_one_test_row_is_carried_through_all_stages(stages, run, learnable_csv):
    example = {name: stage.example for name, stage in stages.items()}
    line = example["read"]["line"]
    row = read_table(learnable_csv)[line - 2]
    predictions = {entry["id"]: entry for entry in read_table(run.predictions)}
    said = predictions[row["id"]]
    assert (example["read"]["text"], example["read"]["label"]) == (row["text"], row["label"])
    assert example["clean"]["text"] == row["text"]
    assert example["labels"]["class id"] == ("bad", "good").index(row["label"])
    assert example["split"]["split"] == "test"
    assert example["tokenise"]["tokens"] == ["[CLS]", *row["text"].split(), "[SEP]"]
    assert example["tokenise"]["tokens cut off"] == 0
    assert (example["evaluate"]["prediction"], example["evaluate"]["truth"]) == (said["prediction"], said["label"])
    assert example["evaluate"]["probability"] == pytest.approx(float(said[f"probability_{said['prediction']}"]), abs=1e-4)
    logits = np.array(example["train"]["logits"])
    assert np.exp(logits.max()) / np.exp(logits).sum() == pytest.approx(example["evaluate"]["probability"], abs=1e-3)


def test_the_carried_row_is_one_of_median_length(stages, run, learnable_csv):
    texts = {row["id"]: row for row in read_table(learnable_csv)}
    lengths = [len(texts[row["id"]]["text"].split()) for row in read_table(run.predictions)]
    carried = len(stages["clean"].example["text"].split())
    assert carried == sorted(lengths)[len(lengths) // 2]
    assert carried not in (lengths[0], min(lengths), max(lengths))  # which a fixed place would have shown


def test_the_carried_row_has_no_personal_data_where_one_row_has_none(tiny_bert, tmp_path):
    rows = [
        (f"{text} {f'jane{number}@example.org' if number % 4 else 'and good bye'}", label)
        for number, (text, label) in enumerate(learnable_rows(160))
    ]
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    run = train(data, tmp_path / "run", model=tiny_bert, **LEARNING)
    example = next(stage.example for stage in run.trace.pipeline.stages if stage.stage == "clean")
    assert example["text"].endswith("and good bye")
    assert not any("jane" in path.read_text("utf8") for path in (run.directory / "trace.json", run.directory / "audit.json"))


def test_the_packed_example_has_ids_and_a_mask_that_hides_the_padding(stages):
    tokens, packed = stages["tokenise"].example["tokens"], stages["pack"].example
    assert len(packed["input_ids"]) == len(packed["attention_mask"]) == len(packed["tokens, padded"]) > len(tokens)
    assert packed["attention_mask"] == [1] * len(tokens) + [0] * (len(packed["input_ids"]) - len(tokens))
    assert packed["tokens, padded"][: len(tokens)] == tokens
    assert set(packed["tokens, padded"][len(tokens) :]) == {"[PAD]"}
    assert packed["the padding"].endswith("SureFit's own BERT skips it")


def test_padding_is_shown_and_explained_where_no_row_of_the_run_is_padded(tmp_path):
    """Every text has three words; the model is of another family, which pads."""
    rows = [(" ".join(text.split()[-3:]), label) for text, label in learnable_rows(60)]
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    base = write_tiny_stock(tmp_path / "base", "distilbert")
    trace = train(data, tmp_path / "run", model=base, **LEARNING | {"epochs": 1}).trace
    (pack,) = (stage for stage in trace.pipeline.stages if stage.stage == "pack")
    assert pack.example["attention_mask"] == [1] * 5 + [0] * 2
    assert pack.example["tokens, padded"][-2:] == ["[PAD]"] * 2
    assert pack.example["the padding"].endswith("the mask hides it from attention")
    assert not any("fewer tokens" in note for note in pack.notes)
