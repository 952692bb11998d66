import json

import numpy as np
import pytest
from labelled_rows import labelled_rows

from surefit.data.audit import Source, Splits, TokenCounts, audit, similar_class_names
from surefit.data.duplicates import exact_groups, find_duplicates
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.types import Rejected

EMPTY = "empty text"
REJECTED = [Rejected(6, 7, "missing label", "6"), Rejected(7, 8, EMPTY, "7"), Rejected(8, 9, EMPTY, "8")]


@pytest.fixture
def examples():
    return labelled_rows(["one", "one two", "one", "a b c", "x"], ["Spam", "ham", "ham", "spam", "ham"])


def audit_of(examples, rejected=(), splits=None):
    groups = exact_groups(examples.texts, examples.text_pairs)
    names = [tuple(sorted(labels)) for labels in examples.labels.to_pylist()]
    targets = np.unique(names, axis=0, return_inverse=True)[1].ravel()
    source = Source("csv", len(examples) + len(rejected), rejected, texts_changed=2)
    near = near_groups(WordSets.of(examples))
    repeated, similar = find_duplicates(groups, targets), find_duplicates(near, targets, groups)
    return audit(examples, source, repeated, similar, [], splits)


def splits_of(lengths, leaks=None, judging=0):
    lengths = np.array(lengths)
    return Splits(TokenCounts(lengths, lengths > 16, max_length=16), leaks or {}, judging)


def test_records_are_used_or_rejected_by_reason(examples):
    result = audit_of(examples, REJECTED)
    assert (result.file_format, result.records, result.used, result.rejected) == ("csv", 8, 5, 3)
    assert list(result.rejected_by_reason.items()) == [(EMPTY, 2), ("missing label", 1)]
    assert result.texts_changed == 2


def test_records_that_do_not_add_up_are_refused(examples):
    duplicates = find_duplicates(np.arange(5), np.zeros(5, dtype=np.int64))
    with pytest.raises(ValueError, match="9 records, but 5 used and 3 rejected"):
        audit(examples, Source("csv", 9, REJECTED, 0), duplicates, duplicates, [])


def test_classes_come_by_falling_count_with_their_shares(examples):
    result = audit_of(examples)
    assert [(c.label, c.rows, c.share) for c in result.classes] == [("ham", 3, 0.6), ("Spam", 1, 0.2), ("spam", 1, 0.2)]
    assert result.imbalance_ratio == 3


def test_class_names_alike_but_for_case_or_white_space_are_reported(examples):
    assert audit_of(examples).similar_class_names == (("Spam", "spam"),)
    assert similar_class_names(["not spam", "ham", "NotSpam", "Ham", "eggs"]) == (("Ham", "ham"), ("NotSpam", "not spam"))
    assert similar_class_names(["a", "b"]) == ()


def test_lengths_are_in_characters_and_words(examples):
    lengths = audit_of(examples).lengths
    characters = lengths["characters"]
    assert (characters.min, characters.median, characters.mean, characters.max) == (1, 3, 3.8, 7)
    assert (lengths["words"].min, lengths["words"].mean, lengths["words"].max) == (1, 1.6, 3)
    assert lengths["words"].percentile_95 == pytest.approx(2.8)
    assert "tokens" not in lengths


def test_characters_are_not_bytes():
    assert audit_of(labelled_rows(["çé", "ab"], ["x", "y"])).lengths["characters"].max == 2


def test_both_texts_of_a_pair_count():
    lengths = audit_of(labelled_rows(["a b", "c"], ["x", "y"], text_pairs=["d e f", "g"])).lengths
    assert (lengths["words"].min, lengths["words"].max) == (2, 5)
    assert (lengths["characters"].min, lengths["characters"].max) == (2, 8)


def test_token_counts_are_summarised_when_handed_over(examples):
    result = audit_of(examples, splits=splits_of([3, 4, 3, 5, 30]))
    assert (result.lengths["tokens"].max, result.truncated, result.max_length) == (30, 1, 16)
    assert audit_of(examples).truncated is None


def test_duplicates_and_conflicts_are_shown_by_row_id(examples):
    result = audit_of(examples)
    assert (result.duplicates.groups, result.duplicates.rows) == (1, 2)
    assert result.duplicates.examples == (("id1", "id3"),)
    assert (result.conflicting_labels.rows, result.conflicting_labels.examples) == (2, (("id1", "id3"),))


def test_near_duplicates_and_conflicts_are_shown_by_row_id():
    texts = ["the same words again and again", "Again, and again: the same words!", "others", "others"]
    result = audit_of(labelled_rows(texts, ["x", "y", "x", "x"]))
    assert (result.near_duplicates.groups, result.near_duplicates.rows) == (1, 2)
    assert (result.near_conflicting_labels.rows, result.near_conflicting_labels.examples) == (2, (("id1", "id2"),))


def test_leaks_stand_there_only_when_they_were_counted(examples):
    assert audit_of(examples).leaks == {}
    leaks = {"exact": 0, "near": 2}
    assert audit_of(examples, splits=splits_of([3] * 5, leaks, judging=4)).leaks == leaks


def test_findings_come_by_severity_and_follow_from_the_counts(examples):
    found = audit_of(examples, REJECTED, splits_of([3, 4, 3, 5, 30], {"exact": 1, "near": 0}, judging=4)).findings
    assert [(finding.severity, finding.kind, finding.rows) for finding in found] == [
        ("serious", "unusable records", 3),
        ("serious", "conflicting labels", 2),
        ("serious", "leaks", 1),
        ("warning", "small classes", 5),
        ("warning", "similar class names", 2),
        ("warning", "exact duplicates", 2),
        ("warning", "truncated texts", 1),
    ]


def test_dictionary_is_plain_json(examples):
    written = json.dumps(audit_of(examples, REJECTED, splits_of([3, 4, 3, 5, 30], {"exact": 1}, 4)).to_dict(), allow_nan=False)
    content = json.loads(written)
    assert content["leaks"] == {"exact": 1}
    assert content["classes"][0] == {"label": "ham", "rows": 3, "share": 0.6}
    assert set(content["findings"][0]) == {"kind", "severity", "rows", "sentence", "advice", "examples"}
