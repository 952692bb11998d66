import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import labelled_rows

from surefit.data.clean import (
    SMALL_CLASS,
    clean,
    drop_small_classes,
    encode_labels,
    label_pairs,
    label_schema,
    leave_out_classes,
)
from surefit.errors import DataError
from surefit.normalization import normalize_text
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

repeatable = settings(derandomize=True, deadline=None)

SPAM = LabelSchema(SINGLE_LABEL, ("ham", "spam"))


def test_clean_normalizes_every_text_and_counts_the_changed_ones():
    cleaned = clean(labelled_rows(["as it is", "  two\u200b  spaces", "tab\tbed"], ["a", "b", "a"]))
    assert cleaned.examples.texts.to_pylist() == ["as it is", "two spaces", "tab bed"]
    assert cleaned.texts_changed == 2


def test_clean_counts_a_row_once_when_both_texts_change():
    cleaned = clean(labelled_rows([" a", "b", "c"], text_pairs=["x ", "y", " z"]))
    assert cleaned.examples.text_pairs.to_pylist() == ["x", "y", "z"]
    assert cleaned.texts_changed == 2


def test_clean_leaves_ids_labels_records_and_lines_alone():
    examples = labelled_rows([" a ", "b"], ["x", "y"])
    cleaned = clean(examples).examples
    assert cleaned.ids == examples.ids
    assert cleaned.labels == examples.labels
    assert cleaned.records.tolist() == [1, 2]
    assert cleaned.lines.tolist() == [2, 3]


def test_clean_of_no_rows_is_no_rows():
    assert len(clean(labelled_rows([])).examples) == 0


@repeatable
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=8))
def test_clean_does_to_a_column_what_the_rule_does_to_each_text(texts):
    cleaned = clean(labelled_rows(texts))
    assert cleaned.examples.texts.to_pylist() == [normalize_text(text) for text in texts]
    assert clean(cleaned.examples).texts_changed == 0


def test_clean_goes_through_more_rows_than_one_chunk():
    texts = [f" row {number}" for number in range(70_000)]
    cleaned = clean(labelled_rows(texts))
    assert cleaned.texts_changed == 70_000
    assert cleaned.examples.texts.to_pylist() == [text[1:] for text in texts]


def test_schema_sorts_class_names():
    schema = label_schema(labelled_rows(list("abcd"), ["z", "a", "m", "a"]), SINGLE_LABEL)
    assert schema == LabelSchema(SINGLE_LABEL, ("a", "m", "z"))


def test_schema_of_several_labels_a_row_names_each_class_once():
    schema = label_schema(labelled_rows(list("abc"), [["joy", "fear"], ["joy"], []]), MULTI_LABEL)
    assert schema == LabelSchema(MULTI_LABEL, ("fear", "joy"))


def test_single_class_is_an_error_that_names_it_and_the_place():
    with pytest.raises(DataError, match=r"every row of mail\.csv has the same class, 'ham'.*--label"):
        label_schema(labelled_rows(["a", "b"], ["ham", "ham"]), SINGLE_LABEL, "mail.csv")


def test_rows_without_labels_are_an_error():
    with pytest.raises(DataError, match="--label"):
        label_schema(labelled_rows(["a"]), SINGLE_LABEL)
    with pytest.raises(DataError, match="--label"):
        encode_labels(labelled_rows(["a"]), SPAM)


@pytest.mark.parametrize("values_per_row", [1.0, 0.6])
def test_column_of_ids_is_an_error_that_names_no_value(values_per_row):
    labels = [f"secret{int(row * values_per_row)}" for row in range(100)]
    with pytest.raises(DataError, match=r"ids or free text.*--label") as caught:
        label_schema(labelled_rows(["text"] * 100, labels), SINGLE_LABEL, "data.csv")
    assert "data.csv" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_different_value_in_every_row_of_a_small_file_is_an_error():
    with pytest.raises(DataError, match="4 different values in 4 rows"):
        label_schema(labelled_rows(list("abcd"), ["1.5", "2.5", "3.5", "4.5"]), SINGLE_LABEL)


def test_many_classes_of_few_rows_are_classes():
    labels = [f"intent{row % 150}" for row in range(450)]
    assert len(label_schema(labelled_rows(["text"] * 450, labels), SINGLE_LABEL)) == 150


def test_two_rows_of_two_classes_are_classes():
    assert len(label_schema(labelled_rows(["a", "b"], ["x", "y"]), SINGLE_LABEL)) == 2


