"""Findings: what is planted is found, counted and shown without personal data; clean rows are let alone."""

import numpy as np
import pytest
from labelled_rows import labelled_rows

from surefit.data.clean import clean
from surefit.data.duplicates import exact_groups, find_duplicates
from surefit.data.findings import LIMITS, Finding, FoundExample, Limit, by_severity, counted
from surefit.data.near_duplicates import WordSets, near_groups
from surefit.data.row_findings import class_findings, duplicate_findings, leak_findings, rejected_findings
from surefit.data.text_findings import text_findings
from surefit.types import Rejected

SUBJECTS = ("the parcel", "my invoice", "our contract", "this device", "her ticket", "the refund", "a delivery")
VERBS = ("arrived late", "was never sent", "looks wrong to me", "should be changed", "does not work here", "has been lost")
TAILS = ("since monday", "in the last days", "after the call", "on the web page", "as you said", "for the third time")
COLUMNS = {"text": "text", "label": "label"}


def clean_rows(count=400, planted=()):
    """Plain English rows of two classes, each text another; what is planted replaces the first of them."""
    texts = [
        f"customer {row} says that {SUBJECTS[row % 7]} {VERBS[row // 7 % 6]} {TAILS[row // 42 % 6]}, case {row}"
        for row in range(count)
    ]
    texts[: len(planted)] = planted
    return labelled_rows(texts, ["alpha" if row % 2 else "omega" for row in range(count)])


def found(planted):
    raw = clean_rows(planted=planted)
    return {finding.kind: finding for finding in text_findings(clean(raw).examples, raw, COLUMNS)}


def test_clean_texts_are_let_alone():
    assert found([]) == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("one word", "late"),
        ("long texts", "word " * 400 + "end"),
        ("markup", "<p>the parcel arrived</p> late &amp; broken"),
        ("header lines", "Text"),
        ("damaged characters", "the cafÃ© says itâ€™s closed"),
        ("damaged characters", "the parcel didn\x92t arrive, it\x92s lost"),
        ("other scripts", "посылка пришла слишком поздно"),
        ("other languages", "das Paket ist leider viel zu spät angekommen und war auch noch beschädigt"),
        ("personal data: e-mail addresses", "write to jane@example.org please"),
        ("personal data: phone numbers", "please call +44 20 7946 0958 again"),
        ("personal data: card numbers", "it was charged to 4111 1111 1111 1111 twice"),
    ],
)
def test_what_is_planted_is_found_and_counted(kind, text):
    planted = [text] * 7
    findings = found(planted)
    assert findings[kind].rows == 7
    assert findings[kind].sentence.startswith("7 ")
    assert [example.ids for example in findings[kind].examples] == [(f"id{number}",) for number in range(1, 6)]
    assert findings[kind].advice
    others = set(findings) - {kind}
    assert others <= {"one word"}, others  # a header line is a single word too


def test_no_example_shows_personal_data():
    secret = "ask jane@example.org, +44 20 7946 0958, card 4111 1111 1111 1111, or DE89 3704 0044 0532 0130 00"
    for finding in found([secret, f"<b>late</b> {secret}"]).values():
        for example in finding.examples:
            assert not any(piece in example.shown for piece in ("jane", "7946", "1111", "DE89", "3704"))
            assert len(example.shown) <= 80


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(("before", "behind"), [(0, 400), (30, 400), (60, 10), (200, 3), (200, 400)])
def test_the_example_of_personal_data_shows_the_place_where_they_stood(before, behind, pairs):
    text = f"{'word ' * before}please call +44 20 7946 0958 again{' after' * behind} "
    raw = labelled_rows(["another text", text], ["x", "y"], text_pairs=["one more", "and the last"] if pairs else None)
    findings = {finding.kind: finding for finding in text_findings(clean(raw).examples, raw, COLUMNS)}
    (example,) = findings["personal data: phone numbers"].examples
    assert "call [phone number]" in example.shown
    assert len(example.shown) == 80
    assert example.shown.startswith("…") == (before > 0)
    assert example.shown.endswith("…") or behind < 400


def test_what_is_advised_about_personal_data_says_where_they_are_masked_and_where_not():
    advice = found(["write to jane@example.org please"])["personal data: e-mail addresses"].advice
    assert "terminal, report and model card show texts masked" in advice
    for file in ("mistakes.csv", "label_issues.csv", "training_examples.csv"):
        assert file in advice


@pytest.mark.parametrize(
    ("planted", "sentence"),
    [
        ("word " * 400 + "end", "1 text has more than 350 words"),
        ("<p>the parcel arrived</p> late &amp; broken", "1 text holds markup: "),
        ("Text", "1 row repeats the header line of a file"),
        ("the cafÃ© says itâ€™s closed", "1 text was read with a wrong encoding somewhere on the way"),
        ("write to jane@example.org please", "1 text holds e-mail addresses"),
    ],
)
def test_a_finding_of_one_row_is_in_the_singular(planted, sentence):
    assert any(finding.sentence.startswith(sentence) for finding in found([planted]).values())


def test_what_is_counted_agrees_with_the_number():
    assert [counted(number, "row has", "rows have") for number in (0, 1, 1000)] == [
        "0 rows have",
        "1 row has",
        "1,000 rows have",
    ]
    (small,) = (one for one in class_findings({"ham": 900, "eggs": 1}, []) if one.kind == "small classes")
    assert small.sentence == "1 of 2 classes has fewer than 300 rows, the smallest 1"
    assert small.examples == (FoundExample((), "eggs: 1 row"),)
    (rejected,) = rejected_findings([Rejected(1, 2, "empty text", "1")], 1)
    assert rejected.sentence == "1 of 1 record cannot be used: empty text 1"
    (leak,) = leak_findings({"exact": 1}, 1000)
    assert leak.sentence == "1 validation or test row repeats one that was learned from: exact 1"
    texts = labelled_rows(["the same text", "the same text", "another"], ["x", "x", "y"])
    repeated = find_duplicates(exact_groups(texts.texts), np.array([0, 0, 1]))
    none = find_duplicates(np.arange(3), np.array([0, 0, 1]))
    (twice,) = duplicate_findings(texts, repeated, none)
    assert twice.sentence == "2 rows have a text that stands more than once (1 group)"


