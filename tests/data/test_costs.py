"""Tables of costs: read by name, in any order, and refused with a sentence."""

import pytest

from surefit.data.costs import read_costs
from surefit.errors import DataError

CLASSES = ("ham", "spam")


def write(tmp_path, *lines):
    path = tmp_path / "costs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_rows_are_the_truth_and_columns_the_answers_in_any_order(tmp_path):
    path = write(tmp_path, "truth,spam,ham", "spam,0,10", "", " ham ,2.5,0")
    assert read_costs(path, CLASSES) == ((0.0, 2.5), (10.0, 0.0))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["truth,ham,spam", "ham,0,1"], "one row for each class, with its name before it; look at 'spam'"),
        (["truth,ham", "ham,0", "spam,1"], "one column for each class, with its name before it; look at 'spam'"),
        (["truth,ham,spam", "ham,0,1", "spam,1,0", "eggs,1,1"], "look at 'eggs'"),
        (["truth,ham,spam", "ham,0,1", "ham,0,1", "spam,1,0"], "look at 'the same class twice'"),
        (["truth,ham,spam", "ham,0,much", "spam,1,0"], "row 'ham', column 'spam': a cost must be a number"),
        (["truth,ham,spam", "ham,0", "spam,1,0"], "line 2 has 2 cells where the first line has 3"),
        (
            ["truth,ham,spam", "", "ham,0,1,5", "spam,1,0"],
            "line 3 has 4 cells where the first line has 3",
        ),
        (["truth,ham,spam", 'ham,0,"1,5"', "spam,1,0"], "row 'ham', column 'spam': a cost must be a number"),
        (["truth,ham,spam", "ham,0,inf", "spam,1,0"], "a cost must be a number"),
        ([""], "one column for each class"),
        (['truth,"ham', "x"], "is no CSV in UTF-8"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, lines, said):
    with pytest.raises(DataError) as refused:
        read_costs(write(tmp_path, *lines), CLASSES)
    assert said in str(refused.value)
    assert str(refused.value).startswith("--costs ")


def test_class_names_are_compared_as_labels_are(tmp_path):
    path = write(tmp_path, "truth,cafe\u0301,two  words", "two words,3,0", "caf\u00e9\u200b,0,1")
    assert read_costs(path, ("caf\u00e9", "two words")) == ((0.0, 1.0), (3.0, 0.0))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read: No such file"):
        read_costs(tmp_path / "none.csv", CLASSES)
    (tmp_path / "costs.csv").write_bytes(b"\xff\xfe\x00ham")
    with pytest.raises(DataError, match=r"is no CSV in UTF-8"):
        read_costs(tmp_path / "costs.csv", CLASSES)
