"""Near duplicates: planted ones are found, and what is reported is alike."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import labelled_rows

from surefit.data.near_duplicates import SIMILARITY, WordSets, near_groups, near_matches

repeatable = settings(derandomize=True, deadline=None)

WORDS = [f"{first}{second}{third}" for first in "bdfgklm" for second in "aeiou" for third in ("n", "rt", "st", "mp")]
texts_of_words = st.lists(st.sampled_from(WORDS[:12]), max_size=14).map(" ".join)


def groups_of(texts, pairs=None):
    return near_groups(WordSets.of(labelled_rows(texts, text_pairs=pairs))).tolist()


def plain_similarity(first, second):
    """Jaccard's index, from Python's sets."""
    one, other = (set(re.findall(r"\w+", text.lower())) for text in (first, second))
    return len(one & other) / len(one | other) if one | other else 0.0


def random_texts(count, seed, vocabulary=2000, shortest=10):
    """Texts of ten words and more that have nothing to do with each other."""
    source = np.random.default_rng(seed)
    words = np.array([f"{WORDS[number % len(WORDS)]}{WORDS[number // len(WORDS)]}" for number in range(vocabulary)])
    return [" ".join(words[source.integers(0, vocabulary, source.integers(shortest, 30))]) for _ in range(count)]


def disturbed(text, source):
    """The text with up to a tenth of its words replaced, put elsewhere or set in capitals."""
    words = text.split()
    chosen = source.choice(len(words), len(words) // 10, replace=False)
    match source.integers(4):
        case 0:
            for place in chosen:
                words[place] = f"new{source.integers(10**6)}"
        case 1:
            for place in chosen:
                words.insert(int(source.integers(len(words))), words.pop(place))
        case 2:
            words = [word.upper() for word in words]
        case _:
            words = [*source.permutation(words), "!"]
    return " ".join(words)


@repeatable
@given(st.lists(texts_of_words, min_size=2, max_size=8))
def test_similarities_are_those_of_the_sets_of_words(texts):
    pairs = np.array([(i, j) for i in range(len(texts)) for j in range(i)])
    expected = [plain_similarity(texts[i], texts[j]) for i, j in pairs]
    assert WordSets.of(labelled_rows(texts)).similarities(pairs) == pytest.approx(expected)


def test_similarities_of_many_pairs_are_computed_in_portions(monkeypatch):
    texts = random_texts(60, seed=0, vocabulary=15)
    pairs = np.array([(i, j) for i in range(60) for j in range(i)])
    words = WordSets.of(labelled_rows(texts))
    whole = words.similarities(pairs)
    monkeypatch.setattr("surefit.data.near_duplicates._WORDS_AT_ONCE", 50)
    assert words.similarities(pairs).tolist() == whole.tolist()


@repeatable
@given(st.lists(texts_of_words, min_size=1, max_size=20))
def test_texts_of_other_groups_are_not_alike_and_groups_are_connected(texts):
    """With few texts and words, all pairs that are alike enough are found."""
    groups = groups_of(texts)
    near = [[plain_similarity(one, other) > SIMILARITY for other in texts] for one in texts]
    reached = list(range(len(texts)))
    for _ in texts:
        reached = [min([reached[j] for j in range(len(texts)) if near[i][j]] + [reached[i]]) for i in range(len(texts))]
    numbers = {}
    assert groups == [numbers.setdefault(root, len(numbers)) for root in reached]


def test_planted_near_duplicates_are_found():
    texts, source = random_texts(3000, seed=1), np.random.default_rng(2)
    groups = np.array(groups_of(texts + [disturbed(text, source) for text in texts]))
    assert (groups[:3000] == groups[3000:]).mean() > 0.99
    assert len(np.unique(groups[:3000])) == 3000


def test_planted_leaks_are_matched_with_what_they_repeat():
    texts, source = random_texts(2000, seed=3), np.random.default_rng(4)
    words = WordSets.of(labelled_rows(texts + [disturbed(text, source) for text in texts[:500]] + random_texts(500, seed=5)))
    wanted = np.arange(3000) >= 2000
    found, matches = near_matches(words, wanted, ~wanted)
    assert len(found) > 495
    assert (found - 2000 == matches).all()


def test_rows_of_one_template_are_one_group_however_many_they_are():
    template = "dear customer your order number {} has left our house and will be with you soon"
    assert max(groups_of([template.format(number) for number in range(5000)])) == 0


def test_a_leak_is_found_among_thousands_of_its_like():
    template = "dear customer your order number {} has left our house and will be with you soon"
    texts = [template.format(number) for number in range(3000)]
    one_learned = np.arange(3000) == 1234
    found, matches = near_matches(WordSets.of(labelled_rows(texts)), ~one_learned, one_learned)
    assert len(found) > 0.95 * 2999
    assert set(matches) == {1234}


def test_case_punctuation_order_and_repetition_do_not_count():
    assert groups_of(["Great film, really GREAT!", "really great -- film", "great film"]) == [0, 0, 1]


def test_texts_without_words_are_alone():
    assert groups_of(["!!!", "???", "!!!", ""]) == [0, 1, 2, 3]


def test_scripts_without_spaces_are_compared_by_character():
    texts = ["我昨天在这家餐厅吃了晚饭味道非常好", "我昨天在这家餐厅吃了午饭味道非常好", "快递员把包裹放在门口就走了没有敲门"]
    assert groups_of(texts) == [0, 0, 1]


def test_long_texts_of_an_alphabet_without_spaces_are_alike_only_where_their_words_are():
    random = np.random.default_rng(8)
    consonants, marks = np.array(list("กขคงจชดตถทนบปผพมยรลวสหอ")), np.array(["", "ั", "ิ", "ี", "ุ", "ู", "่", "้"])
    words = ["".join(random.choice(consonants) + random.choice(marks) for _ in range(3)) for _ in range(400)]
    texts = [random.choice(words, 30) for _ in range(40)]
    altered = [random.permutation(np.append(text[3:], random.choice(words, 3))) for text in texts]
    groups = groups_of(["".join(text) for text in texts + altered])
    assert groups == [*range(40), *range(40)]


def test_apostrophes_within_words_do_not_count():
    texts = [
        "I don't think it's what I've asked for",
        "I dont think its what Ive asked for",
        "I don’t think it’s what I’ve asked for",
    ]
    assert groups_of(texts) == [0, 0, 0]


def test_both_texts_of_a_pair_count_and_their_places_too():
    texts = ["one two three four five six", "one two three four five six", "seven eight nine ten"]
    assert groups_of(texts, ["a b c d", "a b c d e", "a b c d"]) == [0, 0, 1]
    assert groups_of(["a b c d", "e f g h"], ["e f g h", "a b c d"]) == [0, 1]


def test_groups_do_not_depend_on_the_run():
    texts = random_texts(500, seed=6, vocabulary=30)
    assert groups_of(texts) == groups_of(texts)
