"""Validation and test files beside the training data, and rows of another kind than those learned before."""

from __future__ import annotations

import pytest

from learnable_rows import LEARNING, learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.config import Settings
from surefit.errors import DataError
from surefit.inference.classifier import load
from surefit.progress import Progress
from surefit.runs.earlier import find_earlier_run
from surefit.runs.rows import prepare_rows
from surefit.runs.sources import Sources
from surefit.runs.tables import evaluation_tables
from surefit.runs.train import train
from surefit.trace import GIVEN_SPLIT_SENTENCES, STAGE_SENTENCES, PipelineRecorder

QUICK = LEARNING | {"epochs": 1}
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


@pytest.fixture(scope="module")
def given_run(tiny_bert, tmp_path_factory):
    """A run with its own validation and test files, of the same name as the data, with leaks and rejected rows."""
    directory = tmp_path_factory.mktemp("given")
    rows = learnable_rows(80)
    files = []
    for place, own in (
        ("train", rows[:60]),
        ("validation", [*rows[60:68], rows[0], ("", "good")]),
        ("test", [*rows[68:], *rows[1:3]]),
    ):
        (directory / place).mkdir()
        files.append(write_table(directory / place / "rows.csv", ("text", "label"), own))
    return train(files[0], directory / "run", validation=files[1], test=files[2], model=tiny_bert, **QUICK)


def test_given_files_are_used_as_given(given_run):
    rows = read_table(RunDirectory(given_run.directory).splits)
    assert [row["split"] for row in rows] == ["train"] * 60 + ["validation"] * 9 + ["test"] * 14
    assert [row["id"] for row in rows] == [str(number) for size in (60, 9, 14) for number in range(1, size + 1)]
    assert (given_run.metrics["validation"]["n"], given_run.metrics["test"]["n"]) == (9, 14)


def test_texts_that_given_files_share_with_the_training_rows_are_counted(given_run):
    run = RunDirectory(given_run.directory)
    assert read_json(run.audit)["leaks"] == {"exact": 3, "near": 0, "group": 0, "earlier_run": 0}
    (split,) = (stage for stage in given_run.trace.pipeline.stages if stage.stage == "split")
    warning = "WARNING: 3 validation or test rows repeat a text of another split: the figures are too good"
    assert warning in split.notes
    assert given_run.metrics["leaks"] == {"exact": 3, "near": 0, "group": 0, "earlier_run": 0}
    assert "that it never saw" not in run.model_card.read_text()
    assert warning in run.model_card.read_text()
    assert warning in evaluation_tables(given_run.metrics)[0].title
    assert {row["split"] for row in read_table(run.splits) if row["group"] == "0"} == {"train", "validation"}


def test_each_row_that_leaked_is_listed_with_what_it_repeats(given_run):
    run = RunDirectory(given_run.directory)
    leaks = [(row["id"], row["split"], row["kind"], row["repeats_id"], row["repeats_split"]) for row in read_table(run.leaks)]
    assert leaks == [
        ("9", "validation", "exact", "1", "train"),
        ("13", "test", "exact", "2", "train"),
        ("14", "test", "exact", "3", "train"),
    ]


def test_figures_without_the_leaked_rows_stand_beside_the_others(given_run):
    run = RunDirectory(given_run.directory)
    answers = read_table(run.predictions)[:12]
    without = given_run.metrics["test_without_leaks"]
    assert without["n"] == 12
    assert without["accuracy"] == pytest.approx(sum(row["label"] == row["prediction"] for row in answers) / 12)
    said = f"on the 12 test rows that repeat nothing: accuracy {without['accuracy']:.2%}"
    assert said in run.model_card.read_text()
    assert said in evaluation_tables(given_run.metrics)[0].title


def test_rows_that_nearly_repeat_a_training_text_are_leaks_too(tiny_bert, tmp_path):
    rows = [
        (f"{text} and that is all there is to say about it {number}", label)
        for number, (text, label) in enumerate(learnable_rows(60))
    ]
    copies = [(f"{text.upper()}!", label) for text, label in rows[:3]]
    data = write_table(tmp_path / "rows.csv", ("text", "label"), rows)
    test = write_table(tmp_path / "test.csv", ("text", "label"), [*copies, *learnable_rows(10, seed=1)])
    run = train(data, tmp_path / "run", test=test, model=tiny_bert, **QUICK)
    assert run.metrics["leaks"] == {"exact": 0, "near": 3, "group": 0, "earlier_run": 0}
    leaks = read_table(RunDirectory(run.directory).leaks)
    assert [(row["id"], row["kind"], row["similarity"], row["repeats_id"]) for row in leaks] == [
        (str(number), "near", "1.0", str(number)) for number in (1, 2, 3)
    ]
    (split,) = (stage for stage in run.trace.pipeline.stages if stage.stage == "split")
    assert any("3 validation or test rows nearly repeat a text of another split" in note for note in split.notes)


