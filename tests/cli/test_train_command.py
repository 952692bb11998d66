"""`surefit train`: from a file to a run, its outputs apart, and on again after an interruption."""

import json
import os
import signal
import subprocess
import time

import pytest
from surefit_command import assert_refused, run_here, start_program

from learnable_rows import LEARNING, learnable_rows, write_table
from surefit.artifacts import RunDirectory
from surefit.config import Settings

FLAGS = [text for name, value in LEARNING.items() for text in (f"--{name.replace('_', '-')}", str(value))]
SHORT = ["--epochs", "1", "--precision", "fp32", "--threads", "1"]


def train(data, run, model, *flags):
    return run_here("train", data, "--run", run, "--model", model, *flags)


def log_of(run):
    """The training log without its clock."""
    lines = (run / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def settings_of(run):
    return json.loads((run / "settings.json").read_text(encoding="utf-8"))["settings"]


class TestOutputs:
    def test_json_is_one_object_with_metrics_and_traces(self, learnable_csv, tiny_bert, tmp_path):
        outcome = train(learnable_csv, tmp_path / "run", tiny_bert, *SHORT, "--json", "--quiet")
        answer = outcome.json()
        assert outcome.err == ""
        assert answer["run"] == str(tmp_path / "run")
        written = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
        assert answer["metrics"] == written
        assert len(answer["trace"]["training"]["epochs"]) == 1

    def test_a_verdict_that_is_required_decides_the_exit_code(self, learnable_csv, tiny_bert, tmp_path):
        outcome = train(learnable_csv, tmp_path / "run", tiny_bert, *SHORT, "--require", "good", "--json")
        grade = json.loads(outcome.out)["metrics"]["verdict"]["grade"]
        assert (outcome.status, grade) == (1, "not reliable")  # one short epoch teaches it nothing
        assert f"error: the verdict on {tmp_path / 'run'} is not reliable, not good: " in outcome.err
        assert (tmp_path / "run" / "metrics.json").is_file()
        assert_refused(train(learnable_csv, tmp_path / "other", tiny_bert, "--require", "perfect"), "--require must be 'good'")
        assert not (tmp_path / "other").exists()

    def test_settings_come_from_a_file_too(self, learnable_csv, tiny_bert, tmp_path):
        config = tmp_path / "settings.toml"
        config.write_text('epochs = 1\n[decision]\npositive = "good"\nbest_f1 = true\n', encoding="utf-8")
        flags = ["--precision", "fp32", "--threads", "1", "--config", str(config)]
        assert train(learnable_csv, tmp_path / "run", tiny_bert, *flags).status == 0
        assert settings_of(tmp_path / "run")["decision"]["positive"] == "good"
        config.write_text("epoch = 1", encoding="utf-8")
        assert_refused(train(learnable_csv, tmp_path / "other", tiny_bert, *flags), "did you mean 'epochs'")

    def test_results_and_prose_go_their_own_ways(self, learnable_csv, tiny_bert, tmp_path):
        outcome = train(learnable_csv, tmp_path / "run", tiny_bert, *SHORT)
        assert outcome.status == 0
        for said in (
            "Pipeline trace",
            "One example carried",
            "Loss by step",
            "Training trace",
            "Confusion matrix",
            "worth it?",
        ):
            assert said in outcome.out
            assert said not in outcome.err
        for said in ("epoch 1: training loss", "The run is in", "surefit predict"):
            assert said in outcome.err
            assert said not in outcome.out

    def test_quiet_says_nothing_and_writes_everything(self, learnable_csv, tiny_bert, tmp_path):
        outcome = train(learnable_csv, tmp_path / "run", tiny_bert, *SHORT, "--quiet")
        assert (outcome.status, outcome.err) == (0, "")
        run = RunDirectory(tmp_path / "run")
        files = (run.settings, run.metrics, run.trace, run.training_log, run.audit, run.rejected, run.splits)
        for file in (*files, run.predictions, run.model_card, run.model / "model.safetensors"):
            assert file.is_file(), file

    def test_a_run_without_a_name_gets_one_of_data_and_time(self, learnable_csv, tiny_bert, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run = run_here("train", learnable_csv, "--model", tiny_bert, *SHORT, "--json", "--quiet").json()["run"]
        assert run.startswith(os.path.join("runs", "reviews-"))
        assert (tmp_path / run / "metrics.json").is_file()


class TestFlags:
    def test_every_flag_reaches_its_setting(self, tiny_bert, tmp_path):
        rows = [(f"{text} {number}", label) for number, (text, label) in enumerate(learnable_rows(60))]
        data = write_table(tmp_path / "rows.csv", ("review", "stars"), [*rows, ("a story", "rare")])
        given = {
            "text": "review",
            "label": "stars",
            "encoding": "utf-8",
            "delimiter": ",",
            "quote": "'",
            "head": "sigmoid",
            "min_rows_per_class": 2,
            "validation_size": 0.2,
            "test_size": 0.3,
            "seed": 7,
            "epochs": 2,
            "learning_rate": 0.0005,
            "batch_size": 8,
            "max_length": 32,
            "weight_decay": 0.02,
            "warmup_share": 0.2,
            "max_grad_norm": 2.0,
            "patience": 1,
            "class_weight": "balanced",
            "max_batch_tokens": 64,
            "device": "cpu",
            "threads": 1,
            "precision": "fp32",
        }
        flags = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        outcome = train(data, tmp_path / "run", tiny_bert, *flags, "--json", "--quiet")
        assert outcome.json()["metrics"]["test"]["n"] == 18
        assert settings_of(tmp_path / "run") == Settings.from_options(given | {"model": str(tiny_bert)}).to_dict()

    def test_validation_and_test_files_are_used_as_given(self, learnable_csv, tiny_bert, tmp_path):
        rows = [(f"{text} again", label) for text, label in learnable_rows(30, seed=1)]
        validation = write_table(tmp_path / "validation.csv", ("text", "label"), rows[:10])
        test = write_table(tmp_path / "test.csv", ("text", "label"), rows[10:])
        files = ["--validation", validation, "--test", test]
        metrics = train(learnable_csv, tmp_path / "run", tiny_bert, *files, *SHORT, "--json", "--quiet").json()["metrics"]
        assert (metrics["validation"]["n"], metrics["test"]["n"]) == (10, 20)

    def test_int8_is_for_predictions(self, learnable_csv, tiny_bert, tmp_path):
        outcome = train(learnable_csv, tmp_path / "run", tiny_bert, "--epochs", "1", "--precision", "int8")
        assert_refused(
            outcome, "--precision int8 needs a trained model that was saved with ranges for it; take auto, bf16 or fp32"
        )
        assert not (tmp_path / "run").exists()

    def test_an_earlier_run_can_be_trained_on(self, learnable_csv, trained_run, tmp_path):
        outcome = train(learnable_csv, tmp_path / "run", trained_run.directory, *SHORT, "--json", "--quiet")
        assert outcome.json()["trace"]["training"]["epochs"][0]["training_loss"] < 0.5  # from new weights: 0.7


class TestRunDirectory:
    def test_a_run_in_the_way_is_refused_replaced_or_left_complete(self, learnable_csv, tiny_bert, tmp_path):
        run = tmp_path / "run"
        assert train(learnable_csv, run, tiny_bert, *SHORT, "--resume", "--quiet").status == 0  # nothing there yet: it starts
        assert_refused(train(learnable_csv, run, tiny_bert, *SHORT, "--quiet"), str(run), "--resume", "--overwrite")
        again = train(learnable_csv, run, tiny_bert, *SHORT, "--resume")
        assert again.status == 0
        assert "is complete; there is nothing to resume" in again.err
        before = (run / "metrics.json").stat().st_mtime_ns
        assert train(learnable_csv, run, tiny_bert, *SHORT, "--overwrite", "--quiet").status == 0
        assert (run / "metrics.json").stat().st_mtime_ns > before

    def test_what_is_no_run_is_never_replaced(self, learnable_csv, tiny_bert, tmp_path):
        (tmp_path / "thesis.txt").write_text("three years of work", encoding="utf-8")
        assert_refused(train(learnable_csv, tmp_path, tiny_bert, *SHORT, "--overwrite", "--quiet"), "not a run")
        assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "three years of work"

    def test_other_settings_are_refused_on_resume(self, learnable_csv, trained_run):
        outcome = run_here("train", learnable_csv, "--run", trained_run.directory, "--resume", "--epochs", "9", "--quiet")
        assert_refused(outcome, "--epochs 4, now 9")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_an_interrupted_run_goes_on_to_the_same_end(learnable_csv, tiny_bert, trained_run, tmp_path):
    """`trained_run` is the same run, never interrupted."""
    run = tmp_path / "reviews"
    command = ("train", learnable_csv, "--run", run, "--model", tiny_bert, "--id", "id", *FLAGS, "--quiet")
    process = start_program(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    log = run / "training_log.jsonl"
    while not log.exists() or not log.read_text(encoding="utf-8").count("\n") > 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err.startswith(b"interrupted after step ")
    assert err.endswith(b" --resume\n")
    assert err.count(b"\n") == 1
    assert not (run / "metrics.json").exists()

    assert run_here(*command, "--resume").status == 0
    assert log_of(run) == log_of(trained_run.directory)
    for file in ("predictions.csv", "splits.csv", "rejected.csv", "model/model.safetensors"):
        assert (run / file).read_bytes() == (trained_run.directory / file).read_bytes(), file
