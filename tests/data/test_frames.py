"""Tables in memory."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from surefit.config import ReadSettings
from surefit.data.read import read_frame
from surefit.errors import DataError, UsageError


class Stream:
    """What another library's frame looks like from here."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class ColumnsByName:
    """A table that gives its columns by name, as a Dataset does."""

    def __init__(self, columns):
        self.column_names = list(columns)
        self.columns_by_name = columns

    def __getitem__(self, name):
        return iter(self.columns_by_name[name])


@pytest.mark.parametrize(
    "kind",
    [
        pd.DataFrame,
        pa.table,
        lambda columns: pa.table(columns).to_reader(),
        lambda columns: Stream(pa.table(columns)),
        ColumnsByName,
    ],
    ids=["pandas", "Arrow", "Arrow stream", "other stream", "columns by name"],
)
def test_kinds_of_frames(kind):
    result = read_frame(kind({"text": ["a", None, "b"], "label": [1, 2, 1]}), ReadSettings())
    assert result.file_format == "frame"
    assert result.examples.texts.to_pylist() == ["a", "b"]
    assert result.examples.labels.to_pylist() == [["1"], ["1"]]
    assert [(record.line, record.reason) for record in result.rejected] == [(2, "empty text")]


def test_missing_values_of_pandas():
    missing = [None, np.nan, pd.NA, pd.NaT]
    frame = pd.DataFrame({"text": ["a", *missing], "label": ["x"] * 5}, dtype=object)
    assert read_frame(frame, ReadSettings()).rejected_by_reason() == {"empty text": 4}


def test_mixed_values_and_categories_of_pandas():
    values = [1, 2.0, "three", datetime.date(2024, 1, 2), np.float32(0.1), ["nested"]]
    frame = pd.DataFrame({"text": pd.Series(values, dtype=object), "label": pd.Categorical(list("xyxyxy"))})
    result = read_frame(frame, ReadSettings())
    assert result.examples.texts.to_pylist() == ["1", "2", "three", "2024-01-02", "0.1"]
    assert result.rejected_by_reason() == {"nested value": 1}


def test_the_index_of_pandas_does_not_matter():
    frame = pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}, index=[9, 9])
    examples = read_frame(frame, ReadSettings()).examples
    assert examples.ids.to_pylist() == ["1", "2"]


def test_columns_of_one_name_are_an_error():
    frame = pd.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"])
    with pytest.raises(DataError, match="more than one"):
        read_frame(frame, ReadSettings())


NO_TABLES = [None, {"text": ["a"]}, ["a"], "rows.csv", pd.Series(["a"]), pa.array(["a"]), pa.chunked_array([["a"]])]


@pytest.mark.parametrize("thing", [*NO_TABLES, np.array(["a"]), Stream(pa.chunked_array([["a"]]))])
def test_what_is_no_table_is_a_usage_error(thing):
    with pytest.raises(UsageError, match="no table"):
        read_frame(thing, ReadSettings())
