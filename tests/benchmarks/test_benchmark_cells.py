import dataclasses

from benchmarks.cells import Cell, Recipe, append, find, outcomes_by_corpus

RECIPE = Recipe(
    epochs=1, learning_rate=5e-5, batch_size=32, warmup_share=0.1, weight_decay=0.01, max_length=256, precision="fp32", seed=0
)
CELL = Cell("sms_spam", None, 0.2, RECIPE)


def line(cell, ours, theirs):
    return {"cell": dataclasses.asdict(cell), "test": {"ids": list(range(len(ours))), "ours": ours, "theirs": theirs}}


def test_the_latest_line_of_a_cell_counts_and_other_settings_are_other_cells(tmp_path):
    path = tmp_path / "accuracy.jsonl"
    append(path, line(CELL, "0", "1"))
    append(path, line(CELL, "1", "1"))
    assert find(path, CELL)["test"]["ours"] == "1"
    assert find(path, dataclasses.replace(CELL, rows=300)) is None
    assert find(path, dataclasses.replace(CELL, recipe=dataclasses.replace(RECIPE, epochs=2))) is None
    assert find(tmp_path / "absent.jsonl", CELL) is None


def test_outcomes_are_those_of_the_measured_cells_by_corpus(tmp_path):
    path = tmp_path / "accuracy.jsonl"
    second, absent = (dataclasses.replace(CELL, recipe=dataclasses.replace(RECIPE, seed=seed)) for seed in (1, 2))
    other = dataclasses.replace(CELL, corpus="banking77")
    append(path, line(CELL, "110", "011"))
    append(path, line(second, "000", "111"))
    append(path, line(other, "1", "1"))
    found = outcomes_by_corpus(path, [CELL, second, absent, other], "ours", "theirs")
    assert {name: len(outcomes) for name, outcomes in found.items()} == {"sms_spam": 2, "banking77": 1}
    assert found["sms_spam"][0].first.tolist() == [True, True, False]
    assert found["sms_spam"][0].second.tolist() == [False, True, True]
    assert found["sms_spam"][1].difference == -100.0
