"""A run with damaged files ends in a sentence, or is mended, and never in a traceback."""

import io
import json
import shutil

import pytest
from rich.console import Console

from learnable_rows import LEARNING
from surefit.artifacts import RunDirectory
from surefit.cli.render import print_run_trace, print_tables
from surefit.errors import ModelError, RunError
from surefit.inference.classifier import load
from surefit.model.saved import content_hash
from surefit.runs.directory import require_no_run_file
from surefit.runs.tables import evaluation_tables
from surefit.runs.train import open_run, train


@pytest.fixture
def copied_run(trained_run, tmp_path):
    shutil.copytree(trained_run.directory, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda facts: facts.update(versions=None), "has no 'versions'; it is damaged"),
        (lambda facts: facts.update(data=5), "has no 'data'; it is damaged"),
        (lambda facts: facts["settings"].update(read=None), "settings of 'read' in settings.json are damaged"),
    ],
)
def test_damaged_settings_are_named_when_the_run_is_resumed(copied_run, learnable_csv, tiny_bert, edit, sentence):
    copied_run.metrics.unlink()
    change(copied_run.settings, edit)
    with pytest.raises(RunError, match=sentence):
        train(learnable_csv, copied_run.path, resume=True, model=tiny_bert, **LEARNING)


def places_in(content, place=()):
    """The way to each value of a JSON file; of lists, to the first and the last only."""
    if place:
        yield place
    entries = content.items() if isinstance(content, dict) else []
    if isinstance(content, list):
        entries = [(position, content[position]) for position in sorted({0, len(content) - 1})] if content else []
    for name, value in entries:
        yield from places_in(value, (*place, name))


def damaged_text(text, place, value):
    """A JSON file with another value, as JSON text, in one place, or with none there."""
    content = parent = json.loads(text)
    for step in place[:-1]:
        parent = parent[step]
    if value is None:
        del parent[place[-1]]
        return json.dumps(content)
    parent[place[-1]] = "the value"
    return json.dumps(content).replace('"the value"', value)


def show(run):
    """Shows a run in each of the ways that it is shown."""
    run._repr_html_()
    console = Console(file=io.StringIO(), width=100)
    print_run_trace(console, run.trace)
    print_tables(console, evaluation_tables(run.metrics))
    json.dumps({"metrics": run.metrics, "trace": run.trace.to_dict()}, ensure_ascii=False, allow_nan=False).encode()


DAMAGES = ["null", '"x"', "5", "-1", "[]", "{}", "true", "1e400", "1e300", "1" + "0" * 400, r'"\ud800"', None]


@pytest.mark.parametrize("file", ["metrics", "trace"])
@pytest.mark.parametrize("value", DAMAGES, ids=lambda value: "gone" if value is None else value[:6])
def test_a_finished_run_with_another_value_anywhere_is_shown_or_refused(copied_run, file, value):
    path = getattr(copied_run, file)
    text = path.read_text()
    refused = {}
    for place in places_in(json.loads(text)):
        path.write_text(damaged_text(text, place, value))
        try:
            show(open_run(copied_run.path))
        except RunError as error:
            refused[place] = str(error)
    assert len(refused) > 10
    assert [place for place, said in refused.items() if not said.startswith(str(path))] == []
    remedies = ("; train again with --overwrite", "; update SureFit")
    assert [place for place, said in refused.items() if not said.endswith(remedies)] == []


@pytest.mark.parametrize("file", ["metrics", "trace"])
def test_a_damaged_result_is_named_where_a_complete_run_is_resumed(copied_run, learnable_csv, tiny_bert, file):
    change(getattr(copied_run, file), lambda content: content.update(training=None))
    with pytest.raises(RunError, match=rf"{file}\.json is damaged: training must be an object, not null; train again with"):
        train(learnable_csv, copied_run.path, resume=True, model=tiny_bert, id="id", **LEARNING)


def test_a_maximum_length_beyond_the_model_is_named(copied_run):
    def longer(facts):
        facts["max_length"] = 1_000_000
        facts["content_sha256"] = content_hash(facts)  # as if it had been written like that

    change(copied_run.model / "surefit.json", longer)
    with pytest.raises(ModelError, match="max_length 1000000, which the model cannot read"):
        load(copied_run.path)


def test_no_output_is_written_into_a_saved_model(copied_run, learnable_csv, tmp_path):
    model = shutil.copytree(copied_run.model, tmp_path / "copied out")
    for path in (model / "config.json", copied_run.model / "new.csv", copied_run.predictions):
        with pytest.raises(RunError, match="name another"):
            require_no_run_file(path)
    copied_run.settings.write_text("cut o")  # the run has lost its mark, not its model
    with pytest.raises(RunError, match="name another"):
        require_no_run_file(copied_run.model / "surefit.json")
    require_no_run_file(tmp_path / "predictions.csv")


def test_a_changed_fact_is_noticed(copied_run):
    change(copied_run.model / "surefit.json", lambda facts: facts["decision"].update(thresholds=[0.9, 0.1]))
    with pytest.raises(ModelError, match=r"surefit\.json"):
        load(copied_run.path)


def test_swapped_class_names_are_noticed(copied_run):
    change(copied_run.model / "config.json", lambda config: config["id2label"].update({"0": "good", "1": "bad"}))
    with pytest.raises(ModelError, match=r"config\.json is not the file that was saved"):
        load(copied_run.path)


def test_damaged_lines_of_the_training_log_are_dropped_on_resume(copied_run, learnable_csv, tiny_bert):
    copied_run.metrics.unlink()
    shutil.rmtree(copied_run.checkpoints)
    copied_run.training_log.write_bytes(b"1\n{}\n\xff\n")
    train(learnable_csv, copied_run.path, resume=True, model=tiny_bert, **LEARNING)
    lines = [json.loads(line) for line in copied_run.training_log.read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"][:3] == [1, 2, 3]


def test_an_invisible_character_in_a_typed_special_token_changes_no_answer(trained_run):
    classifier = trained_run.load(precision="fp32", threads=1)
    dirty, clean = "good [SE\u200bP] film", "good [SEP] film"
    assert classifier.predict(dirty).scores == classifier.predict(clean).scores
    assert classifier.trace(dirty).score == pytest.approx(classifier.predict(dirty).score, abs=1e-6)
