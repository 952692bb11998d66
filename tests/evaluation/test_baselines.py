import csv
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from surefit.evaluation import baselines
from surefit.evaluation.baselines import (
    EMBEDDING_LOGISTIC_REGRESSION,
    MAJORITY_CLASS,
    TFIDF_LOGISTIC_REGRESSION,
    LabelledEmbeddings,
    LabelledExamples,
    embedding_logistic_regression,
    fit_baselines,
    majority_class,
    tfidf_logistic_regression,
)
from surefit.types import SINGLE_LABEL, TEXT_TYPE, Examples, LabelSchema

SCHEMA = LabelSchema(SINGLE_LABEL, ("negative", "positive"))
POSITIVE = ["a wonderful film", "truly wonderful acting", "great fun", "a great wonderful story", "great cast", "wonderful"]
NEGATIVE = ["a dreadful film", "truly dreadful acting", "awful bore", "an awful dreadful story", "awful cast", "dreadful"]


def labelled(texts, targets, pairs=None):
    n = len(texts)
    examples = Examples(
        ids=pa.array([str(i) for i in range(n)], TEXT_TYPE),
        texts=pa.array(texts, TEXT_TYPE),
        text_pairs=None if pairs is None else pa.array(pairs, TEXT_TYPE),
        labels=None,
        records=np.arange(n),
        lines=np.arange(n),
    )
    return LabelledExamples(examples, np.array(targets, dtype=np.int64))


def reviews():
    return labelled(NEGATIVE + POSITIVE, [0] * 6 + [1] * 6)


def test_majority_class_answers_the_most_frequent_class_with_its_share():
    baseline = majority_class(np.array([1, 1, 1, 0]), np.array([1, 0, 0]), SCHEMA)
    assert baseline.name == "majority class"
    assert baseline.predicted.tolist() == [1, 1, 1]
    assert baseline.result.accuracy == pytest.approx(1 / 3)
    assert baseline.result.loss == pytest.approx(-(np.log(0.75) + 2 * np.log(0.25)) / 3)
    assert baseline.fitted_rows == 4


def test_majority_class_takes_the_lower_id_of_two_equal_ones():
    assert majority_class(np.array([1, 0]), np.array([1]), SCHEMA).predicted.tolist() == [0]


def test_tfidf_learns_words_from_a_few_rows():
    unseen = labelled(["what a wonderful cast", "an awful, dreadful bore"], [1, 0])
    baseline = tfidf_logistic_regression(reviews(), reviews(), unseen, SCHEMA, 0)
    assert baseline.result.accuracy == 1.0
    assert baseline.fitted_rows == 12
    assert baseline.seconds > 0


def test_tfidf_sees_the_order_of_neighbouring_words():
    train = labelled(["not good", "good not"] * 5, [0, 1] * 5)
    assert tfidf_logistic_regression(train, train, train, SCHEMA, 0).result.accuracy == 1.0


def test_the_second_text_of_a_pair_is_read():
    train = labelled(["same"] * 12, [0] * 6 + [1] * 6, NEGATIVE + POSITIVE)
    assert tfidf_logistic_regression(train, train, train, SCHEMA, 0).result.accuracy == 1.0


@pytest.mark.parametrize(
    "texts",
    [["yes", "no"], ["!!!", "???"], ["😀", "😡"], ["這部電影很好看", "這部電影很難看"], ["x", "y"], ["c++", "c#"]],
    ids=["one word", "punctuation", "emoji", "no spaces", "one letter", "symbols"],
)
def test_texts_that_are_hardly_words_can_be_told_apart(texts):
    train = labelled(texts * 4, [0, 1] * 4)
    assert tfidf_logistic_regression(train, train, train, SCHEMA, 0).result.accuracy == 1.0


def test_two_rows_are_enough_and_unseen_words_are_no_error():
    train = labelled(["yes", "no"], [1, 0])
    baseline = tfidf_logistic_regression(train, train, labelled(["perhaps"], [1]), SCHEMA, 0)
    assert baseline.result.n == 1


def test_a_class_without_training_rows_gets_no_probability():
    schema = LabelSchema(SINGLE_LABEL, ("negative", "unseen", "positive"))
    train = labelled(NEGATIVE + POSITIVE, [0] * 6 + [2] * 6)
    baseline = tfidf_logistic_regression(train, train, train, schema, 0)
    assert baseline.result.accuracy == 1.0
    assert baseline.result.per_class["unseen"].support == 0


def test_the_penalty_is_chosen_on_validation_rows():
    # One row in five is mislabelled: judged by clean rows, a strong penalty wins; judged by the
    # mislabelled rows themselves, a weak one that repeats their mistakes.
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(100)])
    truth = rng.integers(0, 2, 600)
    texts = [" ".join([("good", "bad")[label], *rng.choice(words, 2)]) for label in truth]
    noisy = np.where(rng.random(600) < 0.2, 1 - truth, truth)
    train, clean = labelled(texts[:400], noisy[:400]), labelled(texts[400:], truth[400:])
    chosen_by_clean_rows = tfidf_logistic_regression(train, clean, clean, SCHEMA, 0)
    chosen_by_its_own_rows = tfidf_logistic_regression(train, train, clean, SCHEMA, 0)
    assert chosen_by_clean_rows.result.accuracy > chosen_by_its_own_rows.result.accuracy + 0.05


