"""The report of a run: written before the run is complete, from its files alone, the same each time."""

import json
import re
import shutil

import pytest

from learnable_rows import LEARNING, learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.errors import RunError, UsageError
from surefit.inference.classifier import load
from surefit.runs.report import report_run
from surefit.runs.train import train


@pytest.fixture
def copied_run(trained_run, tmp_path):
    return RunDirectory(shutil.copytree(trained_run.directory, tmp_path / trained_run.directory.name))


@pytest.fixture(scope="module")
def noisy_run(tmp_path_factory, tiny_bert):
    """A run that makes mistakes: a fifth of its labels say nothing, and its texts look like formulas."""
    rows = [(f"= {text}", "good" if number % 5 == 0 else label) for number, (text, label) in enumerate(learnable_rows(300))]
    directory = tmp_path_factory.mktemp("noisy")
    run = train(write_table(directory / "noisy.csv", ("text", "label"), rows), directory / "run", model=tiny_bert, **LEARNING)
    return RunDirectory(run.directory)


def test_training_writes_the_report_that_the_files_give(copied_run):
    written = copied_run.report.read_bytes()
    copied_run.report.unlink()
    assert report_run(copied_run.path) == copied_run.report
    assert copied_run.report.read_bytes() == written


def test_only_the_files_of_the_report_are_needed(copied_run):
    written = copied_run.report.read_bytes()
    for entry in (copied_run.model, copied_run.checkpoints):
        shutil.rmtree(entry)
    for entry in (copied_run.predictions, copied_run.splits, copied_run.training_log, copied_run.report):
        entry.unlink()
    assert report_run(copied_run.path).read_bytes() == written


def test_another_place_may_be_named(copied_run, tmp_path, trained_run):
    output = tmp_path / "for the client" / "report.html"
    assert report_run(copied_run.path, output) == output
    assert output.read_bytes() == RunDirectory(trained_run.directory).report.read_bytes()


@pytest.mark.parametrize("name", ["metrics", "settings"])
def test_files_of_a_run_are_not_written_over(copied_run, name):
    with pytest.raises(RunError, match="is a file of the run"):
        report_run(copied_run.path, getattr(copied_run, name))


def test_a_directory_is_no_place_for_a_report(copied_run, tmp_path):
    with pytest.raises(UsageError, match="is a directory; name a file"):
        report_run(copied_run.path, tmp_path)


def test_a_run_is_complete_only_with_its_report(copied_run, learnable_csv, tiny_bert):
    copied_run.metrics.unlink()
    copied_run.report.unlink()
    copied_run.report.mkdir()  # so that the report cannot be written
    with pytest.raises(IsADirectoryError):
        train(learnable_csv, copied_run.path, model=tiny_bert, id="id", resume=True, **LEARNING)
    assert not copied_run.metrics.exists()
    copied_run.report.rmdir()
    train(learnable_csv, copied_run.path, model=tiny_bert, id="id", resume=True, **LEARNING)
    assert copied_run.metrics.is_file()
    assert copied_run.report.is_file()


def test_mistakes_are_the_wrong_test_rows_the_surest_first(noisy_run):
    mistakes = read_table(noisy_run.mistakes)
    wrong = {row["id"]: row for row in read_table(noisy_run.predictions) if row["label"] != row["prediction"]}
    assert {row["id"] for row in mistakes} == set(wrong)
    assert len(wrong) >= 2
    for row in mistakes:
        said = wrong[row["id"]]
        assert (row["label"], row["prediction"]) == (said["label"], said["prediction"])
        assert float(row["probability"]) == pytest.approx(float(said[f"probability_{said['prediction']}"]), abs=1e-6)
    probabilities = [float(row["probability"]) for row in mistakes]
    assert probabilities == sorted(probabilities, reverse=True)


def test_mistakes_and_label_issues_are_quoted_as_they_were_given(noisy_run):
    page = noisy_run.report.read_text(encoding="utf-8")
    for path in (noisy_run.mistakes, noisy_run.label_issues, noisy_run.training_examples):
        texts = [row["text"] for row in read_table(path)[:20]]
        assert texts
        assert all(text.startswith("'=") for text in texts)  # what spreadsheets would run
        for text in texts:
            assert f">{text.removeprefix(chr(39))}<" in page


def test_personal_data_are_not_shown_in_the_report(tmp_path, tiny_bert):
    """Neither in what is quoted nor in the row that is carried through, though most rows hold some, and all ids."""
    rows = [
        (f"customer{number}@shop.example", f"{text}, write to me{number}@mail.example" if number % 5 else text, label)
        for number, (text, label) in enumerate(learnable_rows(300))
    ]
    noisy = [(row_id, text, "good" if number % 7 == 0 else label) for number, (row_id, text, label) in enumerate(rows)]
    data = write_table(tmp_path / "noisy.csv", ("id", "text", "label"), noisy)
    run = RunDirectory(train(data, tmp_path / "run", model=tiny_bert, id="id", **LEARNING).directory)
    page = run.report.read_text(encoding="utf-8")
    assert page.count("write to [e-mail address]") > 10
    for path in (run.report, run.model_card, run.metrics, run.trace, run.prediction_trace):
        assert not re.findall(r"\w+@(?:mail|shop)", path.read_text(encoding="utf-8")), path.name
    # The run's own files keep them, since there they are needed.
    assert all("@mail.example" in run_file.read_text() for run_file in (run.mistakes, run.label_issues, run.training_examples))


