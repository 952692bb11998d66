"""Rows that repeat what a model learned from."""

from labelled_rows import labelled_rows

from surefit.data.leaks import LEAK_KINDS, find_leaks

LONG = "the quick brown fox jumps over the lazy dog again today"


def test_exact_and_near_leaks_are_told_apart_and_traced_to_their_source():
    learned = labelled_rows(["something else", LONG, "good film", "good film"])
    found = find_leaks(labelled_rows(["good film", "new", LONG.upper(), LONG, f"{LONG} or not"]), learned)
    assert found.rows.tolist() == [0, 2, 3, 4]
    assert found.sources.tolist() == [2, 1, 1, 1]
    assert [LEAK_KINDS[kind] for kind in found.kinds] == ["exact", "near", "exact", "near"]
    assert found.similarities.round(2).tolist() == [1, 1, 1, 0.83]
    assert found.counts == {"exact": 2, "near": 2, "group": 0}


def test_rows_of_a_group_that_was_learned_from_leak_too():
    learned = labelled_rows(["one text", "another one", "third"], groups=["ann", "bob", "cid"])
    found = find_leaks(labelled_rows(["third", "something new", "else"], groups=["bob", "bob", "dan"]), learned)
    assert found.rows.tolist() == [0, 1]
    assert [LEAK_KINDS[kind] for kind in found.kinds] == ["exact", "group"]
    assert found.sources.tolist() == [2, 1]
    assert found.similarities.tolist() == [1, 0]


def test_leaks_of_pairs_need_both_texts():
    learned = labelled_rows(["a", "b"], text_pairs=["x", "y"])
    assert find_leaks(labelled_rows(["a", "b"], text_pairs=["y", "y"]), learned).rows.tolist() == [1]


def test_no_leaks_from_or_into_nothing():
    assert len(find_leaks(labelled_rows([]), labelled_rows(["a"]))) == 0
    assert len(find_leaks(labelled_rows(["a"]), labelled_rows([]))) == 0
    assert len(find_leaks(labelled_rows([]), labelled_rows([]))) == 0
