"""Personal data by kind: what has a check digit counts only where it is right, and what only looks like it does not."""

import pytest
from labelled_rows import labelled_rows

from surefit.data.personal import KINDS, masked, rows_with_personal_data


def kinds_in(text, pair=None):
    found = rows_with_personal_data(labelled_rows([text], text_pairs=None if pair is None else [pair]))
    return [kind.name for kind, rows in zip(KINDS, found, strict=True) if rows[0]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mail me at jane.doe+x@mail.example.co.uk!", "e-mail address"),
        ("a@b.io", "e-mail address"),
        ("call +44 20 7946 0958 now", "phone number"),
        ("ring 0800 123 4567", "phone number"),
        ("(030) 1234-5678", "phone number"),
        ("(555) 123-4567", "phone number"),
        ("555-123-4567", "phone number"),
        ("0049-30-123456", "phone number"),
        ("card 4111 1111 1111 1111", "card number"),
        ("5500005555555559", "card number"),
        ("IBAN DE89 3704 0044 0532 0130 00", "bank account number"),
        ("gb82west12345698765432", "bank account number"),
        ("BE68 5390 0754 7034", "bank account number"),
        ("ES9121000418450200051332", "bank account number"),
        ("ssn 123-45-6789", "national id number"),
        ("NI number AB 12 34 56 C", "national id number"),
        ("DNI 12345678Z", "national id number"),
        ("NIE X1234567L", "national id number"),
        ("RSSMRA85T10A562S", "national id number"),
        ("2 69 05 49 588 157 80", "national id number"),
        ("CPF 529.982.247-25", "national id number"),
        ("11010519491231002X", "national id number"),
        ("jörg@müller.de", "e-mail address"),
        ("用户@例子.广告", "e-mail address"),
        ("card 4111 1111 1111 1111 12/26", "card number"),
        ("card 4111111111111111 123", "card number"),
        ("room 2024 4111 1111 1111 1111", "card number"),
        ("3782 822463 10005", "card number"),
        ("4111.1111.1111.1111", "card number"),
        ("06.12.34.56.78", "phone number"),
        ("from 192.168.0.1 came", "IP address"),
    ],
)
def test_personal_data_is_found_as_one_kind(text, kind):
    assert kinds_in(text) == [kind]
    assert kinds_in(f"before {text} and after") == [kind]
    assert kinds_in("nothing", text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1112",  # the check digit is wrong
        "0000 0000 0000 0000",
        "GB00WEST12345698765432",
        "9000000000000001",  # no bank's card begins so
        "on 2024-03-31 and 31.12.2024 at 18:30",
        "31/03/2024 18:30",
        "05/11/2012 15:00",
        "05.11.12 15:00",
        "2024-03-31 08.15.30",
        "12345678A",
        "529.982.247-26",
        "110105194912310021",
        "version 1.2.3.4",
        "order 123456789012",
        "1 2 3 4 5 6 7 8 9 10",
        "rated 10 out of 10, 2010 2011",
        "price 1,234,567.00",
        "12345678",
        "version 1.2.3 of 10.11.12",
        "000-12-3456",
        "300.1.1.1",
        "me @ home . com",
        "@user and user@",
    ],
)
def test_what_only_looks_like_it_is_not_counted(text):
    assert kinds_in(text) == []


def test_rows_are_told_apart_and_several_kinds_may_stand_in_one():
    found = rows_with_personal_data(labelled_rows(["a@b.io or +44 20 7946 0958", "nothing", "c@d.io"]))
    assert dict(zip([kind.plural for kind in KINDS], found.tolist(), strict=True)) == {
        "e-mail addresses": [True, False, True],
        "phone numbers": [True, False, False],
    } | {kind: [False] * 3 for kind in ("card numbers", "bank account numbers", "national id numbers", "IP addresses")}


def test_masked_texts_show_the_kind_in_place_of_what_was_found():
    text = "mail a@b.io or ring +44 20 7946 0958, not 12345, twice: a@b.io"
    assert masked(text) == "mail [e-mail address] or ring [phone number], not 12345, twice: [e-mail address]"
    assert masked("nothing to hide") == "nothing to hide"


def test_nothing_of_a_card_or_an_address_is_left_in_a_masked_text():
    assert masked("4111 1111 1111 1111 12/26 j.o'neil@mail.ie") == "[card number] 12/26 [e-mail address]"


def test_a_text_of_a_megabyte_of_digits_takes_no_time():
    assert kinds_in("1" * 1_000_000) == []
    assert kinds_in("1 " * 500_000) == []
    assert kinds_in("a@" * 200_000) == []


@pytest.mark.parametrize("account", ["BE68 5390 0754 7034", "ES91 2100 0418 4502 0005 1332", "ES9121000418450200051332"])
@pytest.mark.parametrize("behind", ["is mine", "from 2012", "UND DANN", "a b"])
def test_a_short_word_behind_an_account_is_no_part_of_it(account, behind):
    assert masked(f"pay {account} {behind}") == f"pay [bank account number] {behind}"
