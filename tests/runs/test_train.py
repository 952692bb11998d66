"""The recipe from end to end: every file of a run, and that they agree with each other."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch.testing import assert_close

from learnable_rows import LEARNING, learnable_rows, read_table, without_timings, write_table
from surefit.artifacts import RunDirectory, read_json, sha256_of
from surefit.config import Settings
from surefit.data.leaks import LEAK_KINDS
from surefit.errors import UsageError
from surefit.model.int8_products import int8_is_exact
from surefit.progress import Progress
from surefit.runs.fine_tune import _row_weights
from surefit.runs.train import open_run, train
from tiny_models import write_tiny_stock

FIGURES = {"precision", "recall", "f1"}
RESULT = {"accuracy", "macro", "weighted", "per_class", "confusion_matrix", "n", "answered", "loss", "intervals"}
EVIDENCE = {"verdict", "baselines", "data_map", "calibration", "thresholds", "overfitting", "learning_curve", "label_issues"}
QUICK = LEARNING | {"epochs": 1}


@pytest.fixture(scope="module")
def run(trained_run):
    return RunDirectory(trained_run.directory)


def probabilities_in(run):
    rows = read_table(run.predictions)
    names = [name for name in rows[0] if name.startswith("probability_")]
    return rows, np.array([[float(row[name]) for name in names] for row in rows])


def pipeline_probabilities(run, inputs):
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(run.model), top_k=None, truncation=True)
    classes = list(read_json(run.settings)["classes"])
    found = [{entry["label"]: entry["score"] for entry in answer} for answer in classify(inputs)]
    return np.array([[scores[name] for name in classes] for scores in found])


def texts_by_id(file):
    return {row["id"]: row for row in read_table(file)}


def log_of(run):
    return [json.loads(line) for line in run.training_log.read_text(encoding="utf-8").splitlines()]


def test_a_run_has_exactly_the_files_it_promises(run):
    on_request = {run.refits.name}
    assert {path.name for path in run.path.iterdir()} == {entry.name for entry in run.entries} - on_request


def test_a_finished_run_keeps_one_checkpoint_and_it_is_the_last(run):
    (checkpoint,) = run.checkpoints.iterdir()
    assert read_json(checkpoint / "state.json")["state"]["step"] == read_json(run.metrics)["training"]["steps"]


@pytest.mark.parametrize("name", ["settings", "metrics", "trace", "audit"])
def test_every_json_file_says_its_schema_version(run, name):
    assert read_json(getattr(run, name))["schema_version"] == 1


def test_settings_hold_all_that_decides_the_result(run, learnable_csv, tiny_bert):
    facts = read_json(run.settings)
    given = Settings.from_options(LEARNING | {"model": tiny_bert, "id": "id"})
    assert facts["settings"] == json.loads(json.dumps(given.to_dict()))
    assert facts["data"]["train"]["sha256"] == sha256_of(learnable_csv)
    assert facts["columns"] == {"id": "id", "text": "text", "label": "label"}
    assert (facts["classes"], facts["head"], facts["max_length"]) == (["bad", "good"], "softmax", 128)
    assert facts["base_model"] == str(tiny_bert)
    assert {"classifier.weight", "classifier.bias"} <= set(facts["new_parameters"])
    assert (facts["machine"]["threads"], facts["machine"]["precision"]) == (1, "fp32")
    assert {"python", "surefit", "torch", "numpy"} <= facts["versions"].keys()


def test_metrics_have_the_promised_keys(run):
    metrics = read_json(run.metrics)
    assert set(metrics) == EVIDENCE | {"schema_version", "leaks", "test", "validation", "training"}
    for name in ("test", "validation"):
        result = metrics[name]
        assert set(result) == RESULT
        assert set(result["macro"]) == set(result["weighted"]) == FIGURES
        assert {label: set(figures) for label, figures in result["per_class"].items()} == dict.fromkeys(
            ("bad", "good"), FIGURES | {"support"}
        )
    assert set(metrics["baselines"]) == {"majority", "tfidf_logistic_regression", "embedding_logistic_regression"}


def test_it_learns_and_beats_the_majority(trained_run):
    metrics = trained_run.metrics
    assert metrics["test"]["accuracy"] >= 0.8 > metrics["baselines"]["majority"]["accuracy"]


def test_what_train_returns_is_what_the_files_hold(trained_run, run):
    assert read_json(run.metrics) == {"schema_version": 1} | json.loads(json.dumps(trained_run.metrics))
    assert open_run(run.path).trace == trained_run.trace


def test_the_log_has_a_line_for_each_step_and_each_epoch(run, trained_run):
    lines = log_of(run)
    steps = [line for line in lines if line["event"] == "step"]
    evaluations = [line for line in lines if line["event"] == "evaluation"]
    assert len(lines) == len(steps) + len(evaluations)
    assert {tuple(line) for line in steps} == {("event", "step", "epoch", "loss", "learning_rate", "rows", "tokens", "seconds")}
    figures = ("epoch", "training_loss", "validation_loss", "accuracy", "macro_f1", "observation", "seconds")
    assert {tuple(line) for line in evaluations} == {("event", *figures)}
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert [line["loss"] for line in steps] == list(trained_run.trace.training.step_losses)
    assert [line["epoch"] for line in evaluations] == [epoch.epoch for epoch in trained_run.trace.training.epochs]
    assert len(steps) == trained_run.metrics["training"]["steps"]


def test_the_kept_epoch_is_the_one_that_was_evaluated(trained_run):
    training, metrics = trained_run.trace.training, trained_run.metrics
    kept = training.epochs[training.best_epoch - 1]
    assert kept.macro_f1 == max(epoch.macro_f1 for epoch in training.epochs)
    assert metrics["training"] == {
        "from_run": False,
        "epochs": len(training.epochs),
        "best_epoch": training.best_epoch,
        "steps": len(training.step_losses),
    }
    # The temperature is fitted to these rows, and taken only where it makes their loss less.
    assert (metrics["calibration"]["temperature"] == 1) == (
        metrics["validation"]["loss"] == pytest.approx(kept.validation_loss)
    )
    assert metrics["validation"]["loss"] <= kept.validation_loss * (1 + 1e-6)
    assert metrics["validation"]["accuracy"] == kept.accuracy


def test_the_audit_accounts_for_every_record(run):
    audit = read_json(run.audit)
    assert (audit["records"], audit["used"], audit["rejected"]) == (170, 168, 2)
    assert audit["rejected_by_reason"] == {"empty text": 1, "missing label": 1}
    assert {entry["label"]: entry["rows"] for entry in audit["classes"]} == {"bad": 84, "good": 84}
    assert audit["duplicates"]["groups"] >= 8
    assert (audit["leaks"], audit["truncated"], audit["max_length"]) == (dict.fromkeys((*LEAK_KINDS, "earlier_run"), 0), 0, 128)


def test_rejected_records_stand_with_line_and_reason(run):
    assert read_table(run.rejected) == [
        {"file": "reviews.csv", "record": "169", "line": "170", "id": "r169", "reason": "empty text", "given_as": "data"},
        {"file": "reviews.csv", "record": "170", "line": "171", "id": "r170", "reason": "missing label", "given_as": "data"},
    ]


def test_every_used_row_stands_in_one_split_in_the_file_s_order(run):
    rows = read_table(run.splits)
    assert [row["id"] for row in rows] == [f"r{number}" for number in range(1, 169)]
    shares = pd.Series([row["split"] for row in rows]).value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.8, abs=0.03)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)
    assert shares["test"] == pytest.approx(0.1, abs=0.02)


def test_no_text_stands_in_two_splits(run, learnable_csv):
    rows, texts = read_table(run.splits), texts_by_id(learnable_csv)
    seen = pd.DataFrame(
        [(texts[row["id"]]["text"], row["group"], row["split"]) for row in rows], columns=["text", "group", "split"]
    )
    assert (seen.groupby("group").split.nunique() == 1).all()
    assert (seen.groupby("text").group.nunique() == 1).all()
    assert seen.group.nunique() <= seen.text.nunique() < len(seen)


def test_predictions_are_those_of_the_test_rows_and_make_up_the_metrics(run, learnable_csv, trained_run):
    rows, probabilities = probabilities_in(run)
    assert list(rows[0]) == ["id", "label", "prediction", "probability_bad", "probability_good"]
    assert [row["id"] for row in rows] == [row["id"] for row in read_table(run.splits) if row["split"] == "test"]
    truth = [row["label"] for row in rows]
    predicted = [row["prediction"] for row in rows]
    assert truth == [texts_by_id(learnable_csv)[row["id"]]["label"] for row in rows]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert predicted == [("bad", "good")[best] for best in probabilities.argmax(axis=1)]
    test = trained_run.metrics["test"]
    assert test["n"] == len(rows)
    assert test["accuracy"] == accuracy_score(truth, predicted)
    assert test["macro"]["f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert test["confusion_matrix"] == confusion_matrix(truth, predicted).tolist()
    likelihoods = probabilities[np.arange(len(rows)), [("bad", "good").index(label) for label in truth]]
    assert test["loss"] == pytest.approx(-np.log(likelihoods).mean(), rel=1e-6)


def test_the_saved_model_gives_the_probabilities_of_the_run_and_so_do_stock_tools(run, trained_run, learnable_csv):
    rows, probabilities = probabilities_in(run)
    texts = [texts_by_id(learnable_csv)[row["id"]]["text"] for row in rows]
    ours = trained_run.load(precision="fp32", threads=1).predict_proba(texts)
    np.testing.assert_allclose(ours, probabilities, atol=1e-5)
    np.testing.assert_allclose(pipeline_probabilities(run, texts), probabilities, atol=1e-5)


def best_weights(run):
    """Those of the best epoch, from the last checkpoint."""
    (checkpoint,) = run.checkpoints.iterdir()
    return load_file(checkpoint / "best.safetensors")


def test_the_saved_model_holds_the_weights_of_the_best_epoch_with_the_temperature_in_the_last_layer(run, trained_run):
    saved, best = load_file(run.model / "model.safetensors"), best_weights(run)
    temperature = trained_run.metrics["calibration"]["temperature"]
    for name in ("classifier.weight", "classifier.bias"):
        assert_close(saved.pop(name), best.pop(name) / temperature)
    assert_close(saved, best, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(run, learnable_csv, tiny_bert, tmp_path):
    options = LEARNING | {"model": tiny_bert, "id": "id"}
    again = RunDirectory(train(learnable_csv, tmp_path / "again", **options).directory)
    assert (again.model / "model.safetensors").read_bytes() == (run.model / "model.safetensors").read_bytes()
    for name in ("predictions", "splits", "audit", "rejected"):
        assert getattr(again, name).read_text() == getattr(run, name).read_text()
    for name in ("metrics", "trace", "settings"):
        assert without_timings(getattr(again, name)) == without_timings(getattr(run, name))
    other = train(learnable_csv, tmp_path / "other", seed=1, **options | {"epochs": 1})
    assert read_table(RunDirectory(other.directory).splits) != read_table(run.splits)


FORMULA, SCRIPT = '=HYPERLINK("x")', "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def hostile_run(tiny_bert, tmp_path_factory):
    """A run whose ids, labels and texts are formulas and markup."""
    directory = tmp_path_factory.mktemp("hostile")
    labels = {"good": FORMULA, "bad": SCRIPT}
    rows = [(f"-{n}", f"=1+{n} {SCRIPT} {text}", labels[label]) for n, (text, label) in enumerate(learnable_rows(60), 1)]
    rows.append(("@me", "", FORMULA))
    data = write_table(directory / "=data.csv", ("id", "text", "label"), rows)
    return train(data, directory / "run", model=tiny_bert, id="id", **QUICK)


def test_no_cell_of_any_csv_is_run_by_a_spreadsheet(hostile_run):
    files = sorted(hostile_run.directory.glob("*.csv"))
    own = {
        "label_issues.csv",
        "leaks.csv",
        "mistakes.csv",
        "predictions.csv",
        "rejected.csv",
        "splits.csv",
        "training_examples.csv",
        "training_rows.csv",
    }
    assert {file.name for file in files} == own
    for file in files:
        cells = [cell for row in pd.read_csv(file, header=None, dtype=str).values for cell in row]
        assert not [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell)], file.name
        if file.name not in ("leaks.csv", "label_issues.csv"):  # nothing leaks where no file is given, or may be doubted
            assert [cell for cell in cells if cell.startswith("'")]


def test_markup_in_texts_and_labels_is_escaped_where_a_run_shows_itself(hostile_run):
    shown = hostile_run._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_markup_in_labels_is_escaped_in_the_model_card(hostile_run):
    card = RunDirectory(hostile_run.directory).model_card.read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<script", card)
    assert r"\<script\>" in card


def test_labels_are_themselves_in_json_and_model(hostile_run):
    assert list(hostile_run.metrics["test"]["per_class"]) == sorted([FORMULA, SCRIPT])
    assert hostile_run.load(precision="fp32", threads=1).classes == tuple(sorted([FORMULA, SCRIPT]))


def test_pairs_with_the_sigmoid_head_agree_with_stock_tools(tiny_bert, tmp_path):
    rows = [(text[:9], text, label) for text, label in learnable_rows(80)]
    data = write_table(tmp_path / "pairs.csv", ("text", "text_pair", "label"), rows)
    run = RunDirectory(train(data, tmp_path / "run", model=tiny_bert, text_pair="text_pair", head="sigmoid", **QUICK).directory)
    predictions, probabilities = probabilities_in(run)
    inputs = [{"text": rows[int(row["id"]) - 1][0], "text_pair": rows[int(row["id"]) - 1][1]} for row in predictions]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(pipeline_probabilities(run, inputs), probabilities, atol=1e-5)
    assert read_json(run.settings)["head"] == "sigmoid"
    assert read_json(run.settings)["columns"]["text_pair"] == "text_pair"
    assert "text_pair" in open_run(run.path).trace.pipeline.stages[0].example


def test_sigmoid_needs_two_classes(tiny_bert, tmp_path):
    data = write_table(tmp_path / "rows.csv", ("text", "label"), [(f"good {n}", "abc"[n % 3]) for n in range(60)])
    with pytest.raises(UsageError, match="--head sigmoid has one logit for two classes, but there are 3"):
        train(data, tmp_path / "run", model=tiny_bert, head="sigmoid", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_run_is_trained_on_with_its_classes_and_its_head(trained_run, tmp_path):
    data = write_table(tmp_path / "more.csv", ("text", "label"), learnable_rows(60, seed=9))
    on = train(data, tmp_path / "run", model=trained_run.directory, **QUICK)
    assert on.load(precision="fp32", threads=1).classes == ("bad", "good")
    assert read_json(RunDirectory(on.directory).settings)["new_parameters"] == []
    assert on.trace.training.epochs[0].training_loss < 0.6 < trained_run.trace.training.epochs[0].training_loss


def test_a_distilbert_is_trained_and_agrees_with_stock_tools(tmp_path):
    model = write_tiny_stock(tmp_path / "distilbert", "distilbert")
    rows = learnable_rows(60)
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    trained = train(data, tmp_path / "run", model=model, **QUICK)
    run = RunDirectory(trained.directory)
    saved = {f"model.{name}": tensor for name, tensor in load_file(run.model / "model.safetensors").items()}
    assert_close(saved, best_weights(run), rtol=0, atol=0)
    predictions, probabilities = probabilities_in(run)
    texts = [rows[int(row["id"]) - 1][0] for row in predictions]
    np.testing.assert_allclose(trained.load(precision="fp32", threads=1).predict_proba(texts), probabilities, atol=1e-5)
    np.testing.assert_allclose(pipeline_probabilities(run, texts), probabilities, atol=1e-5)


def test_a_frame_is_trained_on_like_a_file(tiny_bert, tmp_path):
    frame = pd.DataFrame(learnable_rows(60), columns=["review", "stars"])
    run = RunDirectory(
        train(frame, tmp_path / "run", test=frame.head(6), text="review", label="stars", model=tiny_bert, **QUICK).directory
    )
    prints = read_json(run.settings)["data"]
    assert (prints["train"]["rows"], prints["test"]["rows"]) == (60, 6)
    assert prints["train"]["sha256"] != prints["test"]["sha256"]
    assert read_json(run.audit)["records"] == 60


@pytest.mark.parametrize("targets", [[0, 1, 1, 1, 2, 2], [2, 0, 1]])
def test_balanced_weights_are_scikit_learn_s(targets):
    by_class = compute_class_weight("balanced", classes=np.arange(3), y=np.array(targets))
    np.testing.assert_allclose(_row_weights(np.array(targets), 3, "balanced"), by_class[targets])
    assert _row_weights(np.array(targets), 3, "none").tolist() == [1.0] * len(targets)


def test_balanced_classes_change_the_loss_of_uneven_ones(tiny_bert, tmp_path):
    rows = [row for number, row in enumerate(learnable_rows(90)) if row[1] == "bad" or number % 3 == 0]
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    losses = [
        train(data, tmp_path / name, model=tiny_bert, class_weight=name, **QUICK).trace.training.step_losses
        for name in ("none", "balanced")
    ]
    assert losses[0] != losses[1]


def test_an_unknown_setting_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        train(tmp_path / "missing.csv", tmp_path / "run", epoch=1)


def test_progress_hears_of_the_work(tiny_bert, tmp_path):
    class Hears(Progress):
        def __init__(self):
            self.begun, self.steps, self.epochs = [], 0, 0

        def begin(self, what, total):
            self.begun.append(what)

        def step(self, record, total_steps):
            self.steps += 1

        def epoch(self, epoch):
            self.epochs += 1

    data = write_table(tmp_path / "rows.csv", ("text", "label"), learnable_rows(40))
    hears = Hears()
    train(data, tmp_path / "run", model=tiny_bert, progress=hears, **QUICK)
    assert (hears.steps, hears.epochs) == (8, 1)
    assert {"read rows.csv", "clean", "tokenise", "validate", "evaluate", "baselines"} <= set(hears.begun)
    assert ("check int8" in hears.begun) == int8_is_exact()
