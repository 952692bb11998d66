"""A finished run is read again as it was written, or the error says where it differs."""

import json
import shutil

import pytest

from surefit.artifacts import SCHEMA_VERSION, RunDirectory, read_json
from surefit.errors import RunError
from surefit.runs.finished import open_run


@pytest.fixture
def copied_run(trained_run, tmp_path):
    return RunDirectory(shutil.copytree(trained_run.directory, tmp_path / "run"))


def refusal(run):
    with pytest.raises(RunError) as refused:
        open_run(run.path)
    return str(refused.value)


def test_a_run_is_read_as_it_was_written(trained_run):
    opened = open_run(trained_run.directory)
    directory = RunDirectory(trained_run.directory)
    assert json.loads(json.dumps({"schema_version": SCHEMA_VERSION} | opened.trace.to_dict())) == read_json(directory.trace)
    assert opened.metrics == read_json(directory.metrics)
    assert (opened.trace, opened.metrics) == (trained_run.trace, trained_run.metrics)
    assert opened.directory == trained_run.directory
    assert opened._repr_html_() == trained_run._repr_html_()


@pytest.mark.parametrize(
    ("file", "place", "value", "sentence"),
    [
        ("trace", ("training", "epochs", 0, "accuracy"), None, "training.epochs[0].accuracy must be a number, not null"),
        (
            "trace",
            ("pipeline", "stages", 1, "rows_in"),
            "a text",
            "pipeline.stages[1].rows_in must be a whole number, not text",
        ),
        ("trace", ("pipeline", "stages"), [], "pipeline has no stages"),
        ("trace", ("pipeline", "stages", 0, "example", "line"), [[]], "example['line'][0] must be text or a whole number"),
        ("trace", ("training", "best_epoch"), 99, "training has a best_epoch that is none of its epochs"),
        ("metrics", ("test", "n"), None, "test.n must be a whole number, not null"),
        ("metrics", ("test", "n"), 10**400, "test.n is too large"),
        ("metrics", ("test", "macro"), 5, "test.macro must be an object, not a whole number"),
        ("metrics", ("test", "confusion_matrix"), 3, "test.confusion_matrix must be a list, not a whole number"),
        ("metrics", ("test", "confusion_matrix"), [[1, 2]], "test has 2 classes and a confusion_matrix of another size"),
        ("metrics", ("test", "per_class", "bad"), {}, "test.per_class['bad'] lacks 'precision'"),
        ("metrics", ("baselines", "majority"), {}, "baselines['majority'] lacks"),
        ("metrics", ("verdict", "grade"), "fine", "verdict.grade must be one of 'good', 'usable with care', 'not reliable'"),
        ("metrics", ("test", "intervals", "accuracy"), [0.1], "test.intervals.accuracy must have 2 entries, not 1"),
        ("metrics", ("data_map", "counts"), {"easy": 5}, "data_map.counts lacks 'ambiguous'"),
        ("metrics", ("data_map", "examples", "hard"), [7], "data_map.examples.hard[0] must be text, not a whole number"),
        ("metrics", ("training", "from_run"), 1, "training.from_run must be true or false, not a whole number"),
        ("metrics", ("leaks",), {"exact": 0, "near": 0, "group": 0}, "leaks lacks 'earlier_run'"),
    ],
)
def test_an_error_says_where_and_what(copied_run, file, place, value, sentence):
    path = getattr(copied_run, file)
    content = parent = json.loads(path.read_text())
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    path.write_text(json.dumps(content))
    said = refusal(copied_run)
    assert said.startswith(f"{path} is damaged: ")
    assert sentence in said
    assert said.endswith("; train again with --overwrite")
    assert "a text" not in said


def test_whole_numbers_stand_for_numbers(copied_run):
    content = json.loads(copied_run.trace.read_text())
    content["training"]["step_losses"][0] = 1
    copied_run.trace.write_text(json.dumps(content))
    assert isinstance(open_run(copied_run.path).trace.training.step_losses[0], float)


def test_entries_that_are_not_known_are_passed_over(copied_run):
    content = json.loads(copied_run.trace.read_text())
    copied_run.trace.write_text(json.dumps(content | {"weather": "fine"}))
    assert open_run(copied_run.path).trace.to_dict().keys() == {"pipeline", "training"}


@pytest.mark.parametrize("file", ["metrics", "trace"])
def test_a_run_that_lacks_a_file_is_named(copied_run, file):
    path = getattr(copied_run, file)
    path.unlink()
    assert refusal(copied_run) == f"{path} is missing; train again with --overwrite"


@pytest.mark.parametrize("file", ["metrics", "trace"])
def test_a_run_of_a_newer_surefit_is_said_to_be_one(copied_run, file):
    path = getattr(copied_run, file)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
    assert refusal(copied_run).startswith(f"{path} was made by a newer SureFit")
