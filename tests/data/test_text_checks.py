"""Checks of single texts."""

import numpy as np
import pytest
from labelled_rows import labelled_rows

from surefit.data import text_checks
from surefit.data.text_checks import SCRIPTS


def rows(check, *texts):
    return check(labelled_rows(list(texts))).tolist()


def test_markup_is_tags_and_references():
    texts = (
        "<b>bold</b>",
        "<br/>",
        "a &amp; b",
        "&#39;",
        "<!-- no -->",
        '<a href="x">',
        "so [b]bold[/b]",
        "see [this](https://example.org/page)",
        "it is **very** good",
        "## Title",
        "x < y and z > w",
        "AT&T",
        "a <3 b",
        "f**k this s**t",
        "[sic] (or so) #1 2 ** 3 ** 4",
        "plain",
    )
    assert rows(text_checks.with_markup, *texts) == [True] * 10 + [False] * 6


def test_damage_is_what_a_wrong_encoding_makes():
    texts = (
        "CafÃ©",
        "donâ€™t",
        "Â£5",
        "\ufffd what",
        "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
        "Itâ\x80\x99s",  # UTF-8 read as Latin-1
        "don\x92t",  # Windows-1252 read as Latin-1
        "ãîðîä Ìîñêâà",  # Windows-1251 read as Latin-1
        "café",
        "nãããããão",
        "it’s “fine” — ok…",
        "привет",
        "日本語",
        "£5",
        "plain",
    )
    assert rows(text_checks.damaged, *texts) == [True] * 8 + [False] * 7


def test_each_row_has_the_script_of_most_of_its_letters():
    texts = ("plain text", "привет ok", "日本語のテキスト", "漢字", "한국어", "שלום", "12 34", "🙂")
    found = [SCRIPTS[place] if place >= 0 else "" for place in text_checks.scripts_of(labelled_rows(list(texts)))]
    assert found == ["Latin", "Cyrillic", "Hiragana", "Han", "Hangul", "Hebrew", "", ""]


def test_header_lines_hold_names_of_columns():
    texts = ["Nachricht", "a Nachricht", "Review", "review", "review"]
    labels = ["x", "x", "Sentiment", "art", "x"]
    found = text_checks.like_the_header(labelled_rows(texts, labels), {"text": "nachricht", "label": "Art"})
    assert found.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("anger", "I feel ANGER today", True),
        ("anger", "I feel angered", False),
        ("card_lost", "my card lost its colour", True),
        ("card_lost", "card-lost!", True),
        ("a.b", "say a b", True),
        ("a.b", "say axb", False),
        ("card_lost", "help #CardLost", True),
        ("card_lost", "cardlosts", False),
        ("no", "label: no", True),
        ("no", "nothing", False),
        ("1", "class=1;", True),
        ("1", "11", False),
        ("c++ (old)", "in c++ (old)", True),
        ("спам", "это СПАМ!", True),
        ("спам", "это спамер", False),
        ("取消", "我想取消订单", True),
        ("พัก", "ขอพักหนี้", True),
        ("größe_xl", "Größe XL", True),
        ("(", "(", False),
    ],
)
def test_a_class_name_counts_as_a_word_of_its_own(name, text, named):
    assert text_checks.naming(labelled_rows([text]), name).tolist() == [named]


def test_what_many_different_texts_share_at_an_end_is_boilerplate():
    greeted = [f"dear customer thank you for writing {number} more words {number}" for number in range(20)]
    signed = [f"{number} is my question kind regards the team of acme" for number in range(20)]
    others = [f"text number {number} says something else, entirely {number}" for number in range(20)]
    found = dict(text_checks.framed(labelled_rows(greeted + signed + others), 15))
    assert {where: np.flatnonzero(rows).tolist() for where, rows in found.items()} == {
        "beginning": list(range(20)),
        "end": list(range(20, 40)),
    }


def test_a_short_beginning_is_boilerplate_where_a_fifth_of_the_rows_share_it():
    texts = [f"hello dear team {number} is my question {number}" for number in range(30)]
    others = [f"{number} is another question, not {number}" for number in range(70)]
    assert [(where, int(rows.sum())) for where, rows in text_checks.framed(labelled_rows(texts + others), 10)] == [
        ("beginning", 30)
    ]
    assert text_checks.framed(labelled_rows(texts[:15] + others), 10) == []


def test_words_are_characters_where_no_spaces_are_set():
    texts = labelled_rows(["one", "two words", "我想取消订单", "好", "iPhone 很好用吗", "ภาษา"])
    assert text_checks.words_of(texts).tolist() == [1, 2, 6, 1, 4, 4]


def test_the_same_text_again_and_again_is_no_boilerplate():
    assert text_checks.framed(labelled_rows(["one two three four five six seven eight"] * 30), 10) == []


def test_both_texts_of_a_pair_are_looked_at():
    pairs = labelled_rows(["plain", "plain"], text_pairs=["plain", "<b>x</b>"])
    assert text_checks.with_markup(pairs).tolist() == [False, True]
    assert text_checks.words_of(pairs).tolist() == [2, 2]
