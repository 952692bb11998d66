"""Exit codes and the one line that says why; no traceback, whatever the shell does."""

import json
import os
import subprocess
import sys

import pytest
import torch
from surefit_command import ENVIRONMENT, PROGRAM, assert_refused, run_here, run_program

BAD_USAGE = {
    "unknown verb": (["classify"], "No such command"),
    "unknown flag": (["train", "data.csv", "--epoch", "3"], "No such option"),
    "no data": (["train"], "DATA"),
    "no number": (["train", "data.csv", "--epochs", "three"], "--epochs"),
    "out of range": (["train", "data.csv", "--learning-rate", "5"], "--learning-rate must be from"),
    "unknown choice": (["train", "data.csv", "--head", "linear"], "--head is softmax or sigmoid"),
    "shares of everything": (["train", "data.csv", "--test-size", "0.9", "--validation-size", "0.1"], "leave no rows"),
    "size of given rows": (["train", "data.csv", "--test", "t.csv", "--test-size", "0.2"], "--test gives the test rows"),
    "long delimiter": (["audit", "data.csv", "--delimiter", "::"], "--delimiter must be one"),
    "quote as delimiter": (["audit", "data.csv", "--delimiter", "'", "--quote", "'"], "must differ"),
    "resume and overwrite": (["train", "data.csv", "--run", "r", "--resume", "--overwrite"], "exclude each other"),
    "texts and a file": (["predict", "run", "good", "--input", "data.csv"], "not both"),
    "column of no file": (["predict", "run", "good", "--text", "review"], "--text goes with --input"),
    "unwritable format": (["predict", "run", "good", "--output", "out.docx"], ".docx"),
    "no such file": (["train", "missing.csv"], "missing.csv: there is no such file"),
    "no such run": (["predict", "missing-run", "good"], "there is no directory missing-run; give a run directory"),
    "a file as run": (["evaluate", __file__, "data.csv"], "is a file; give a run directory such as surefit train makes"),
    "no run to trace": (["trace", "missing-run", "good"], "there is no directory missing-run; give a run directory"),
    "header of no file": (["predict", "run", "good", "--no-header"], "--no-header goes with --input"),
    "no such device": (["predict", ".", "good", "--device", "tpu"], "--device"),
}


@pytest.mark.parametrize(("arguments", "fragment"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_bad_usage_is_refused_in_one_line(arguments, fragment):
    assert_refused(run_here(*arguments), fragment)


def test_the_program_refuses_bad_input_too(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    assert_refused(run_program("audit", "broken.parquet", cwd=tmp_path), "broken.parquet: the Parquet file is damaged")


def test_a_message_moves_no_cursor():
    outcome = run_here("audit", "\x1b[2Jno\nsuch\x07.csv")
    assert_refused(outcome, "there is no such file")


def test_an_output_that_cannot_be_written_is_named(tmp_path, learnable_csv):
    (tmp_path / "rejected.csv").mkdir()
    assert_refused(run_here("audit", learnable_csv, "--rejected", tmp_path / "rejected.csv"), str(tmp_path / "rejected.csv"))


@pytest.mark.parametrize("take", [lambda: torch.empty(2**50), lambda: bytearray(2**62)], ids=["torch", "Python"])
def test_memory_that_runs_out_is_a_sentence(monkeypatch, take):
    monkeypatch.setattr("surefit.runs.predict.predict_texts", lambda *arguments: take())
    assert_refused(run_here("predict", "run", "good"), "the memory of this machine is used up")


def test_other_errors_of_torch_are_not_taken_for_it(monkeypatch):
    monkeypatch.setattr("surefit.runs.predict.predict_texts", lambda *arguments: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        run_here("predict", "run", "good")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file names")
def test_a_file_name_that_is_no_text_is_refused_before_training(tmp_path, learnable_csv, tiny_bert):
    named = os.fsencode(tmp_path) + b"/caf\xe9.csv"
    with open(named, "wb") as file:
        file.write(learnable_csv.read_bytes())
    outcome = run_here("train", os.fsdecode(named), "--model", tiny_bert, "--run", tmp_path / "run", "--quiet")
    assert_refused(outcome, "rename it")


class TestStreams:
    """Closed, full and broken streams, as shells and cron make them."""

    def run_in_shell(self, line, **environment):
        shell = ["bash", "-o", "pipefail", "-c", f'surefit() {{ "{PROGRAM}" "$@"; }}; {line}']
        env = ENVIRONMENT | environment
        return subprocess.run(shell, capture_output=True, text=True, env=env, timeout=120, check=False)

    def test_a_reader_that_leaves_is_no_error(self, learnable_csv):
        for line in (f"surefit audit {learnable_csv}", "surefit --help"):
            done = self.run_in_shell(f"{line} | true")
            assert (done.returncode, done.stderr) == (0, ""), line

    def test_predictions_into_a_reader_that_leaves(self, trained_run, tmp_path):
        many = tmp_path / "many.csv"
        many.write_text("text\n" + "a good film\n" * 3000, encoding="utf-8")
        done = self.run_in_shell(f"surefit predict {trained_run.directory} --input {many} --quiet | head -1")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "id,text,label,probability,truncated,reason\n"

    def test_progress_that_nobody_reads_does_not_stop_the_work(self, tmp_path, learnable_csv, tiny_bert):
        flags = f"--model {tiny_bert} --run {tmp_path / 'run'} --epochs 2 --json"
        done = self.run_in_shell(f"surefit train {learnable_csv} {flags} 2> >(true)")
        assert done.returncode == 0
        assert len(json.loads(done.stdout)["trace"]["training"]["epochs"]) == 2

    def test_closed_standard_streams(self, learnable_csv, trained_run):
        assert self.run_in_shell(f"surefit audit {learnable_csv} --json >&-").returncode == 0
        assert self.run_in_shell("surefit audit missing.csv 2>&-").returncode == 2
        done = run_here("predict", trained_run.directory, stdin=None)
        assert (done.status, done.out) == (0, "id,text,label,probability,truncated,reason\n")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_full_disk_is_said_in_one_line(self, learnable_csv):
        done = self.run_in_shell(f"surefit audit {learnable_csv} --json >/dev/full")
        assert done.returncode == 2
        assert done.stderr.startswith("error: No space left")
        assert done.stderr.count("\n") == 1

    def test_a_terminal_without_unicode_gets_escapes(self, tmp_path):
        rows = tmp_path / "rows.csv"
        rows.write_text("text,label\nschön,größe\nbad,klein\n", encoding="utf-8")
        table = self.run_in_shell(f"surefit audit {rows}", PYTHONIOENCODING="ascii")
        assert table.returncode == 0
        assert r"gr\xf6\xdfe" in table.stdout
        answer = self.run_in_shell(f"surefit audit {rows} --json", PYTHONIOENCODING="ascii")
        assert {entry["label"] for entry in json.loads(answer.stdout)["classes"]} == {"größe", "klein"}


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "surefit", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("surefit ")