def test_a_fit_that_stops_short_of_its_optimum_warns_nobody():
    # Five random labels on thirty words take more than the iterations allowed; warnings are errors here.
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(30)])
    rows = labelled([" ".join(rng.choice(words, 3)) for _ in range(1_000)], rng.integers(0, 5, 1_000))
    schema = LabelSchema(SINGLE_LABEL, tuple("abcde"))
    assert tfidf_logistic_regression(rows, rows, rows, schema, 0).result.n == 1_000


def test_a_large_training_set_is_sampled_and_the_result_says_so():
    rows = baselines._MAX_TRAIN_ROWS + 3_000
    targets = np.zeros(rows, dtype=np.int64)
    targets[:50] = 1
    train = labelled(["bad" if target == 0 else "good" for target in targets], targets)
    test = labelled(["good", "bad"], [1, 0])
    baseline = tfidf_logistic_regression(train, test, test, SCHEMA, 0)
    assert baseline.fitted_rows == baselines._MAX_TRAIN_ROWS


def embedded(n, seed, classes=3, hidden=16):
    """Noisy points around the centre of each class, in dimensions of very different size, one of which says nothing."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    points = rng.standard_normal((n, hidden)) + 2 * np.eye(classes, hidden)[targets]
    sizes = np.geomspace(0.01, 100, hidden)
    sizes[-1] = 0
    return LabelledEmbeddings((points * sizes).astype(np.float32), targets)


ABC = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))


def test_a_linear_model_on_embeddings_finds_classes_in_dimensions_of_any_size():
    baseline = embedding_logistic_regression(embedded(600, 0), embedded(200, 1), embedded(1_000, 2), ABC, 0)
    # Four times as near to the own centre as chance puts a point to another: the best rule is right in some 86%.
    assert 0.80 < baseline.result.accuracy < 0.95
    assert baseline.fitted_rows == 600
    assert baseline.name == "logistic regression on frozen embeddings"


def test_the_penalty_of_the_model_on_embeddings_is_chosen_on_validation_rows():
    # A hundred dimensions, 150 rows, some mislabelled: clean rows want a strong penalty, these rows themselves a weak one.
    train, clean = embedded(150, 0, classes=2, hidden=100), embedded(800, 1, classes=2, hidden=100)
    schema = LabelSchema(SINGLE_LABEL, ("a", "b"))
    flipped = np.random.default_rng(2).random(150) < 0.2
    noisy = LabelledEmbeddings(train.embeddings, np.where(flipped, 1 - train.targets, train.targets))
    chosen_by_clean_rows = embedding_logistic_regression(noisy, clean, clean, schema, 0)
    chosen_by_its_own_rows = embedding_logistic_regression(noisy, noisy, clean, schema, 0)
    assert chosen_by_clean_rows.result.accuracy > chosen_by_its_own_rows.result.accuracy + 0.03


def test_a_class_that_embeddings_were_not_fitted_on_gets_no_probability():
    two = embedded(100, 0, classes=2)
    baseline = embedding_logistic_regression(two, two, LabelledEmbeddings(two.embeddings[:1], np.array([2])), ABC, 0)
    assert baseline.result.n == 1
    assert baseline.result.accuracy == 0.0


def test_embeddings_must_match_the_targets():
    with pytest.raises(ValueError, match="need as many targets"):
        LabelledEmbeddings(np.zeros((2, 3), np.float32), np.zeros(3, np.int64))


def test_all_baselines_judge_the_same_rows_and_repeat_exactly():
    embeddings = [embedded(n, seed) for n, seed in ((60, 0), (20, 1), (30, 2))]
    parts = [labelled(["x"] * len(rows), rows.targets) for rows in embeddings]
    first, second = (fit_baselines(*parts, ABC, 3, embeddings) for _ in range(2))
    assert [baseline.name for baseline in first] == [MAJORITY_CLASS, TFIDF_LOGISTIC_REGRESSION, EMBEDDING_LOGISTIC_REGRESSION]
    assert {baseline.result.n for baseline in first} == {30}
    assert first[2].result.accuracy > first[1].result.accuracy + 0.2
    assert [baseline.result for baseline in first] == [baseline.result for baseline in second]
    for baseline in first:
        np.testing.assert_allclose(baseline.probabilities.sum(axis=1), 1)


def test_the_dictionary_is_json_with_the_rows_fitted():
    for baseline in (
        majority_class(reviews().targets, reviews().targets, SCHEMA),
        tfidf_logistic_regression(*[reviews()] * 3, SCHEMA, 0),
    ):
        content = json.loads(json.dumps(baseline.to_dict(), allow_nan=False))
        assert content["fitted_rows"] == 12
        assert content["accuracy"] == baseline.result.accuracy


def test_targets_must_match_the_rows():
    with pytest.raises(ValueError, match="targets must have shape"):
        labelled(["one", "two"], [0])


def read_labelled(path):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


@pytest.mark.slow
def test_150_intents_are_fitted_in_time_and_well():
    folder = Path(os.environ.get("SUREFIT_DATA", "")) / "clinc150"
    if not (folder / "train.csv").is_file():
        pytest.skip("CLINC150 is not in the folder that SUREFIT_DATA names")
    texts, labels = read_labelled(folder / "train.csv")
    test_texts, test_labels = read_labelled(folder / "val.csv")
    schema = LabelSchema(SINGLE_LABEL, tuple(sorted(set(labels))))
    train = labelled(texts, [schema.label2id[label] for label in labels])
    test = labelled(test_texts, [schema.label2id[label] for label in test_labels])
    started = time.perf_counter()
    baseline = tfidf_logistic_regression(train, test, test, schema, 0)
    assert baseline.result.accuracy > 0.90
    # Some 20 s on two free cores; the rest is for machines that are busy.
    assert time.perf_counter() - started < 180