def test_texts_that_hold_their_own_class_name_are_found_across_classes():
    texts = [f"{SUBJECTS[row % 7]} {VERBS[row % 6]} [{'alpha' if row % 2 else 'omega'}] {row}" for row in range(40)]
    finding = found(texts)["label in the text"]
    assert (finding.severity, finding.rows) == ("warning", 40)
    assert "'omega' 20" in finding.sentence
    assert "'alpha' 20" in finding.sentence


def test_a_class_name_that_other_texts_hold_as_often_gives_nothing_away():
    assert "label in the text" not in found([f"alpha and omega {row}" for row in range(40)])


def test_damage_is_counted_in_rows_that_are_left_of_the_file():
    raw = clean_rows(planted=["the parcel didn\x92t arrive"] * 4)
    kept = clean(raw).examples.take(np.arange(2, len(raw)))
    (finding,) = (one for one in text_findings(kept, raw, COLUMNS) if one.kind == "damaged characters")
    assert (finding.rows, [example.ids for example in finding.examples]) == (2, [("id3",), ("id4",)])


def test_texts_in_a_script_without_spaces_are_not_single_words():
    planted = ["快递员把包裹放在门口就走了没有敲门"] * 7
    assert "one word" not in found(planted)
    assert found(["快递员把包裹放在门口就走了没有敲门" * 30])["long texts"].rows == 1


def test_shared_beginnings_are_found():
    planted = [f"dear sir or madam i write because {SUBJECTS[row % 7]} {VERBS[row % 6]} {row}" for row in range(30)]
    finding = found(planted)["boilerplate"]
    assert (finding.rows, finding.severity) == (30, "note")


def test_records_that_cannot_be_used_are_told_by_reason():
    rejected = [Rejected(row, row + 1, "empty text" if row < 3 else "missing label", str(row)) for row in range(1, 9)]
    (finding,) = rejected_findings(rejected, 100)
    assert (finding.severity, finding.rows) == ("warning", 8)
    assert "missing label 6, empty text 2" in finding.sentence
    assert finding.examples[0] == FoundExample(("1",), "line 2: empty text")
    assert len(finding.examples) == 5
    assert list(rejected_findings([], 100)) == []


def test_uneven_and_small_classes_are_told():
    findings = {finding.kind: finding for finding in class_findings({"ham": 4800, "spam": 40, "eggs": 20}, [])}
    assert (findings["imbalance"].severity, findings["imbalance"].rows) == ("serious", 20)
    assert "240.0 times" in findings["imbalance"].sentence
    assert (findings["small classes"].severity, findings["small classes"].rows) == ("warning", 60)
    assert findings["small classes"].examples[0].shown == "eggs: 20 rows"
    assert list(class_findings({"a": 500, "b": 400}, [])) == []
    (alike,) = class_findings({"Spam": 500, "spam": 400}, [("Spam", "spam")])
    assert (alike.kind, alike.rows) == ("similar class names", 900)


def test_a_single_class_is_serious():
    finding, *_ = class_findings({"alpha": 900}, ())
    assert (finding.kind, finding.severity, finding.rows) == ("one class", "serious", 900)
    assert "one class" not in {one.kind for one in class_findings({"alpha": 900, "omega": 900}, ())}


def test_duplicates_are_told_with_those_of_different_labels():
    texts = ["the same text"] * 3 + ["one two three four five six seven eight", "eight seven six five four three two one"]
    examples = labelled_rows(texts + [f"other text number {row} of its own" for row in range(5)], ["x", "y"] * 5)
    exact = exact_groups(examples.texts)
    targets = np.arange(10) % 2
    near = find_duplicates(near_groups(WordSets.of(examples)), targets, exact)
    findings = {finding.kind: finding for finding in duplicate_findings(examples, find_duplicates(exact, targets), near)}
    assert {kind: finding.rows for kind, finding in findings.items()} == {
        "exact duplicates": 3,
        "conflicting labels": 3,
        "near duplicates": 2,
        "near conflicting labels": 2,
    }
    assert findings["exact duplicates"].examples == (FoundExample(("id1", "id2", "id3"), "the same text"),)
    assert findings["conflicting labels"].severity == "serious"


def test_leaks_are_serious_where_they_are_more_than_a_hundredth():
    (few,) = leak_findings({"exact": 1, "near": 0, "earlier_run": 0}, 1000)
    assert (few.severity, few.sentence.partition(":")[2]) == ("warning", " exact 1")
    (many,) = leak_findings({"exact": 5, "near": 6}, 1000)
    assert (many.severity, many.rows) == ("serious", 11)
    assert list(leak_findings({"exact": 0}, 1000)) == []


def test_limits_rise_and_findings_are_ordered_by_weight():
    assert all(limit.found <= limit.warning <= limit.serious for limit in LIMITS.values())
    assert [Limit(0.1, 0.2, 0.3).severity(share) for share in (0.1, 0.2, 0.3, 0.4)] == [None, "note", "warning", "serious"]
    some = [Finding("a", "note", 9, "", "", ()), Finding("b", "serious", 1, "", "", ()), Finding("c", "note", 10, "", "", ())]
    assert [finding.kind for finding in by_severity(some)] == ["b", "c", "a"]
