"""Taking possession of a run directory: only what is a run is ever replaced."""

from __future__ import annotations

import json
import os
import re

import pytest

from learnable_rows import LEARNING, learnable_rows, write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.errors import DataError, ModelError, RunError, UsageError
from surefit.runs.directory import (
    check_run,
    claim_run,
    default_run_path,
    require_data_outside,
    require_no_run_file,
    require_other_model,
    require_run,
    require_writable,
)
from surefit.runs.train import train

MARKS = {"schema_version": 1, "settings": {}, "base_model": "", "data": {}, "versions": {}, "machine": {}}


@pytest.fixture
def run(tmp_path):
    """A directory that is marked as a run, with a model and something of the user's."""
    path = tmp_path / "run"
    (path / "model").mkdir(parents=True)
    (path / "model" / "weights").touch()
    (path / "metrics.json").write_text("{}")
    (path / "notes.txt").write_text("mine")
    (path / "settings.json").write_text(json.dumps(MARKS))
    return RunDirectory(path)


def content_of(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "stem"), [("reviews.csv", "reviews"), ("my data (1).v2.tsv", "my-data--1--v2"), ("é.csv", "é")]
)
def test_a_run_is_named_after_the_data_and_the_time(name, stem):
    assert re.fullmatch(rf"{stem}-\d{{8}}-\d{{6}}", default_run_path(name).name)
    assert default_run_path(name).parent.name == "runs"


@pytest.mark.parametrize("flags", [{}, {"resume": True}, {"overwrite": True}], ids=str)
def test_a_new_or_empty_directory_is_free(tmp_path, flags):
    flags = {"resume": False, "overwrite": False} | flags
    check_run(RunDirectory(tmp_path / "new"), **flags)
    check_run(RunDirectory(tmp_path), **flags)


@pytest.mark.parametrize("flags", [{}, {"resume": True}, {"overwrite": True}], ids=str)
def test_what_a_kill_left_before_the_run_was_marked_is_not_in_the_way(tmp_path, flags):
    flags = {"resume": False, "overwrite": False} | flags
    (tmp_path / ".settings.json.0123abcd.tmp").write_text('{"schema_v')
    check_run(RunDirectory(tmp_path), **flags)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="exists and is not a run of SureFit"):
        check_run(RunDirectory(tmp_path), **flags)


def test_a_run_that_is_there_needs_a_decision(run):
    with pytest.raises(RunError, match="exists; go on with --resume, replace it with --overwrite, or name another with --run"):
        check_run(run, resume=False, overwrite=False)
    check_run(run, resume=True, overwrite=False)
    check_run(run, resume=False, overwrite=True)


def test_resuming_and_overwriting_exclude_each_other(run):
    with pytest.raises(RunError, match="--resume and --overwrite exclude each other"):
        check_run(run, resume=True, overwrite=True)


def test_a_file_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(RunError, match="is a file; name a directory with --run"):
        check_run(RunDirectory(tmp_path / "run"), resume=False, overwrite=True)


@pytest.mark.parametrize(
    "settings", [None, {}, {"settings": {"editor.fontSize": 12}}, {"schema_version": 1, "settings": {}}], ids=str
)
@pytest.mark.parametrize("flag", ["resume", "overwrite"])
def test_a_directory_that_is_no_run_is_never_taken(tmp_path, settings, flag):
    (tmp_path / "thesis.txt").write_text("years of work")
    if settings is not None:
        (tmp_path / "settings.json").write_text(json.dumps(settings))
    before = content_of(tmp_path)
    with pytest.raises(RunError, match="exists and is not a run of SureFit; name another directory with --run"):
        train("any.csv", tmp_path, **{flag: True})
    assert content_of(tmp_path) == before


def test_overwriting_removes_the_run_and_nothing_else(run):
    """The settings mark it as a run until those of the new one take their place."""
    settings = run.settings.read_bytes()
    claim_run(run, overwrite=True)
    assert content_of(run.path) == {"notes.txt": b"mine", "settings.json": settings}
    assert not run.model.exists()


