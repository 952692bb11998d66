"""Validation and test files beside the training data, and rows of another kind than those learned before."""

from __future__ import annotations

import pytest

from learnable_rows import LEARNING, learnable_rows, write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.config import Settings
from surefit.errors import DataError
from surefit.progress import Progress
from surefit.runs.earlier import find_earlier_run
from surefit.runs.rows import Sources, prepare_rows
from surefit.runs.train import train
from surefit.trace import GIVEN_SPLIT_SENTENCES, STAGE_SENTENCES, PipelineRecorder

SINGLE, PAIR = ("text", "label"), ("text", "text_pair", "label")
UNREAD = 'the column "text_pair" is not read: the model is trained on single texts'
ROWS = learnable_rows(60)
PAIRS = [(text, "as it was", label) for text, label in ROWS]


class Notes(Progress):
    def __init__(self):
        self.said = []

    def note(self, sentence):
        self.said.append(sentence)


def prepared(data, earlier=None, validation=None, test=None, **options):
    """What was said of the rows, and what their stages did, by name."""
    notes, recorder = Notes(), PipelineRecorder()
    sources = Sources(data, validation, test)
    prepare_rows(sources, Settings.from_options(options), earlier, recorder, notes)
    return notes.said, {stage.stage: stage for stage in recorder.finish({}).stages}


@pytest.fixture
def single(tmp_path):
    return write_table(tmp_path / "single.csv", SINGLE, ROWS)


@pytest.fixture
def pairs(tmp_path):
    return write_table(tmp_path / "pairs.csv", PAIR, PAIRS)


@pytest.fixture(scope="module")
def pair_run(tiny_bert, tmp_path_factory):
    """A run that has learned pairs."""
    directory = tmp_path_factory.mktemp("pairs")
    data = write_table(directory / "pairs.csv", PAIR, PAIRS)
    return train(data, directory / "run", model=tiny_bert, **LEARNING | {"epochs": 1})


class TestColumns:
    @pytest.mark.parametrize("place", ["validation", "test"])
    def test_a_given_file_with_other_columns_is_asked_to_rename_them(self, tmp_path, place, single):
        other = write_table(tmp_path / "other.csv", ("words", "label"), ROWS[:4])
        message = r'other\.csv: no column .* the text \(columns: "words", "label"\); rename the column to "text", as in'
        with pytest.raises(DataError, match=message) as caught:
            prepared(single, **{place: other})
        assert "--" not in str(caught.value)

    def test_a_flag_that_only_the_training_data_fit_is_no_advice(self, tmp_path, single):
        data = write_table(tmp_path / "data.csv", ("words", "label"), ROWS)
        with pytest.raises(DataError, match=r'single\.csv: --text "words" names no .*; rename the column to "words", as in'):
            prepared(data, test=single, text="words")

    def test_a_second_text_of_another_name_is_asked_to_be_renamed(self, tmp_path, pairs):
        other = write_table(tmp_path / "other.csv", ("text", "answer", "label"), PAIRS[:4])
        with pytest.raises(DataError, match=r'other\.csv: .* the second text .*; rename the column to "text_pair", as in'):
            prepared(pairs, test=other)

    def test_a_usual_name_is_read_where_the_training_data_have_another(self, tmp_path):
        data = write_table(tmp_path / "data.csv", ("review", "class"), ROWS)
        other = write_table(tmp_path / "other.csv", ("sentence", "label"), ROWS[:4])
        prepared(data, test=other)

    def test_a_second_text_that_the_training_data_have_not_is_said(self, tmp_path, single):
        test = write_table(tmp_path / "test.csv", PAIR, PAIRS[:4])
        said, stages = prepared(single, test=test)
        assert said == [f"test.csv: {UNREAD}"]
        assert f"test.csv: {UNREAD}" in stages["read"].notes


def test_where_every_row_is_rejected_the_way_to_the_reasons_is_said(tmp_path, single):
    useless = write_table(tmp_path / "useless.csv", SINGLE, [("", "good")])
    advice = r"useless\.csv: none of the 1 rows .*; surefit audit DATA --rejected FILE writes each with line and reason$"
    with pytest.raises(DataError, match=advice):
        prepared(useless)
    with pytest.raises(DataError, match=advice):
        prepared(single, test=useless)


class TestTrainingOn:
    def test_pairs_after_single_texts_are_said(self, trained_run, pairs):
        said, stages = prepared(pairs, find_earlier_run(str(trained_run.directory)), text="text", text_pair="text_pair")
        assert said == ["the run that is trained on from has learned single texts, and this one learns pairs of texts"]
        assert said[0] in stages["read"].notes

    def test_a_second_text_that_is_left_out_after_single_texts_is_said(self, trained_run, pairs):
        assert prepared(pairs, find_earlier_run(str(trained_run.directory)))[0] == [f"pairs.csv: {UNREAD}"]

    def test_single_texts_after_pairs_are_said_and_trained_on(self, pair_run, tmp_path, single):
        notes = Notes()
        on = train(single, tmp_path / "on", model=pair_run.directory, progress=notes, **LEARNING | {"epochs": 1})
        assert "the run that is trained on from has learned pairs of texts, and this one learns single texts" in notes.said
        assert "text_pair" not in read_json(RunDirectory(on.directory).settings)["columns"]

    def test_rows_of_the_same_kind_need_no_word(self, trained_run, pair_run, single, pairs):
        assert prepared(single, find_earlier_run(str(trained_run.directory)))[0] == []
        assert prepared(pairs, find_earlier_run(str(pair_run.directory)))[0] == []
        assert prepared(pairs)[0] == []


@pytest.mark.parametrize(("given", "does"), [((), STAGE_SENTENCES["split"]), *GIVEN_SPLIT_SENTENCES.items()])
def test_the_trace_says_which_rows_were_set_aside(tmp_path, single, given, does):
    other = write_table(tmp_path / "other.csv", SINGLE, learnable_rows(4, seed=1))
    assert prepared(single, **dict.fromkeys(given, other))[1]["split"].does == does
