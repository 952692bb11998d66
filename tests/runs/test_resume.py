"""Runs that are interrupted for real, through the real command line, and gone on with."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from learnable_rows import LEARNING, learnable_rows, without_timings, write_table
from processor import needs_compiled_loops
from surefit.artifacts import RunDirectory, read_json, write_json
from surefit.config import MachineSettings, Settings
from surefit.errors import Interrupted, RunError, UsageError
from surefit.model import hardware
from surefit.model.hardware import Hardware
from surefit.progress import Progress
from surefit.runs.resume import flat_settings, require_same_run, resume_command, resumed_hardware, resumed_settings
from surefit.runs.sources import Sources
from surefit.runs.train import train

COMMAND = Path(sysconfig.get_path("scripts")) / "surefit"
# Eighty steps an epoch, so that a signal that is sent at the beginning of one arrives within it.
OPTIONS = LEARNING | {"epochs": 3, "batch_size": 2}
STEPS_OF_EPOCH, EPOCHS = 80, 3
STEPS = STEPS_OF_EPOCH * EPOCHS


class Notes(Progress):
    def __init__(self):
        self.sentences = []

    def note(self, sentence):
        self.sentences.append(sentence)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "reviews.csv", ("text", "label"), learnable_rows(200))


def events_of(run):
    if not run.training_log.exists():
        return []
    return [json.loads(line)["event"] for line in run.training_log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def command_line(data, run, model, precision):
    options = {"run": run, "model": model} | OPTIONS | {"precision": precision}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [COMMAND, "train", data, *flags]


def interrupted(data, run, model, precision, number, *, after_epochs):
    """Starts a run, sends it a signal in the middle of an epoch, and says how it ended."""
    process = subprocess.Popen(
        [*command_line(data, run.path, model, precision), "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    try:
        while (events := events_of(run)).count("evaluation") < after_epochs or events[-1:] != ["step"] or len(events) < 5:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the run did not get there in time"
            time.sleep(0.005)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output, errors


def state_of(run):
    newest = max(run.checkpoints.glob("step-*"))
    return read_json(newest / "state.json")["state"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(data, tiny_bert, runs):
    """Uninterrupted runs, by precision."""
    return {
        precision: RunDirectory(
            train(data, runs / f"whole-{precision}", model=tiny_bert, **OPTIONS | {"precision": precision}).directory
        )
        for precision in ("fp32", "bf16")
    }


@pytest.fixture(scope="module")
def stopped_by_ctrl_c(data, tiny_bert, runs):
    """A run in fp32 stopped within its first epoch, and how its process ended."""
    run = RunDirectory(runs / "ctrl-c")
    return run, interrupted(data, run, tiny_bert, "fp32", signal.SIGINT, after_epochs=0)


@pytest.fixture(scope="module")
def stopped_by_the_system(data, tiny_bert, runs):
    """A run in bf16 stopped within its second epoch, and how its process ended."""
    run = RunDirectory(runs / "system")
    return run, interrupted(data, run, tiny_bert, "bf16", signal.SIGTERM, after_epochs=1)


@pytest.fixture(scope="module")
def killed(data, tiny_bert, runs):
    """A run in fp32 killed within its second epoch."""
    run = RunDirectory(runs / "killed")
    return run, interrupted(data, run, tiny_bert, "fp32", signal.SIGKILL, after_epochs=1)


def copy_of(run, tmp_path):
    return RunDirectory(Path(shutil.copytree(run.path, tmp_path / "copy")))


def same_result(run, expected):
    """The weights to the last bit, and all that was made with them."""
    assert (run.model / "model.safetensors").read_bytes() == (expected.model / "model.safetensors").read_bytes()
    assert without_timings(run.metrics) == without_timings(expected.metrics)
    for name in ("predictions", "training_rows", "label_issues", "splits", "rejected", "audit"):
        assert getattr(run, name).read_text() == getattr(expected, name).read_text()
    assert {path.name for path in run.path.iterdir()} == {path.name for path in expected.path.iterdir()}


def log_is_whole(run):
    lines = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, STEPS + 1))
    assert [line["epoch"] for line in lines if line["event"] == "evaluation"] == list(range(1, EPOCHS + 1))
    assert [line["epoch"] for line in lines] == sorted(line["epoch"] for line in lines)


def test_ctrl_c_ends_a_run_with_one_line_and_a_checkpoint_within_the_epoch(stopped_by_ctrl_c):
    run, (exit_code, output, errors) = stopped_by_ctrl_c
    state = state_of(run)
    assert (exit_code, output) == (130, "")
    assert re.fullmatch(f"interrupted after step {state['step']} of {STEPS}; the run is saved; [^\n]*--resume[^\n]*\n", errors)
    assert 0 < state["position"] == state["step"] < STEPS_OF_EPOCH
    assert not run.metrics.exists()


def test_sigterm_ends_a_run_the_same_way(stopped_by_the_system):
    run, (exit_code, output, errors) = stopped_by_the_system
    state = state_of(run)
    assert (exit_code, output) == (130, "")
    assert re.fullmatch(f"interrupted after step {state['step']} of {STEPS}; the run is saved; [^\n]*--resume[^\n]*\n", errors)
    assert 0 < state["position"] < STEPS_OF_EPOCH < state["step"]
    assert len(state["epochs"]) == 1


def test_a_kill_leaves_the_checkpoint_of_the_epoch_before(killed):
    run, (exit_code, _, _) = killed
    assert exit_code == -signal.SIGKILL
    assert (state_of(run)["step"], state_of(run)["position"]) == (STEPS_OF_EPOCH, 0)


def test_the_command_line_resumes_to_the_uninterrupted_run(stopped_by_ctrl_c, whole, data, tiny_bert, tmp_path):
    run = copy_of(stopped_by_ctrl_c[0], tmp_path)
    command = [*command_line(data, run.path, tiny_bert, "fp32"), "--resume", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "not be exact" not in result.stderr
    same_result(run, whole["fp32"])
    log_is_whole(run)
    assert json.loads(result.stdout)["metrics"] == read_json(run.metrics)


def test_a_run_in_bf16_is_resumed_within_an_epoch_without_naming_its_settings(stopped_by_the_system, whole, data, tmp_path):
    run = copy_of(stopped_by_the_system[0], tmp_path)
    notes = Notes()
    train(data, run.path, resume=True, progress=notes)
    assert notes.sentences == []
    same_result(run, whole["bf16"])
    log_is_whole(run)


def test_a_killed_run_is_resumed_from_the_epoch_before_even_where_files_were_not_written_yet(killed, whole, data, tmp_path):
    run = copy_of(killed[0], tmp_path)
    for file in (run.splits, run.rejected, run.audit):
        file.unlink()
    train(data, run.path, resume=True)
    same_result(run, whole["fp32"])
    log_is_whole(run)


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(stopped_by_the_system, whole, data, tmp_path):
    run = copy_of(stopped_by_the_system[0], tmp_path)
    newest = max(run.checkpoints.glob("step-*"))
    flip_a_byte(newest / "model.safetensors")
    notes = Notes()
    train(data, run.path, resume=True, progress=notes)
    (sentence,) = notes.sentences
    assert sentence.startswith("passing over a damaged checkpoint: ")
    assert newest.name in sentence
    same_result(run, whole["bf16"])
    log_is_whole(run)


@pytest.mark.parametrize("phase", ["evaluate", "baselines"])
def test_an_interrupted_evaluation_is_gone_on_with(data, tiny_bert, whole, tmp_path, phase):
    class Stops(Progress):
        def begin(self, what, total):
            if what == phase:
                raise KeyboardInterrupt  # as a signal does outside the training loop

    run = RunDirectory(tmp_path / "a run")
    with pytest.raises(Interrupted) as stopped:
        train(data, run.path, model=tiny_bert, progress=Stops(), **OPTIONS)
    command = str(stopped.value).partition("go on with: ")[2]
    assert shlex.split(command) == ["surefit", "train", str(data), "--run", str(run.path), "--resume"]
    assert not run.metrics.exists()
    outcome = subprocess.run([COMMAND, *shlex.split(command)[1:]], capture_output=True, text=True, timeout=90)
    assert outcome.returncode == 0, outcome.stderr
    same_result(run, whole["fp32"])


def test_the_command_to_go_on_with_names_all_files(tmp_path):
    sources = Sources("my rows.csv", None, Path("test.csv"))
    assert resume_command(sources, RunDirectory(Path("run"))) == (
        "surefit train 'my rows.csv' --test test.csv --run run --resume"
    )
    assert "resume=True" in resume_command(Sources(pd.DataFrame()), RunDirectory(Path("run")))


def test_a_complete_run_says_so_and_stays_as_it_is(whole, data, tiny_bert):
    run = whole["fp32"]
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    notes = Notes()
    again = train(data, run.path, resume=True, progress=notes, model=tiny_bert, **OPTIONS)
    assert notes.sentences == [f"the run {run.path} is complete; there is nothing to resume"]
    assert again.metrics == read_json(run.metrics)
    assert len(again.trace.training.epochs) == EPOCHS
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_what_kills_left_in_a_complete_run_is_removed_and_nothing_else(whole, data, tmp_path):
    run = copy_of(whole["fp32"], tmp_path)
    for directory in (".model.0123abcd.tmp", ".model.89abcdef.old", "checkpoints/step-00000240.0123abcd.tmp"):
        shutil.copytree(run.model, run.path / directory)
    for file in (".predictions.csv.0123abcd.tmp", ".notes.txt.0123abcd.tmp"):
        (run.path / file).touch()
    newest = max(run.checkpoints.glob("step-*[0-9]"))
    shutil.copytree(newest, run.checkpoints / "step-00000160")
    train(data, run.path, resume=True)
    (run.path / ".notes.txt.0123abcd.tmp").unlink()
    same_result(run, whole["fp32"])
    assert {path.name for path in run.checkpoints.iterdir()} == {"step-00000240"}


def test_resuming_where_nothing_is_starts(data, tiny_bert, tmp_path):
    trained = train(data, tmp_path / "new", resume=True, model=tiny_bert, **OPTIONS | {"epochs": 1})
    assert trained.metrics["training"]["steps"] == STEPS_OF_EPOCH


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"learning_rate": 5e-4},
            "was begun with --learning-rate 0.001, now 0.0005 is asked for; resume without --learning-rate",
        ),
        ({"seed": 1}, "was begun with --seed 0, now 1 is asked for"),
        ({"head": "sigmoid"}, "was begun without --head, now sigmoid is asked for"),
        ({"model": "minilm-l6"}, "was begun with --model "),
    ],
    ids=str,
)
def test_other_settings_are_refused(stopped_by_ctrl_c, data, options, sentence):
    run, _ = stopped_by_ctrl_c
    with pytest.raises(RunError, match=sentence):
        train(data, run.path, resume=True, **options)


def test_changed_data_are_refused(stopped_by_ctrl_c, data, tmp_path):
    run, _ = stopped_by_ctrl_c
    changed = tmp_path / data.name
    changed.write_text(data.read_text() + "one more,good\n")
    with pytest.raises(RunError, match=r"the data have changed since the run .* began; start a new run with --run"):
        train(changed, run.path, resume=True)


def test_a_test_file_that_the_run_did_not_begin_with_is_refused(stopped_by_ctrl_c, data):
    run, _ = stopped_by_ctrl_c
    with pytest.raises(RunError, match="was begun with other --validation and --test files"):
        train(data, run.path, resume=True, test=data)


def test_an_unknown_setting_is_refused(stopped_by_ctrl_c, data):
    run, _ = stopped_by_ctrl_c
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        train(data, run.path, resume=True, epoch=3)


def test_a_refused_resume_changes_nothing(stopped_by_ctrl_c, data, tmp_path):
    run = copy_of(stopped_by_ctrl_c[0], tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    with pytest.raises(RunError):
        train(data, run.path, resume=True, seed=1)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_resumed_run_computes_with_the_threads_that_it_began_with(data, tiny_bert, tmp_path, monkeypatch):
    before = torch.get_num_threads()
    try:
        monkeypatch.setattr(hardware, "_ALL_THREADS", 1)
        train(data, tmp_path, model=tiny_bert, **OPTIONS | {"epochs": 1, "threads": None})
        monkeypatch.setattr(hardware, "_ALL_THREADS", 2)
        notes = Notes()
        train(data, tmp_path, resume=True, progress=notes)
        assert torch.get_num_threads() == 1
        assert not [sentence for sentence in notes.sentences if "exact" in sentence]
    finally:
        torch.set_num_threads(before)


FACTS = {
    "settings": Settings().to_dict(),
    "base_model": "minilm-l6",
    "base_weights_sha256": "0123",
    "costs": None,
    "split_sha256": "4567",
    "data": {"train": {"sha256": "abc"}},
    "versions": {"torch": "2.13"},
    "machine": {"threads": 3, "precision": "bf16", "device": "cpu", "compiled_loops": False},
}


@pytest.fixture
def stored(tmp_path):
    """A run directory that has its settings only."""
    run = RunDirectory(tmp_path)
    write_json(run.settings, FACTS)
    return run


def test_settings_given_again_may_be_the_same_in_other_words(tmp_path):
    run = RunDirectory(tmp_path)
    settings = Settings.from_options({"delimiter": "\t", "epochs": 7})
    write_json(run.settings, FACTS | {"settings": settings.to_dict()})
    assert resumed_settings(run, {"delimiter": "tab"}) == settings


def test_flat_settings_are_what_options_take():
    settings = Settings.from_options({"epochs": 7, "text": "review", "model": "x", "seed": 4})
    assert Settings.from_options(flat_settings(settings.to_dict())) == settings


def test_choices_made_by_measuring_are_taken_over(stored):
    before = torch.get_num_threads()
    try:
        assert resumed_hardware(stored, MachineSettings(device="cpu")) == Hardware(torch.device("cpu"), "bf16", 3)
    finally:
        torch.set_num_threads(before)


@needs_compiled_loops
@pytest.mark.parametrize(("began_with", "goes_on_with"), [(True, True), (False, False), (None, False)])
def test_loops_are_taken_where_the_run_began_with_them(stored, began_with, goes_on_with):
    write_json(stored.settings, FACTS | {"machine": {"threads": 1, "precision": "fp32", "compiled_loops": began_with}})
    assert resumed_hardware(stored, MachineSettings(device="cpu")).compiled_loops is goes_on_with


def test_the_same_facts_go_on_without_a_word(stored):
    notes = Notes()
    require_same_run(stored, FACTS, notes)
    assert notes.sentences == []


def test_another_version_or_machine_is_said(stored):
    notes = Notes()
    machine = FACTS["machine"] | {"device": "cuda", "compiled_loops": True}
    require_same_run(stored, FACTS | {"versions": {"torch": "2.14"}, "machine": machine}, notes)
    assert notes.sentences == ["resuming will not be exact: torch, device, compiled loops changed since the run began"]


def test_another_model_is_refused(stored):
    with pytest.raises(RunError, match=r"the model other is not the one that the run .* began with"):
        require_same_run(stored, FACTS | {"base_model": "other"}, Notes())
    with pytest.raises(RunError, match="is not the one that the run"):
        require_same_run(stored, FACTS | {"base_weights_sha256": "other"}, Notes())


def test_a_local_model_whose_weights_changed_is_refused(stopped_by_ctrl_c, data, tmp_path):
    run = copy_of(stopped_by_ctrl_c[0], tmp_path)
    model = Path(read_json(run.settings)["base_model"])
    changed = Path(shutil.copytree(model, tmp_path / "changed"))
    tensors = load_file(changed / "model.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in tensors.items()}, changed / "model.safetensors", {"format": "pt"})
    settings = read_json(run.settings)
    settings["base_model"] = settings["settings"]["model"]["model"] = str(changed)
    write_json(run.settings, settings)
    with pytest.raises(RunError, match="is not the one that the run"):
        train(data, run.path, resume=True)


@pytest.mark.parametrize("damage", [{"settings": 5}, {"settings": None}, {"settings": []}], ids=str)
def test_damaged_settings_are_a_sentence(stored, damage):
    write_json(stored.settings, FACTS | damage)
    with pytest.raises(RunError, match="has no 'settings'; it is damaged"):
        resumed_settings(stored, {})
