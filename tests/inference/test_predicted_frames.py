"""Tables of every kind as rows to predict, and what comes back of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from foreign_tables import OTHER_TABLES, ArrowStream, SplitsByName

from surefit.data.reasons import EMPTY_TEXT
from surefit.errors import DataError, UsageError


def test_a_frame_comes_back_with_columns_added(model):
    frame = pd.DataFrame({"n": [1, 2, 3], "review": ["a great film", None, "awful"]}, index=[7, 7, 9])
    copy = frame.copy()
    found = model.predict(frame, text="review")
    pd.testing.assert_frame_equal(frame, copy)
    pd.testing.assert_frame_equal(found[["n", "review"]], frame)
    assert found.columns.tolist() == ["n", "review", "prediction", "probability", "truncated", "reason"]
    said = model.predict(["a great film", None, "awful"])
    assert found.prediction.tolist() == [row.label for row in said]
    assert found.reason.tolist() == ["", EMPTY_TEXT, ""]
    np.testing.assert_allclose(found.probability, [row.score for row in said], atol=1e-6)


@pytest.mark.parametrize("kind", OTHER_TABLES.values(), ids=OTHER_TABLES)
def test_other_tables_come_back_as_an_arrow_table_with_columns_added(model, kind):
    table = pa.table({"n": [1, 2, 3], "text": ["a great film", None, "awful"]})
    found = model.predict(kind(table))
    assert found.select(["n", "text"]) == table
    assert found.column_names == ["n", "text", "prediction", "probability", "truncated", "reason"]
    said = model.predict(["a great film", None, "awful"])
    assert found.column("prediction").to_pylist() == [row.label for row in said]
    assert found.column("reason").to_pylist() == ["", EMPTY_TEXT, ""]
    np.testing.assert_allclose(model.predict_proba(kind(table)), model.predict_proba(table.column("text")), atol=1e-6)


def test_a_table_that_cannot_be_read_is_a_sentence(model):
    def batches():
        yield pa.record_batch({"text": ["good"]})
        raise RuntimeError("the connection is gone")

    broken = pa.RecordBatchReader.from_batches(pa.schema({"text": pa.string()}), batches())
    with pytest.raises(DataError, match="the rows of the table cannot be read"):
        model.predict(broken)


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table])
def test_columns_of_the_user_are_not_replaced(model, kind):
    with pytest.raises(UsageError, match="the table has a column 'reason' already"):
        model.predict(kind({"text": ["good"], "reason": ["mine"]}))


def test_a_frame_is_read_from_the_columns_of_the_training_data(model, pairs_model):
    found = model.predict(pd.DataFrame({"review": ["worst awful sad"], "text": ["great happy best"]}))
    assert found.prediction.tolist() == ["good"]
    both = pd.DataFrame({"text": ["x"], "question": ["is it"], "answer": ["a great film"]})
    assert pairs_model.predict_proba(both) == pytest.approx(pairs_model.predict_proba(["is it"], ["a great film"]), abs=1e-6)


def test_probabilities_of_a_frame(model):
    frame = pd.DataFrame({"review": ["a great film", None]})
    found = model.predict_proba(frame, text="review")
    np.testing.assert_allclose(found, model.predict_proba(["a great film", None]), atol=1e-6)


@pytest.mark.parametrize(
    "rows",
    [
        *(None, 3, b"good", {"text": ["good"]}, {"good", "bad"}, frozenset(["good"]), np.array("a")),
        ArrowStream(pa.chunked_array([["good"]])),
        SplitsByName(),
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_what_is_no_rows_is_a_sentence(model, rows):
    with pytest.raises(UsageError, match="give a text, a list of texts or a pandas DataFrame, not "):
        model.predict(rows)
    with pytest.raises(UsageError, match="give a text, a list of texts or a pandas DataFrame, not "):
        model.predict_proba(rows)


def test_a_frame_whose_text_is_not_certain_is_a_sentence(model):
    with pytest.raises(DataError, match="no column is certain to be the text"):
        model.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))


def test_names_of_columns_go_with_a_frame(model):
    with pytest.raises(UsageError, match="text= names a column of a DataFrame"):
        model.predict(["good"], text="review")
    with pytest.raises(UsageError, match="not label="):
        model.predict(pd.DataFrame({"text": ["good"]}), label="y")


def test_second_texts_beside_a_table_are_refused(pairs_model):
    frame = pd.DataFrame({"question": ["is it"], "answer": ["good"]})
    for predict in (pairs_model.predict, pairs_model.predict_proba):
        with pytest.raises(UsageError, match="the second texts of a table are a column of it; name it with text_pair="):
            predict(frame, ["good"])


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table, lambda columns: pa.table(columns).to_reader()])
def test_a_table_of_no_rows_comes_back_with_columns_added(model, kind):
    empty, one = (model.predict(kind({"text": pa.array(texts, pa.string())})) for texts in ([], ["good"]))
    added = ["text", "prediction", "probability", "truncated", "reason"]
    assert len(empty) == 0
    if isinstance(empty, pd.DataFrame):
        assert empty.columns.tolist() == added
        assert empty.dtypes[added[1:]].tolist() == one.dtypes[added[1:]].tolist()
        assert one.prediction.tolist() == [model.predict("good").label]
    else:
        assert empty.schema == one.schema
        assert empty.column_names == added
    assert model.predict_proba(kind({"text": pa.array([], pa.string())})).shape == (0, 2)


@pytest.mark.parametrize("kind", OTHER_TABLES.values(), ids=OTHER_TABLES)
def test_second_texts_of_a_list_are_no_table(pairs_model, kind):
    with pytest.raises(UsageError, match="give the second texts of a list of texts as a list too"):
        pairs_model.predict(["is it"], kind(pa.table({"text": ["good"]})))
