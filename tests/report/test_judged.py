"""What is shown where classes are many, where nothing was answered, and where a rule abstains."""

import copy
from types import SimpleNamespace

import pytest

from surefit.artifacts import RunDirectory, read_json
from surefit.report import judged
from surefit.report.wording import Wording

WORDING = Wording(2)


@pytest.fixture
def metrics(trained_run):
    return copy.deepcopy(read_json(RunDirectory(trained_run.directory).metrics))


def view_of(function, metrics):
    return function(SimpleNamespace(metrics=metrics), WORDING)


def with_classes(metrics, count):
    """The metrics as they would be of so many classes, the later ones worse, each taken for the one before it."""
    test = metrics["test"]
    names = [f"class {number}" for number in range(count)]
    figures = next(iter(test["per_class"].values()))
    intervals = next(iter(test["intervals"]["per_class"].values()))
    test["per_class"] = {name: figures | {"f1": 1 - number / count, "support": 20} for number, name in enumerate(names)}
    test["intervals"]["per_class"] = dict.fromkeys(names, intervals)
    test["confusion_matrix"] = [
        [number if answer == number - 1 else 20 - number if answer == number else 0 for answer in range(count)]
        for number in range(count)
    ]
    return metrics


@pytest.mark.parametrize(("count", "first"), [(20, "class 0"), (21, "class 20")])
def test_the_weakest_classes_come_first_where_they_are_many(metrics, count, first):
    table = view_of(judged.classes, with_classes(metrics, count))["table"]
    assert table.rows[0][0] == first
    assert len(table.rows) == count + 2  # and two averages


def test_of_very_many_classes_the_weakest_are_shown(metrics):
    metrics = with_classes(metrics, 20)
    test = metrics["test"]
    for number in range(130):
        test["per_class"][f"more {number}"] = next(iter(test["per_class"].values())) | {"f1": 0.99}
        test["intervals"]["per_class"][f"more {number}"] = test["intervals"]["per_class"]["class 0"]
    table = view_of(judged.classes, metrics)["table"]
    assert len(table.rows) == 102
    assert table.rows[0][0] == "class 19"
    assert table.note == "The 100 classes with the lowest F1 of 150; metrics.json has all."


def test_up_to_a_dozen_classes_have_a_matrix_and_more_have_pairs(metrics):
    matrix = view_of(judged.confusion, with_classes(metrics, 12))
    assert len(matrix["lines"]) == 12
    pairs = view_of(judged.confusion, with_classes(metrics, 13))["pairs"]
    assert pairs.rows[0] == ("class 12", "class 11", "12", "60%")
    assert len(pairs.rows) == 12
    assert pairs.note.startswith("78 wrong answers in 12 pairs of classes")


def test_a_class_that_is_never_answered_is_said_to_be(metrics):
    name = next(iter(metrics["test"]["per_class"]))
    metrics["test"]["intervals"]["per_class"][name] = {"precision": None, "recall": None, "f1": None}
    assert view_of(judged.classes, metrics)["table"].rows[0][1:4] == ("never answered", "no test rows", "no rows")


def test_rows_without_an_answer_have_a_column_and_a_tile(metrics):
    test = metrics["test"]
    test["confusion_matrix"][0][0] -= 3
    test["answered"] -= 3
    lines = view_of(judged.confusion, metrics)["lines"]
    assert [line["unanswered"] for line in lines] == ["3", "0"]
    tiles = {name: value for name, value, _ in view_of(judged.key_figures, metrics)["tiles"]}
    assert tiles["Rows answered"] == str(test["n"] - 3)


def test_figures_that_leaks_make_too_good_stand_beside_those_without(metrics):
    assert view_of(judged.key_figures, metrics)["without_leaks"] == ""
    metrics["test_without_leaks"] = metrics["test"] | {"n": metrics["test"]["n"] - 1, "accuracy": 0.25}
    said = view_of(judged.key_figures, metrics)["without_leaks"]
    leaking = f"1 of the {metrics['test']['n']} test rows repeats what was learned from"
    assert said.startswith(f"{leaking}; without them accuracy is 25.0%")


def test_rows_too_few_to_show_any_difference(metrics):
    for entry in metrics["baselines"].values():
        entry["comparison"]["detectable"] = 100.0
    tiles = {name: value for name, value, _ in view_of(judged.key_figures, metrics)["tiles"]}
    assert tiles["Detectable difference"] == "none"


@pytest.mark.parametrize(("count", "support", "shade"), [(0, 20, 0), (1, 1000, 1), (10, 20, 5), (20, 20, 10), (0, 0, 0)])
def test_what_is_there_at_all_has_some_colour(count, support, shade):
    assert judged._shade(count, support) == shade


def test_a_temperature_of_one_shows_one_diagram_and_another_shows_two(metrics):
    metrics["calibration"]["temperature"] = 1.0
    assert len(view_of(judged.calibration, metrics)["charts"]) == 1
    metrics["calibration"]["temperature"] = 1.3
    view = view_of(judged.calibration, metrics)
    assert len(view["charts"]) == 2
    assert view["table"].columns[1:] == ("before", "after")


def test_few_curves_of_many_are_drawn_the_weakest(metrics):
    curve = next(iter(metrics["thresholds"]["curves"].values()))
    metrics = with_classes(metrics, 15)
    metrics["thresholds"]["curves"] = {
        f"class {number}": curve | {"chosen": curve["chosen"] | {"f1": number / 15}} for number in range(15)
    }
    view = view_of(judged.decision, metrics)
    assert [curve["name"] for curve in view["curves"]] == [f"class {number}" for number in range(6)]
    assert (view["classes"], view["kept"]) == (15, 15)


def test_a_class_that_is_never_answered_has_no_point_in_its_chart(metrics):
    never, answered = metrics["thresholds"]["curves"]
    metrics["thresholds"]["curves"][never]["chosen"] |= {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    metrics["test"]["intervals"]["per_class"][never]["precision"] = None
    curves = {curve["name"]: curve for curve in view_of(judged.decision, metrics)["curves"]}
    assert "The rule in force never answers this class." in curves[never]["chart"]
    assert [curves[name]["answered"] for name in (never, answered)] == [False, True]
    assert ["the rule in force</text>" in curves[name]["chart"] for name in (never, answered)] == [False, True]


def test_a_rule_that_answers_nothing_has_no_point_either(metrics):
    metrics["thresholds"]["coverage"]["chosen"] = {"coverage": 0.0, "error": 0.0, "answered": 0}
    chart = view_of(judged.decision, metrics)["coverage"]
    assert "the rule in force answers none." in chart
    assert "the rule in force</text>" not in chart


def test_costs_are_compared_on_the_same_rows(metrics):
    metrics["thresholds"]["costs"] = {"rule": 0.25, "most_probable": 1.5, "rule_interval": [0.2, 0.3125]}
    said = view_of(judged.decision, metrics)["facts"][1]
    assert said.endswith(
        "costs 0.25 on average (0.2 to 0.3125); giving the most probable class to the same rows would cost 1.5."
    )
