"""Sides take turns; who fails is left out, and that is said."""

import statistics

import pytest
from benchmarks.comparison import Comparison

MODULE = "importlib:import_module"


@pytest.fixture
def comparison():
    with Comparison(limit=60) as sides:
        for name in ("surefit", "slow", "wrong"):
            sides.start(name, MODULE, "operator")
        yield sides


def test_figures_are_medians_of_the_turns_that_count(comparison):
    turns = []
    rates = {"surefit": [1.0, 8.0, 6.0, 9.0], "slow": [1.0, 4.0, 2.0, 1.0], "wrong": [1.0, 1.0, 1.0, 1.0]}

    def work(name, turn):
        turns.append((turn, name))
        return comparison.sides[name].ask("itemgetter", turn)(rates[name])

    figures = comparison.take_turns(3, work, flops_per_row=1e9)
    slow = figures["sides"]["slow"]
    assert slow["rows_per_second_of_turns"] == [4.0, 2.0, 1.0]
    assert slow["rows_per_second"] == 2.0
    assert slow["surefit_is_faster_by"] == statistics.median([2, 3, 9])
    assert slow["share_of_peak"] == pytest.approx(2e9 / (figures["peak_tflops"] * 1e12), rel=0.1, abs=1e-4)
    assert slow["peak_memory_mib"] > 1
    assert [name for turn, name in turns if turn == 0] == ["surefit", "slow", "wrong"]
    assert [name for turn, name in turns if turn == 1] == ["wrong", "slow", "surefit"]


def test_a_side_that_fails_is_left_out_with_a_sentence(comparison, capsys):
    figures = comparison.take_turns(
        2, lambda name, turn: comparison.sides[name].ask("truediv", 1, 0 if (name, turn) == ("wrong", 2) else 1), 1.0
    )
    assert list(figures["sides"]) == ["surefit", "slow"]
    assert comparison.left_out == {"wrong": "failed with ZeroDivisionError: division by zero"}
    assert "wrong: left out, since it failed with ZeroDivisionError" in capsys.readouterr().err


def test_a_side_that_cannot_be_made_is_left_out(comparison):
    assert comparison.start("absent", MODULE, "no_such_module") is None
    assert "absent" not in comparison.sides
    assert "no_such_module" in comparison.left_out["absent"]


def test_without_surefit_there_is_nothing_to_compare(comparison):
    with pytest.raises(SystemExit, match=r"surefit failed with ZeroDivisionError.*nothing to compare"):
        comparison.take_turns(1, lambda name, turn: comparison.sides[name].ask("truediv", 1, 0), 1.0)


def test_a_side_that_is_started_again_has_a_new_process(comparison):
    before = comparison.sides["slow"]
    assert comparison.start("slow", MODULE, "operator") is comparison.sides["slow"] is not before
    assert before._process.returncode == 0