def test_overwriting_follows_no_link(run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    run.checkpoints.symlink_to(elsewhere, target_is_directory=True)
    claim_run(run, overwrite=True)
    assert (elsewhere / "file").exists()
    assert not run.checkpoints.exists()


def test_overwriting_where_nothing_is_makes_the_directory(tmp_path):
    claim_run(RunDirectory(tmp_path / "a" / "run"), overwrite=True)
    assert (tmp_path / "a" / "run").is_dir()


@pytest.fixture(scope="module")
def finished(tiny_bert, tmp_path_factory):
    """A finished run and its data."""
    directory = tmp_path_factory.mktemp("finished")
    data = write_table(directory / "rows.csv", ("text", "label"), learnable_rows(40))
    train(data, directory / "run", model=tiny_bert, **LEARNING | {"epochs": 1})
    return directory / "run", data


@pytest.mark.parametrize(
    ("rows", "options", "error"),
    [
        ([("good", "")], {}, DataError),
        ([("good", "a"), ("bad", "b")], {}, DataError),
        (learnable_rows(40), {"model": "./missing"}, ModelError),
        (learnable_rows(40), {"epochs": 0}, UsageError),
        (learnable_rows(40), {"text": "review"}, DataError),
    ],
    ids=["no-rows", "few-rows", "no-model", "no-epochs", "no-column"],
)
def test_an_error_before_training_leaves_the_old_run_untouched(finished, tiny_bert, tmp_path, rows, options, error):
    run, _ = finished
    before = content_of(run)
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    with pytest.raises(error):
        train(data, run, overwrite=True, **{"model": tiny_bert} | LEARNING | options)
    assert content_of(run) == before


def test_a_finished_run_is_refused_without_flags_and_replaced_with_overwrite(finished, tiny_bert):
    run, data = finished
    before = content_of(run)
    with pytest.raises(RunError, match="--overwrite"):
        train(data, run, model=tiny_bert, **LEARNING)
    assert content_of(run) == before
    train(data, run, overwrite=True, model=tiny_bert, seed=3, **LEARNING | {"epochs": 1})
    assert read_json(RunDirectory(run).settings)["settings"]["seed"] == 3
    steps = [json.loads(line) for line in RunDirectory(run).training_log.read_text().splitlines()]
    assert [line["step"] for line in steps if line["event"] == "step"] == list(range(1, 9))


def test_data_inside_the_run_directory_survive_overwriting(tiny_bert, tmp_path):
    run = tmp_path / "run"
    options = LEARNING | {"epochs": 1, "model": tiny_bert}
    train(write_table(tmp_path / "rows.csv", ("text", "label"), learnable_rows(40)), run, **options)
    data = write_table(run / "rows.csv", ("text", "label"), learnable_rows(40))
    train(data, run, overwrite=True, **options)
    assert data.exists()


def test_the_run_to_train_on_from_is_not_overwritten(tmp_path):
    run = RunDirectory(tmp_path / "run")
    require_other_model(run, "minilm-l6")
    for model in (tmp_path / "run", tmp_path / "run" / "model", tmp_path / "other" / ".." / "run"):
        with pytest.raises(RunError, match="--overwrite would destroy"):
            require_other_model(run, str(model))


def test_data_that_are_files_of_the_run_are_refused(tmp_path):
    run = RunDirectory(tmp_path / "run")
    require_data_outside(run, [run.path / "rows.csv", tmp_path / "rows.csv", None])
    for path in (run.predictions, run.model / "rows.csv", tmp_path / "run" / ".." / "run" / "splits.csv"):
        with pytest.raises(RunError, match="is a file of the run"):
            require_data_outside(run, [path])


def test_names_that_cannot_be_recorded_are_refused(tmp_path):
    with pytest.raises(RunError, match="is not UTF-8"):
        require_data_outside(RunDirectory(tmp_path / "run\udcff"), [])


@pytest.mark.parametrize("name", ["settings.json", "predictions.csv", "model/new.csv", "checkpoints/step/x.csv"])
def test_a_file_of_a_run_is_not_written_over(run, name):
    with pytest.raises(RunError, match="is a file of the run"):
        require_no_run_file(run.path / name)


def test_files_beside_a_run_s_own_and_those_of_other_directories_are_free(run, tmp_path):
    for path in (run.path / "mine.csv", tmp_path / "predictions.csv", tmp_path / "model" / "x.csv"):
        require_no_run_file(path)
    (tmp_path / "settings.json").write_text("// of an editor")
    require_no_run_file(tmp_path / "model" / "x.csv")


def test_what_stands_in_the_way_of_a_run_is_named(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "base.csv").touch()
    with pytest.raises(UsageError, match="link is a link to nothing, not a directory"):
        check_run(RunDirectory(tmp_path / "link"), resume=False, overwrite=False)
    with pytest.raises(UsageError, match=r"base\.csv is a file, not a directory"):
        check_run(RunDirectory(tmp_path / "base.csv" / "run"), resume=False, overwrite=False)


def test_what_is_no_directory_is_no_run(tmp_path):
    (tmp_path / "file").touch()
    require_run(tmp_path)
    for name, what in (("file", "file is a file"), ("none", "there is no directory .*none")):
        with pytest.raises(RunError, match=f"{what}; give a run directory such as surefit train makes"):
            require_run(tmp_path / name)


def test_what_can_be_written(run, tmp_path):
    (tmp_path / "file.csv").touch()
    (tmp_path / "link.csv").symlink_to("file.csv")
    (tmp_path / "new.csv").symlink_to("new/file.csv")
    for name in ("file.csv", "link.csv", "new.csv", "other/file.csv"):
        require_writable(tmp_path / name, tmp_path / "read.csv")


@pytest.mark.parametrize(
    ("target", "error", "sentence"),
    [
        ("run/predictions.csv", RunError, "is a file of the run"),
        ("run/model/new.csv", RunError, "is a file of the run"),
        ("read.csv", UsageError, "is the file that is read"),
        ("run", UsageError, "is a directory"),
        ("read.csv/new.csv", UsageError, "is a file, not a directory"),
        (os.devnull, UsageError, "is no regular file"),
        ("link.csv", UsageError, "is no regular file"),
    ],
)
def test_what_must_not_be_written_is_refused_through_a_link_too(run, tmp_path, target, error, sentence):
    (tmp_path / "read.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / target)
    for path in (tmp_path / "link.csv", tmp_path / target):
        with pytest.raises(error, match=sentence):
            require_writable(path, tmp_path / "read.csv")
