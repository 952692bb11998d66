"""Which columns of a new file are read for a trained model."""

from __future__ import annotations

import pyarrow as pa
import pytest

from learnable_rows import write_table
from surefit.config import ReadSettings
from surefit.data.trained import read_as_trained
from surefit.errors import DataError


def texts(source, trained, labelled=False, **flags):
    reading = read_as_trained(source, ReadSettings(**flags), trained, labelled=labelled)
    return reading.examples.texts.to_pylist(), dict(reading.chosen)


@pytest.fixture
def tickets(tmp_path):
    return write_table(tmp_path / "tickets.csv", ("text", "body", "label", "queue"), [("t", "b", "l", "q")])


def test_the_columns_of_the_training_data_come_before_usual_names(tickets):
    assert texts(tickets, {"text": "body", "label": "queue"}, labelled=True) == (["b"], {"text": "body", "label": "queue"})


def test_columns_asked_for_come_before_those_of_the_training_data(tickets):
    trained = {"text": "body", "label": "queue"}
    assert texts(tickets, trained, labelled=True, text="text") == (["t"], {"text": "text", "label": "queue"})
    assert texts(tickets, trained, labelled=True, label="label") == (["b"], {"text": "body", "label": "label"})


def test_each_column_that_is_not_there_is_found_by_its_usual_name(tmp_path):
    data = write_table(tmp_path / "new.csv", ("review", "queue"), [("r", "q")])
    assert texts(data, {"text": "body", "label": "queue"}, labelled=True) == (["r"], {"text": "review", "label": "queue"})


def test_a_column_asked_for_that_is_not_there_is_refused(tickets):
    with pytest.raises(DataError, match=r'tickets\.csv: --text "words" names no column'):
        texts(tickets, {"text": "body"}, text="words")


def test_where_nothing_is_known_names_decide(tmp_path):
    data = write_table(tmp_path / "new.csv", ("review", "x"), [("r", "q")])
    assert texts(data, {}) == (["r"], {"text": "review"})


def test_a_model_of_single_texts_leaves_second_texts_alone(tmp_path):
    data = write_table(tmp_path / "pairs.csv", ("text", "text_pair"), [("a", "b")])
    assert texts(data, {"text": "text", "label": "label"}) == (["a"], {"text": "text"})


def test_a_second_text_that_is_left_alone_is_said(tmp_path):
    data = write_table(tmp_path / "pairs.csv", ("words", "text_pair", "text"), [("a", "", "c")])
    reading = read_as_trained(data, ReadSettings(), {"text": "review", "label": "label"}, labelled=False)
    assert reading.notes == ('the column "text_pair" is not read: the model is trained on single texts',)
    assert reading.examples.texts.to_pylist() == ["c"]


@pytest.mark.parametrize(
    ("trained", "flags"),
    [
        ({}, {}),
        ({"text": "text", "text_pair": "other"}, {}),
        ({"text": "text"}, {"text": "text"}),
        ({"text": "text"}, {"text_pair": "text_pair"}),
        ({"text": "text_pair"}, {}),
    ],
)
def test_nothing_is_said_where_names_would_not_make_it_a_second_text(tmp_path, trained, flags):
    data = write_table(tmp_path / "pairs.csv", ("text", "text_pair"), [("a", "b")])
    assert read_as_trained(data, ReadSettings(**flags), trained, labelled=False).notes == ()


def test_a_model_of_pairs_reads_both(tmp_path):
    data = write_table(tmp_path / "pairs.csv", ("text", "question", "answer"), [("x", "q", "a")])
    trained = {"text": "question", "text_pair": "answer", "label": "same"}
    assert texts(data, trained) == (["q"], {"text": "question", "text_pair": "answer"})
    assert texts(data, trained, text="text") == (["x"], {"text": "text"})


def test_frames_are_read_alike():
    frame = pa.table({"text": ["t"], "body": ["b"]})
    assert texts(frame, {"text": "body"}) == (["b"], {"text": "body"})


def test_the_id_is_the_file_s_own_matter(tmp_path):
    data = write_table(tmp_path / "new.csv", ("id", "text"), [("same", "a"), ("same", "b")])
    assert texts(data, {"text": "text", "id": "id"})[1] == {"text": "text"}