def test_rows_split_from_one_file_leak_nothing(trained_run):
    run = RunDirectory(trained_run.directory)
    assert read_table(run.leaks) == []
    assert "test_without_leaks" not in trained_run.metrics


def test_the_audit_of_the_training_file_counts_none_of_the_given_files(given_run):
    run = RunDirectory(given_run.directory)
    audit = read_json(run.audit)
    assert (audit["records"], audit["used"], audit["rejected"]) == (60, 60, 0)
    assert [row["line"] for row in read_table(run.rejected)] == ["11"]


@pytest.mark.parametrize("place", ["validation", "test"])
def test_a_class_unknown_to_the_training_rows_is_a_sentence(tiny_bert, tmp_path, place):
    data = write_table(tmp_path / "rows.csv", ("text", "label"), learnable_rows(40))
    other = write_table(tmp_path / "other.csv", ("text", "label"), [*learnable_rows(4, seed=1), ("so so", "fair")])
    with pytest.raises(DataError, match=r"^other\.csv, line 6: class 'fair' does not stand in rows\.csv"):
        train(data, tmp_path / "run", model=tiny_bert, **{place: other}, **QUICK)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["validation", "test"])
def test_a_given_file_with_none_of_the_classes_left_is_a_sentence(tiny_bert, tmp_path, place):
    data = write_table(tmp_path / "rows.csv", ("text", "label"), [*learnable_rows(40), ("so so", "fair")])
    other = write_table(tmp_path / "other.csv", ("text", "label"), [("so", "fair")])
    with pytest.raises(DataError, match=r"other\.csv has no row of a class that is left; lower --min-rows-per-class"):
        train(data, tmp_path / "run", model=tiny_bert, min_rows_per_class=2, **{place: other}, **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_given_file_needs_the_same_columns(tiny_bert, tmp_path):
    pairs = write_table(tmp_path / "pairs.csv", ("text", "text_pair", "label"), [(t, t, y) for t, y in learnable_rows(40)])
    single = write_table(tmp_path / "single.csv", ("text", "label"), learnable_rows(4))
    with pytest.raises(DataError, match=r'single\.csv: --text-pair "text_pair" names no column'):
        train(pairs, tmp_path / "run", test=single, model=tiny_bert, text_pair="text_pair", **QUICK)


@pytest.mark.parametrize("place", ["validation", "test"])
def test_a_given_file_without_the_second_text_is_a_sentence(tiny_bert, tmp_path, place):
    pairs = write_table(tmp_path / "pairs.csv", ("text", "text_pair", "label"), [(t, t, y) for t, y in learnable_rows(40)])
    single = write_table(tmp_path / "single.csv", ("text", "label"), learnable_rows(4))
    with pytest.raises(DataError, match=r'single\.csv: no column is certain .* rename the column to "text_pair", as in the'):
        train(pairs, tmp_path / "run", model=tiny_bert, **{place: single}, **QUICK)


def test_a_second_text_of_a_given_file_is_not_read_where_training_has_none(tiny_bert, tmp_path):
    rows = learnable_rows(48, seed=3)
    single = write_table(tmp_path / "single.csv", ("text", "label"), rows[:40])
    pairs = write_table(tmp_path / "pairs.csv", ("text", "text_pair", "label"), [(t, "", y) for t, y in rows[40:]])
    plain = write_table(tmp_path / "plain.csv", ("text", "label"), rows[40:])
    first = train(single, tmp_path / "first", test=pairs, model=tiny_bert, **QUICK)
    second = train(single, tmp_path / "second", test=plain, model=tiny_bert, **QUICK)
    assert first.metrics["test"] == second.metrics["test"]
    assert first.metrics["test"]["n"] == 8


def test_given_files_are_read_from_the_columns_of_the_training_data(tiny_bert, tmp_path):
    rows = learnable_rows(48, seed=3)
    data = write_table(tmp_path / "data.csv", ("review", "label"), rows[:40])
    test = write_table(tmp_path / "test.csv", ("text", "review", "label"), [("noise", *row) for row in rows[40:]])
    run = RunDirectory(train(data, tmp_path / "run", test=test, model=tiny_bert, **QUICK).directory)
    answers = load(run.path, precision="fp32", threads=1).predict([text for text, _ in rows[40:]])
    assert [row["prediction"] for row in read_table(run.predictions)] == [answer.label for answer in answers]
