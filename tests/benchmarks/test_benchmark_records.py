"""A cell is measured once for a machine and a state of the code, and printed as often as one asks."""

import json

import pytest
from benchmarks.records import find, latest, markdown, on_what, parser, run_cells


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results.jsonl"


def run(results, *flags, cells=({"profile": "sst2"}, {"profile": "imdb"})):
    measured = []

    def measure(cell):
        measured.append(cell["profile"])
        return {"figure": len(measured)}

    options = parser("training", "").parse_args(["--results", str(results), *flags])
    run_cells(options, cells, measure, lambda line: f"{line['cell']['profile']} {line['figure']}")
    return measured


def test_a_long_table_is_gone_on_with(results, capsys):
    assert run(results, cells=[{"profile": "sst2"}]) == ["sst2"]
    assert run(results) == ["imdb"]
    assert run(results) == []
    assert capsys.readouterr().out.split("\n\n")[-3:] == ["sst2 1", "imdb 1", ""]
    assert run(results, "--again") == ["sst2", "imdb"]
    assert len(results.read_text(encoding="utf-8").splitlines()) == 4


def test_a_cell_that_is_done_is_kept_where_the_next_one_fails(results):
    with pytest.raises(KeyError):
        run(results, cells=[{"profile": "sst2"}, {}])
    assert find(results, {"profile": "sst2"})["figure"] == 1


@pytest.mark.parametrize("changed", ["code", "machine"])
def test_a_line_does_not_stand_for_other_code_or_another_machine(results, changed):
    run(results)
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    results.write_text(json.dumps(lines[0] | {changed: "other"}) + "\n", encoding="utf-8")
    assert run(results) == ["sst2", "imdb"]


def test_the_table_has_the_latest_line_of_each_cell_and_measures_nothing(results, capsys):
    results.write_text('{"profile": "a line of an older form"}\n', encoding="utf-8")
    run(results)
    run(results, "--again", cells=[{"profile": "other"}, {"profile": "sst2"}])
    capsys.readouterr()
    assert run(results, "--table") == []
    assert capsys.readouterr().out.splitlines() == ["sst2 2", "", "imdb 2", "", "other 1"]
    assert [line["figure"] for line in latest(results)] == [2, 2, 1]


def test_a_table_is_markdown_that_is_aligned():
    assert markdown(
        ("side", "of", "rows/s"), [("SureFit", "bf16", "9.5"), ("Trainer", "fp32", "11,000.0")], words=2
    ).splitlines() == [
        "| side    | of   |   rows/s |",
        "| ------- | ---- | -------: |",
        "| SureFit | bf16 |      9.5 |",
        "| Trainer | fp32 | 11,000.0 |",
    ]


def test_a_line_says_what_it_was_measured_on(results):
    run(results)
    assert latest(results)[0]["when"] in on_what(latest(results)[0])