def test_the_prediction_trace_is_what_the_saved_model_says(trained_run):
    run = RunDirectory(trained_run.directory)
    example = next(stage.example for stage in trained_run.trace.pipeline.stages if stage.stage == "clean")
    said = load(run.path, precision="fp32", threads=1).trace(example["text"]).to_dict()  # as it was trained
    kept = read_json(run.prediction_trace)
    assert kept.pop("schema_version") == 1
    assert kept == json.loads(json.dumps(said))


@pytest.mark.parametrize("name", ["metrics", "trace", "settings", "audit", "prediction_trace"])
@pytest.mark.parametrize("damage", ["missing", "no JSON", "another JSON", "newer"])
def test_a_damaged_file_is_named_in_a_sentence(copied_run, name, damage):
    path = getattr(copied_run, name)
    content = read_json(path)
    if damage == "missing":
        path.unlink()
    else:
        other = {"no JSON": "{", "another JSON": '{"schema_version": 1}', "newer": json.dumps(content | {"schema_version": 2})}
        path.write_text(other[damage], encoding="utf-8")
    written = copied_run.report.read_bytes()
    with pytest.raises(RunError) as refused:
        report_run(copied_run.path)
    said = str(refused.value)
    assert path.name in said or (name, damage) == ("metrics", "missing")
    assert "\n" not in said
    assert copied_run.report.read_bytes() == written


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("metrics", ("thresholds", "coverage", "error"), ["a text"]),
        ("metrics", ("thresholds", "curves", "good", "chosen"), {}),
        ("metrics", ("test", "intervals", "per_class"), {}),
        ("metrics", ("test", "intervals", "accuracy"), [0.5]),
        ("metrics", ("verdict", "grade"), "splendid"),
        ("metrics", ("calibration", "after", "bins"), 5),
        ("metrics", ("test_without_leaks",), {}),
        ("settings", ("data", "train"), {"name": "x"}),
        ("settings", ("versions",), [1]),
        ("audit", ("findings",), [{"kind": "x"}]),
        ("audit", ("rejected_by_reason",), {"x": "y"}),
        ("prediction_trace", ("layers",), [{}]),
    ],
)
def test_a_damaged_value_is_named_in_a_sentence(copied_run, name, place, value):
    path = getattr(copied_run, name)
    content = parent = read_json(path)
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError, match=f"{path.name} is damaged: {place[0]}"):
        report_run(copied_run.path)


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("metrics", ("baselines",), {}, "has no baselines"),
        ("metrics", ("thresholds", "coverage", "error"), [], "a curve that has no points"),
        ("metrics", ("learning_curve", "points"), [], "learning_curve has no points"),
        ("settings", ("data",), {}, "has no training data"),
        ("settings", ("versions",), {}, "has no version of surefit"),
        ("prediction_trace", ("layers", 0, "columns"), [], "layers[0] has no columns"),
    ],
)
def test_what_is_missing_for_the_page_is_named(copied_run, name, place, value, said):
    path = getattr(copied_run, name)
    content = parent = read_json(path)
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError, match=f"{path.name} is damaged: .*{re.escape(said)}"):
        report_run(copied_run.path)


@pytest.mark.parametrize("name", ["label_issues", "mistakes", "training_examples"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", b'"', b"SAME\n1,2\n", b"SAME\n1,2,3,4,5,6,7,8,9\n"])
def test_damaged_tables_are_named_in_a_sentence(copied_run, name, content):
    path = getattr(copied_run, name)
    header = path.read_bytes().splitlines()[0]
    path.write_bytes(content.replace(b"SAME", header))
    with pytest.raises(RunError, match=f"{path.name} .*; train again with --overwrite"):
        report_run(copied_run.path)


@pytest.mark.parametrize("name", ["label_issues", "mistakes"])
def test_files_with_texts_may_be_taken_away(noisy_run, tmp_path, name):
    run = RunDirectory(shutil.copytree(noisy_run.path, tmp_path / "run"))
    path = getattr(run, name)
    path.unlink()
    page = report_run(run.path).read_text(encoding="utf-8")
    assert f"{path.name} is no longer in the run, so that they cannot be shown." in page
    assert page.count("is no longer in the run") == 1


def test_a_run_that_is_not_finished_has_no_report(copied_run):
    copied_run.metrics.unlink()
    with pytest.raises(RunError, match=r"is not finished; finish it with `surefit train DATA --run .* --resume`"):
        report_run(copied_run.path)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="there is no directory"):
        report_run(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"metrics\.json is missing"):
        report_run(tmp_path)