def test_encoding_single_labels_gives_class_ids():
    targets = encode_labels(labelled_rows(list("abc"), ["spam", "ham", "spam"]), SPAM)
    assert targets.tolist() == [1, 0, 1]
    assert targets.dtype == np.int64


def test_encoding_several_labels_gives_zeros_and_ones():
    schema = LabelSchema(MULTI_LABEL, ("a", "b", "c"))
    targets = encode_labels(labelled_rows(list("wxyz"), [["c", "a"], [], ["b"], ["b", "b"]]), schema)
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_encoding_rows_taken_out_of_a_larger_set():
    examples = labelled_rows(list("abcd"), ["ham", "spam", "spam", "ham"]).take(np.array([3, 1]))
    assert encode_labels(examples, SPAM).tolist() == [0, 1]


def test_unknown_class_is_named_with_file_line_nearest_and_known_classes():
    with pytest.raises(DataError) as caught:
        encode_labels(labelled_rows(list("abc"), ["ham", "SPAM", "eggs"]), SPAM, "test.csv")
    message = str(caught.value)
    assert message.startswith("test.csv, line 3: class 'SPAM' (and 1 more unknown class)")
    assert "did you mean 'spam'?" in message
    assert message.endswith("known: 'ham', 'spam'")


def test_line_of_an_unknown_class_is_that_of_its_row_also_with_several_labels_a_row():
    schema = LabelSchema(MULTI_LABEL, ("a", "b"))
    with pytest.raises(DataError, match=r"test\.csv, line 4: class 'c' does not stand"):
        encode_labels(labelled_rows(list("xyz"), [["a", "b"], [], ["b", "c"]]), schema, "test.csv")


def test_unknown_class_message_stays_one_short_line():
    schema = LabelSchema(SINGLE_LABEL, tuple(f"class{number:03}" for number in range(150)))
    with pytest.raises(DataError) as caught:
        encode_labels(labelled_rows(["a"], ["a whole text of a row\n" * 100]), schema)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert message.endswith("and 140 more")


def test_two_labels_where_one_is_needed_are_an_error_with_the_line():
    with pytest.raises(DataError, match=r"line 3 of test\.csv has 2 classes"):
        encode_labels(labelled_rows(["a", "b"], ["ham", ["ham", "spam"]]), SPAM, "test.csv")


def test_label_pairs_list_each_label_of_each_row():
    rows, class_ids = label_pairs(np.array([2, 0]))
    assert (rows.tolist(), class_ids.tolist()) == ([0, 1], [2, 0])
    rows, class_ids = label_pairs(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=np.int8))
    assert (rows.tolist(), class_ids.tolist()) == ([0, 0, 2], [0, 2, 1])


def test_rows_of_small_classes_are_rejected_not_lost():
    examples = labelled_rows(list("abcdef"), ["x", "rare", "y", "x", "y", "odd"])
    kept = drop_small_classes(examples, 2)
    assert kept.examples.texts.to_pylist() == ["a", "c", "d", "e"]
    assert [(row.record, row.line, row.id, row.reason) for row in kept.rejected] == [
        (2, 3, "id2", SMALL_CLASS),
        (6, 7, "id6", SMALL_CLASS),
    ]
    assert kept.left_out == ("odd", "rare")


def test_class_with_exactly_the_minimum_stays():
    examples = labelled_rows(list("abcd"), ["x", "x", "y", "y"])
    kept = drop_small_classes(examples, 2)
    assert kept.examples is examples
    assert kept.rejected == ()
    assert kept.left_out == ()


def test_leaving_out_a_row_of_several_labels_can_make_another_class_too_small():
    labels = [["rare", "mid"], ["mid"], ["big"], ["big"], []]
    kept = drop_small_classes(labelled_rows(list("abcde"), labels), 2)
    assert kept.examples.texts.to_pylist() == ["c", "d", "e"]
    assert kept.left_out == ("mid", "rare")


def test_all_classes_can_be_too_small():
    kept = drop_small_classes(labelled_rows(["a", "b"], ["x", "y"]), 2)
    assert len(kept.examples) == 0
    assert len(kept.rejected) == 2


def test_classes_left_out_of_training_are_left_out_of_a_separate_file():
    kept = leave_out_classes(labelled_rows(list("abc"), ["x", "rare", "y"]), ["rare", "absent"])
    assert kept.examples.texts.to_pylist() == ["a", "c"]
    assert [row.record for row in kept.rejected] == [2]
    assert kept.left_out == ("rare",)
