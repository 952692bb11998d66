"""Figures have the digits that a test set can tell apart."""

import pytest

from surefit.report.wording import Wording, as_sentence, listed, p_value, points, rows, shortened


@pytest.mark.parametrize(
    ("interval", "digits", "said"),
    [
        ((0.80, 0.95), 2, "0.91 (0.80 to 0.95)"),
        ((0.902, 0.917), 2, "0.91 (0.90 to 0.92)"),
        ((0.9084, 0.9121), 3, "0.910 (0.908 to 0.912)"),
        ((0.90984, 0.91021), 4, "0.9101 (0.9098 to 0.9102)"),
        ((1.0, 1.0), 4, "0.9101 (1.0000 to 1.0000)"),
    ],
)
def test_digits_follow_from_the_width_of_the_interval(interval, digits, said):
    wording = Wording.of(interval)
    assert wording.digits == digits
    assert wording.estimate(0.9101, interval) == said


def test_shares_have_two_digits_less():
    assert Wording(2).share(0.96053) == "96.1%"
    assert Wording(3).share_between((0.941, 0.974)) == "94.10% to 97.40%"
    assert Wording(2).estimate(0.0, None) == "0.00 (no interval)"


@pytest.mark.parametrize(("value", "said"), [(0.0004, "<\u00a00.001"), (0.001, "0.001"), (0.0026, "0.003"), (1.0, "1.000")])
def test_p_values(value, said):
    assert p_value(value) == said


def test_small_things():
    assert (points(2.34), points(-0.04)) == ("+2.3", "-0.0")
    assert (rows(1), rows(1234), rows(2, "test row")) == ("1 row", "1,234 rows", "2 test rows")
    assert (
        listed({"max_length": 256, "seed": None, "header": True, "rate": 2e-4, "name": ""})
        == "max length = 256, header = yes, rate = 0.0002"
    )
    assert as_sentence("the end") == "The end."
    assert as_sentence("Ended.") == "Ended."
    assert shortened("a" * 600) == "a" * 600
    assert shortened("a" * 601) == "a" * 600 + "…"
