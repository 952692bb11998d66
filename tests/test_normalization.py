import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, normalizers

from surefit.normalization import REMOVED_PATTERN, WHITE_SPACE_PATTERN, is_blank, normalize_text

repeatable = settings(derandomize=True, deadline=None)

IN_TOKENIZER = normalizers.Sequence(
    [
        normalizers.Replace(Regex(REMOVED_PATTERN), ""),
        normalizers.NFC(),
        normalizers.Replace(Regex(WHITE_SPACE_PATTERN), " "),
        normalizers.Strip(),
    ]
)
INVISIBLE = "\u200b\u200c\u200d\u200e\u061c\u202e\u2066\u00ad\ufeff\x00\x1f\x7f\x85\u0301\u0327"
WHITE_SPACE = " \t\n\r\x0b\x0c\xa0\u1680\u2009\u2028\u202f\u3000"


def ordered_alike(character):
    """Whether tokenizers, which knows Unicode 9, orders this combining mark as this Python does."""
    pair = f"a{character}\u0327"
    return not unicodedata.combining(character) or normalizers.NFC().normalize_str(pair) == unicodedata.normalize("NFC", pair)


any_character = st.characters(exclude_categories=["Cs", "Cn"]).filter(ordered_alike)
texts = st.text(any_character | st.sampled_from(INVISIBLE + WHITE_SPACE), max_size=30)


@repeatable
@given(texts)
def test_normalizing_again_changes_nothing(text):
    once = normalize_text(text)
    assert normalize_text(once) == once


@repeatable
@given(texts)
def test_python_and_tokenizer_follow_the_same_rule(text):
    assert normalize_text(text) == IN_TOKENIZER.normalize_str(text)


def test_python_and_tokenizer_agree_on_every_character_between_letters():
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    differing = [c for c in characters if normalize_text(f"x{c}y") != IN_TOKENIZER.normalize_str(f"x{c}y")]
    assert differing == []


@repeatable
@given(texts)
def test_result_is_composed_and_has_single_inner_spaces_only(text):
    result = normalize_text(text)
    assert unicodedata.is_normalized("NFC", result)
    assert result == result.strip()
    assert "  " not in result
    assert not set(result) & set(WHITE_SPACE[1:])


@repeatable
@given(texts)
def test_only_invisible_characters_and_white_space_are_lost(text):
    def visible(string):
        kept = (c for c in string if unicodedata.category(c) not in ("Cc", "Cf") and not c.isspace())
        return unicodedata.normalize("NFC", "".join(kept))

    assert visible(normalize_text(text)) == visible(text)


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_joiners_stay(joiner):
    assert normalize_text(f"a{joiner}b") == f"a{joiner}b"


def test_family_emoji_stays_whole():
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    assert normalize_text(f"  {family} ") == family


@pytest.mark.parametrize(
    "invisible", ["\x00", "\x1b", "\x7f", "\x9f", "\u00ad", "\u061c", "\u200b", "\u200f", "\u2066", "\ufeff"]
)
def test_invisible_characters_go_without_a_trace(invisible):
    assert normalize_text(f"fr{invisible}ee") == "free"


@pytest.mark.parametrize("space", ["\t", "\r\n", "\x85", "\xa0", "\u2028", "\u3000", "  ", " \t "])
def test_every_white_space_becomes_one_space(space):
    assert normalize_text(f"{space}two{space}words{space}") == "two words"


def test_marks_are_composed_also_across_a_removed_character():
    assert normalize_text("e\u200b\u0301") == "\u00e9"


def test_text_of_nothing_visible_becomes_empty():
    assert normalize_text(" \u200b\ufeff\t") == ""


def test_plain_ascii_is_returned_as_it_is():
    text = "Already clean, punctuation & all."
    assert normalize_text(text) is text


@pytest.mark.parametrize(("text", "blank"), [("", True), (" \u200b", True), ("\u200c \u200d", True), ("a\u200d", False)])
def test_joiners_alone_show_nothing(text, blank):
    assert is_blank(text) == blank
