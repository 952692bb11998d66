"""A model that abstains: every verb shows the rows that it does not answer as such."""

import csv
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from learnable_rows import learnable_rows, write_table
from surefit.inference.classifier import load
from surefit.model.saved import content_hash
from surefit.progress import Progress
from surefit.runs.evaluate import evaluate_file
from surefit.runs.predict import predict_file, predict_texts
from surefit.runs.predicted import PredictedRows, write_predictions
from surefit.runs.tables import figures_tables, prediction_table
from surefit.types import ABSTAINED, NEVER_ANSWERED

EXACT = {"precision": "fp32", "threads": 1}
TEXTS = ["a great happy film", "", "the worst awful story"]


class Notes(Progress):
    """Keeps what is noted."""

    def __init__(self):
        self.notes = []

    def note(self, sentence):
        self.notes.append(sentence)


@pytest.fixture(scope="module")
def unsure_run(trained_run, tmp_path_factory):
    """A run whose model never answers "bad", and answers "good" always."""
    run = shutil.copytree(trained_run.directory, tmp_path_factory.mktemp("runs") / "unsure")
    path = run / "model" / "surefit.json"
    facts = json.loads(path.read_text())
    facts["decision"] |= {"abstain_below": [NEVER_ANSWERED, 0.0]}
    path.write_text(json.dumps(facts | {"content_sha256": content_hash(facts)}))
    return run


def test_texts_show_the_difference_between_abstained_and_unusable(unsure_run, trained_run):
    predicted = predict_texts(unsure_run, TEXTS, None, EXACT, Progress())
    said = predicted.predictions
    assert [row.label for row in said] == ["good", "", ""]
    assert [(row.abstained, row.reason) for row in said] == [(False, ""), (False, "empty text"), (True, "")]
    plain = trained_run.load(**EXACT).predict(TEXTS)
    assert [row.scores for row in said] == [row.scores for row in plain]
    rows = prediction_table(predicted).rows
    assert [row[1] for row in rows] == ["good", "(empty text)", f"({ABSTAINED})"]
    assert [row[2] for row in rows] == [f"{said[0].score:.4f}", "", f"{said[2].score:.4f}"]
    entry = predicted.to_dicts()[2]
    assert (entry["label"], entry["reason"], sum(entry["scores"].values())) == ("", ABSTAINED, pytest.approx(1))


def test_files_have_an_empty_label_and_the_reason(unsure_run, tmp_path):
    data = write_table(tmp_path / "new.csv", ("text",), [(text,) for text in TEXTS])
    progress = Notes()
    predicted = PredictedRows.joined(predict_file(unsure_run, data, {}, EXACT, progress))
    write_predictions(tmp_path / "out.csv", [predicted])
    write_predictions(tmp_path / "out.parquet", [predicted])
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["reason"]) for row in rows] == [("good", ""), ("", "empty text"), ("", ABSTAINED)]
    assert float(rows[2]["probability"]) > 0.5
    assert pq.read_table(tmp_path / "out.parquet")["reason"].to_pylist() == ["", "empty text", ABSTAINED]
    assert any(note.startswith("rows that the model abstained from: 1;") for note in progress.notes)
    assert any(note.startswith("rows that could not be classified: 1 empty text;") for note in progress.notes)


def test_tables_get_the_reason_in_its_column(unsure_run):
    shown = load(unsure_run, **EXACT).predict(pa.table({"text": TEXTS}))
    assert shown["prediction"].to_pylist() == ["good", "", ""]
    assert shown["reason"].to_pylist() == ["", "empty text", ABSTAINED]


def test_a_trace_names_no_label(unsure_run):
    trace = load(unsure_run, **EXACT).trace(TEXTS[2])
    assert trace.label == ""
    assert "the model abstains: it would be bad, which it never answers" in trace.layers[-1].note


def test_an_evaluation_counts_the_rows_that_are_answered(unsure_run, trained_run, tmp_path):
    rows = learnable_rows(30, seed=8)
    data = write_table(tmp_path / "more.csv", ("text", "label"), rows)
    plain = evaluate_file(trained_run.directory, data, {}, EXACT, Progress())["result"]
    result = evaluate_file(unsure_run, data, {}, EXACT, Progress())["result"]
    answered = sum(row[1] for row in plain["confusion_matrix"])
    assert (result["n"], result["answered"], plain["answered"]) == (30, answered, 30)
    assert 0 < answered < 30
    assert result["confusion_matrix"] == [[0, row[1]] for row in plain["confusion_matrix"]]
    assert result["accuracy"] == pytest.approx(plain["confusion_matrix"][1][1] / 30)
    assert result["per_class"]["bad"]["recall"] == 0
    assert result["loss"] == plain["loss"]
    assert f"of which {answered} are answered" in figures_tables(result, "Evaluation")[0].note
