"""Parquet files and Arrow tables."""

import datetime
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_builders import read_content

from surefit.config import ReadSettings
from surefit.data.read import read_frame as read_table

read_parquet = partial(read_content, ".parquet")

BOTH = ReadSettings(text="text", label="label")


def as_parquet(table, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array([0.1, 2], pa.float32()), ["0.1", "2"]),
        (pa.array([0.1, 2], pa.float32()).dictionary_encode(), ["0.1", "2"]),
        (pa.array([2**62, -1]), [str(2**62), "-1"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([1, 2], pa.date32()), ["1970-01-02", "1970-01-03"]),
        (pa.array([1_000_000_001, 0], pa.timestamp("ns")), ["1970-01-01T00:00:01", "1970-01-01T00:00:00"]),
        (pa.array([0, 1], pa.timestamp("s", "UTC")), ["1970-01-01T00:00:00+00:00", "1970-01-01T00:00:01+00:00"]),
        (pa.array([datetime.timedelta(seconds=1)] * 2, pa.duration("ns")), ["0:00:01", "0:00:01"]),
        (pa.array([b"a", b"b"], pa.binary()), ["a", "b"]),
    ],
)
def test_kinds_of_columns(column, texts):
    table = pa.table({"text": column, "label": ["x", "y"]})
    assert read_table(table, BOTH, labelled=True).examples.texts.to_pylist() == texts
    assert read_parquet(as_parquet(table), BOTH, labelled=True).examples.texts.to_pylist() == texts


def test_only_the_named_columns_are_read_whatever_they_are_called():
    table = pa.table({"a.b": ["x", "y"], "a": [{"b": "no"}, {"b": "no"}], " label ": [1, 2], "rest": [None, None]})
    result = read_parquet(as_parquet(table), ReadSettings(text="a.b"), labelled=True)
    assert result.columns == ("a.b", "a", "label", "rest")
    assert result.examples.texts.to_pylist() == ["x", "y"]


def test_rows_are_numbered_through_batches_and_row_groups():
    table = pa.table({"text": [str(number) for number in range(40_000)], "label": ["x"] * 40_000})
    examples = read_parquet(as_parquet(table, row_group_size=7000), BOTH, labelled=True).examples
    assert examples.texts.to_pylist() == table.column("text").to_pylist()
    assert examples.lines[-1] == examples.records[-1] == 40_000
