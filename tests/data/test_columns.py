"""Columns are found by flag or by their usual names, and never guessed."""

import pytest

from surefit.config import ReadSettings
from surefit.data.columns import AsTrained, Roles, choose_columns
from surefit.errors import DataError


def choose(*columns, labelled=True, **settings):
    return choose_columns(columns, ReadSettings(**settings), labelled=labelled, from_first_line=True)


def choose_as_trained(*columns, trained, beside=False, **settings):
    known = AsTrained.of(ReadSettings(**settings), trained, given_beside=beside)
    return choose_columns(columns, known, labelled=True, from_first_line=True)


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (("text", "label"), (0, 1)),
        (("Class", "n", "Review Text"), (2, 0)),
        (("SENTIMENT", "tweet", "title"), (1, 0)),
    ],
)
def test_usual_names_are_found(columns, roles):
    assert choose(*columns) == Roles(roles[0], None, roles[1], None)


def test_flags_come_before_names():
    assert choose("text", "label", "a", "b", text="a", label="b") == Roles(2, None, 3, None)


def test_a_flag_frees_the_other_candidates():
    assert choose("text", "review", "label", text_pair="review") == Roles(0, 1, 2, None)
    assert choose("text", "review", "label", text="review", text_pair="text") == Roles(1, 0, 2, None)


def test_an_exact_name_comes_before_case():
    assert choose("Text", "text", "label", text="text").text == 1
    assert choose("BODY", "label", text=" body ").text == 0


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        (("a", "label"), {}, r'no column is certain to be the text \(columns: "a", "label"\); name it with --text'),
        (("text", "b"), {}, "name it with --label"),
        (("text", "class", "label"), {}, "more than one column could be the label"),
        (("Text", "TEXT", "label"), {"text": "text"}, "fits 2 columns"),
        (("text", "label"), {"id": "key"}, '--id "key" names no column'),
        (("text", "category"), {"label": "catgory"}, 'did you mean "category"'),
        (("text", "label"), {"text": "text", "text_pair": "text"}, 'are the same column, "text"'),
        (("1.5", "I like it"), {}, "add --no-header"),
        (("text;label",), {}, "--delimiter; if the first line is data, add --no-header"),
        (("a", "b"), {}, "name it with --text; if the first line is data, add --no-header"),
        (
            ("text", "lable"),
            {},
            r'the label \(columns: "text", "lable"\); perhaps --label "lable"; if the first line is data, add --no-header$',
        ),
        (("Texts", "label"), {}, r'perhaps --text "Texts"'),
        (("text", "label"), {"id": "text"}, 'since "text" is the id; name another with --text'),
    ],
)
def test_doubt_is_an_error_that_names_the_flag(columns, settings, message):
    with pytest.raises(DataError, match=message):
        choose(*columns, **settings)


def test_names_that_are_no_first_line_are_no_data():
    with pytest.raises(DataError, match=r"name it with --text$"):
        choose_columns(("a", "b"), ReadSettings(), labelled=True)


def test_messages_shorten_names_and_lists_of_names():
    with pytest.raises(DataError) as caught:
        choose(*["secret " * 50] * 300)
    assert "and 280 more" in str(caught.value)
    assert max(map(len, str(caught.value).split('"'))) <= 80


def test_prediction_needs_no_label_and_takes_one_that_is_certain():
    assert choose("text", labelled=False).label is None
    assert choose("text", "label", labelled=False).label == 1
    assert choose("text", "class", "label", labelled=False).label is None
    assert choose("text", "x", labelled=False, label="label").label is None


def test_a_single_column_without_header_is_the_text_to_predict():
    assert choose("1", labelled=False, header=False).text == 0
    with pytest.raises(DataError, match="--text"):
        choose("whatever", labelled=False)


def test_a_second_text_is_found_by_its_exact_name_where_the_text_is():
    columns = ("text", "text_pair", "label")
    assert choose_columns(columns, ReadSettings(), labelled=True).text_pair == 1
    assert choose_columns(columns, ReadSettings(text="text"), labelled=True).text_pair is None


@pytest.mark.parametrize(
    ("columns", "settings", "free"),
    [
        (("text", "label"), {"text_pair": "test"}, None),
        (("text", "label"), {"id": "labels"}, None),
        (("text", "review", "label"), {"text": "text", "text_pair": "tex"}, None),
        (("text", "review", "label"), {"text": "text", "text_pair": "reviw"}, "review"),
        (("text", "label"), {"text": "test"}, "text"),
    ],
)
def test_a_column_that_has_a_role_is_offered_for_no_other(columns, settings, free):
    with pytest.raises(DataError, match="names no column") as caught:
        choose(*columns, **settings)
    offered = str(caught.value).partition("did you mean ")[2]
    assert offered == (f'"{free}"?' if free else "")


def test_the_columns_of_the_training_data_come_after_flags_and_before_usual_names():
    trained = {"text": "body", "label": "queue"}
    assert choose_as_trained("text", "body", "label", "queue", trained=trained) == Roles(1, None, 3, None)
    assert choose_as_trained("text", "body", "label", "queue", trained=trained, text="text") == Roles(0, None, 3, None)
    assert choose_as_trained("text", "label", trained=trained) == Roles(0, None, 1, None)


def test_a_column_asked_for_loses_the_role_that_it_had_in_training():
    assert choose_as_trained("topic", "label", trained={"text": "text", "label": "topic"}, text="topic") == Roles(
        0, None, 1, None
    )


@pytest.mark.parametrize(
    ("columns", "trained", "settings", "role"),
    [
        (("words", "label"), {"text": "review", "label": "label"}, {}, "text"),
        (("text", "sentence", "label"), {"text": "review", "label": "label"}, {}, "text"),
        (("text", "mood"), {"text": "text", "label": "label"}, {}, "label"),
        (("text", "label"), {"text": "words", "label": "label"}, {"text": "words"}, "text"),
        (("text", "label"), {"text": "text", "label": "label", "id": "key"}, {"id": "key"}, "id"),
        (("text", "label"), {"text": "text", "text_pair": "text_pair", "label": "label"}, {}, "text_pair"),
    ],
)
def test_beside_the_training_data_a_column_is_to_be_renamed(columns, trained, settings, role):
    with pytest.raises(DataError, match=f'; rename the column to "{trained[role]}", as in the training data$'):
        choose_as_trained(*columns, trained=trained, beside=True, **settings)
