import json

from benchmarks.startup import run


def test_a_line_says_how_long_the_help_page_took(tmp_path, capsys):
    results = tmp_path / "results" / "startup.jsonl"
    run(2, results)
    run(1, results)
    first, second = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    assert (first["runs"], second["runs"]) == (2, 1)
    taken = first["seconds"]["surefit --help"]
    assert len(taken) == 2
    assert min(taken) <= first["median_seconds"]["surefit --help"] <= max(taken)
    assert first["machine"]["versions"]["typer"]
    assert "surefit --help" in capsys.readouterr().out
