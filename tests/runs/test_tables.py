"""What tables say of metrics, audits and predictions."""

from __future__ import annotations

import dataclasses

import pytest

from learnable_rows import write_table
from surefit.progress import Progress
from surefit.runs.audit import audit_file
from surefit.runs.audit_tables import audit_tables
from surefit.runs.predict import predict_texts
from surefit.runs.tables import evaluation_tables, figures_tables, prediction_table
from surefit.trace import Table


def cells(table: Table) -> list[str]:
    return [cell for row in table.rows for cell in row]


def result_of(classes: int) -> dict[str, object]:
    """Figures of many classes, of which class c has F1 c / 100 and is taken c times for the next."""
    names = [f"class{number:02}" for number in range(classes)]
    matrix = [[0] * classes for _ in names]
    for number in range(classes):
        matrix[number][(number + 1) % classes] = number
    per_class = {
        name: {"precision": 0.5, "recall": 0.5, "f1": number / 100, "support": 1000 + number}
        for number, name in enumerate(names)
    }
    bounds = {"precision": [0.4, 0.6], "recall": [0.45, 0.55], "f1": None}
    average = {"precision": 0.25, "recall": 0.5, "f1": 0.75}
    return {
        "per_class": per_class,
        "confusion_matrix": matrix,
        "macro": average,
        "weighted": average,
        "accuracy": 0.5,
        "n": 12345,
        "answered": 12345,
        "intervals": {
            "accuracy": [0.49, 0.51],
            "macro": bounds,
            "weighted": bounds,
            "per_class": dict.fromkeys(names, bounds),
        },
    }


def test_an_evaluation_shows_classes_averages_confusions_and_baselines(trained_run):
    metrics = trained_run.metrics
    per_class, confusion, baselines, data_map, further, verdict = evaluation_tables(metrics)
    assert [row[0] for row in per_class.rows] == ["bad", "good", "macro average", "weighted average"]
    low, high = metrics["test"]["intervals"]["per_class"]["bad"]["f1"]
    assert per_class.rows[0][3] == f"{metrics['test']['per_class']['bad']['f1']:.4f}\n{low:.2f}–{high:.2f}"
    low, high = metrics["test"]["intervals"]["accuracy"]
    assert f"accuracy {metrics['test']['accuracy']:.2%} ({low:.2%} to {high:.2%}) on" in per_class.note
    assert verdict.title == f"Verdict: {metrics['verdict']['grade']}"
    assert [row[0] for row in verdict.rows] == metrics["verdict"]["reasons"]
    assert dict(further.rows)["probabilities"] == metrics["calibration"]["sentence"]
    assert [list(map(int, row[1:])) for row in confusion.rows] == metrics["test"]["confusion_matrix"]
    assert confusion.columns == ("truth", "bad", "good")
    assert [row[1] for row in baselines.rows] == [
        f"{entry['accuracy']:.2%}" for entry in (metrics["test"], *metrics["baselines"].values())
    ]
    assert {row[0]: row[2] for row in data_map.rows} == {
        region: f"{count:,}" for region, count in metrics["data_map"]["counts"].items()
    }
    assert [row[3] for row in data_map.rows] == [", ".join(metrics["data_map"]["examples"][row[0]]) for row in data_map.rows]
    assert data_map.note.startswith(metrics["data_map"]["sentence"])


def test_of_many_classes_the_weakest_are_shown_and_the_most_frequent_confusions():
    per_class, confusion = figures_tables(result_of(40), "Evaluation")
    assert [row[0] for row in per_class.rows[:30]] == [f"class{number:02}" for number in range(30)]
    assert "the 30 classes with the lowest F1 of 40 are shown, metrics.json has all" in per_class.note
    assert confusion.rows[0] == ("class39", "class00", "39")
    assert confusion.rows[1] == ("class38", "class39", "38")
    assert len(confusion.rows) == 8
    assert confusion.note.startswith("780 mistakes in all")


def test_numbers_have_thousands_separators():
    per_class, _ = figures_tables(result_of(3), "Evaluation")
    assert per_class.rows[0][4] == "1,000"
    assert per_class.note == "accuracy 50.00% (49.00% to 51.00%) on 12,345 rows; ranges are 95% intervals"
    assert per_class.rows[0][1:4] == ("0.5000\n0.40–0.60", "0.5000\n0.45–0.55", "0.0000")


def test_rows_that_the_model_abstained_from_are_counted():
    per_class, _ = figures_tables(result_of(3) | {"answered": 9876}, "Evaluation")
    assert "of which 9,876 are answered" in per_class.note


def test_an_audit_shows_where_every_record_went(tiny_bert, tmp_path):
    rows = [("good film", "a"), ("good film", "b"), ("bad  film", "a"), ("", "a"), ("text", ""), ("other", "A")]
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    audit = audit_file(data, {"model": str(tiny_bert)}, tmp_path / "rejected.csv")
    account, classes, lengths, findings = audit_tables(audit, tmp_path / "rejected.csv")
    assert [row[0] for row in findings.rows] == [finding.severity for finding in audit.findings]
    counts = dict(account.rows)
    assert (counts["records in the file"], counts["used"], counts["rejected"]) == ("6", "4", "2")
    assert (counts["  empty text"], counts["  missing label"]) == ("1", "1")
    assert counts["rows whose text stands more than once"] == "2 (different texts: 1)"
    assert counts["  of them under different labels"] == "2 (different texts: 1)"
    assert counts["texts changed by normalisation"] == "1"
    assert str(tmp_path / "rejected.csv") in account.note
    assert classes.rows[0] == ("a", "2", "50.0%")
    assert "alike but for case or spaces: A, a" in classes.note
    assert [row[0] for row in lengths.rows] == ["characters", "words", "tokens"]
    assert (tmp_path / "rejected.csv").read_text() == "record,line,id,reason\n4,5,4,empty text\n5,6,5,missing label\n"


@pytest.mark.parametrize("rejected", [True, False])
def test_an_audit_says_how_to_see_the_rejected_records(tmp_path, rejected):
    rows = [("good film", "a"), ("bad film", "b"), *([("", "a")] if rejected else [])]
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    note = audit_tables(audit_file(data, {}, None), None)[0].note
    assert ("--rejected FILE" in note) == rejected


def test_predictions_show_label_or_reason(trained_run):
    texts = ["a great happy film", "", "good " * 300]
    predicted = predict_texts(trained_run.directory, texts, None, {"precision": "fp32", "threads": 1}, Progress())
    table = prediction_table(predicted)
    assert table.columns == ("text", "label", "probability", "truncated")
    assert [row[1] for row in table.rows] == [said.label or "(empty text)" for said in predicted.predictions]
    assert table.rows[1][1] == "(empty text)"
    assert [row[3] for row in table.rows] == ["", "", "yes"]
    assert table.rows[0][2] == f"{predicted.predictions[0].score:.4f}"
    assert table.rows[1][2] == ""


def test_all_cells_are_texts(trained_run):
    for table in (*trained_run.trace.tables(), *evaluation_tables(trained_run.metrics)):
        assert all(isinstance(cell, str) for cell in cells(table))
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert dataclasses.is_dataclass(table)
