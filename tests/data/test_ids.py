"""Ids that repeat are found, and those that only share a hash are not taken for them."""

import pytest

from surefit.data.ids import IdHashes


class Clash(str):
    """An id that shares its hash with all others of this kind."""

    def __hash__(self):
        return 7


def first_repeated(ids):
    numbered = list(enumerate(ids, start=1))
    hashes = IdHashes()
    for start in range(0, len(numbered), 3):
        hashes.add(numbered[start : start + 3])
    return hashes.first_repeated(lambda: iter(numbered))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], None),
        (["a"], None),
        (["a", "b", "c", "d"], None),
        (["a", "b", "c", "b", "a"], (2, 4)),
        (["a"] * 5, (1, 2)),
        ([*"abc", Clash("d"), Clash("e"), Clash("f")], None),
        ([Clash("d"), Clash("e"), "a", Clash("e"), "a"], (2, 4)),
        ([Clash("d"), "a", Clash("e"), "a", Clash("e")], (2, 4)),
    ],
)
def test_the_first_record_that_repeats_an_id_and_the_first_with_it(ids, expected):
    assert first_repeated(ids) == expected


def test_many_ids():
    ids = [str(number) for number in range(20_000)]
    assert first_repeated(ids) is None
    assert first_repeated([*ids, "19999", "3"]) == (20_000, 20_001)
