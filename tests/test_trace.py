"""Traces: recorded as figures, saved as JSON, shown as tables."""

from dataclasses import replace

import pytest

from surefit.trace import (
    LAYER_SENTENCES,
    EpochTrace,
    LayerTrace,
    PipelineRecorder,
    PipelineTrace,
    PredictionTrace,
    RunTrace,
    StageTrace,
    Table,
    TrainingTrace,
    _brief,
)

SCRIPT = "<script>alert('x')</script>"


def stage(name, **changes):
    return StageTrace(**{"stage": name, "does": "It works.", "rows_in": 1200, "rows_out": 1100} | COLUMNS | changes)


COLUMNS = {"columns_in": ("text", "label"), "columns_out": ("text", "label", "class id")}


def epoch(number, macro_f1):
    return EpochTrace(number, 0.5, 0.25, 0.75, macro_f1, observation="learning: well", seconds=1.5)


def run_trace():
    stages = (stage("read", notes=("100 rejected",), example={"text": "good film", "line": 2}), stage("clean", seconds=0.5))
    training = TrainingTrace((epoch(1, 0.6), epoch(2, 0.5)), best_epoch=1, step_losses=(0.7, 0.1), ended="As asked.")
    return RunTrace(PipelineTrace(stages), training)


def test_a_pipeline_without_stages_is_none():
    with pytest.raises(ValueError, match="no stages"):
        PipelineTrace(())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": ()}, "none of its epochs"),
        ({"best_epoch": 3}, "none of its epochs"),
        ({"step_losses": ()}, "no step_losses"),
        ({"step_losses": (0.5, -1e300)}, "too large"),
        ({"epochs": (EpochTrace(1, 0.5, 1e300, 0.7, 0.7, observation="", seconds=1.0),)}, "too large"),
    ],
)
def test_a_training_that_cannot_be_drawn_is_none(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(run_trace().training, **changes)


def test_the_recorder_keeps_the_order_and_sets_the_example_in():
    recorder = PipelineRecorder()
    for name in ("read", "clean", "split"):
        recorder.add(stage(name))
    trace = recorder.finish({"clean": {"text": "good film"}})
    assert [(of.stage, dict(of.example)) for of in trace.stages] == [
        ("read", {}),
        ("clean", {"text": "good film"}),
        ("split", {}),
    ]


def test_every_text_of_a_table_is_escaped():
    shown = Table(title=SCRIPT, columns=(SCRIPT,), rows=((SCRIPT,),), note=SCRIPT, lead=SCRIPT).to_html()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 5


def test_lines_of_a_cell_stay_lines_in_a_notebook():
    shown = Table(title="t", columns=("a",), rows=(("It works.\nout: text",),)).to_html()
    assert "<td style='text-align:left'>It works.<br>out: text</td>" in shown


def test_traces_show_their_texts_escaped():
    layer = LayerTrace(SCRIPT, SCRIPT, (SCRIPT, SCRIPT), ((SCRIPT, 0.5),), note=SCRIPT)
    prediction = PredictionTrace((SCRIPT,), (layer,), label=SCRIPT, score=0.5)
    pipeline = PipelineTrace((stage(SCRIPT, does=SCRIPT, columns_in=(SCRIPT,), notes=(SCRIPT,), example={SCRIPT: SCRIPT}),))
    training = TrainingTrace((EpochTrace(1, 0.5, 0.5, 0.5, 0.5, observation=SCRIPT, seconds=1.0),), 1, (0.5,), ended=SCRIPT)
    for trace in (prediction, RunTrace(pipeline, training)):
        assert "<script" not in trace._repr_html_()
        assert "&lt;script&gt;" in trace._repr_html_()


def test_a_run_shows_stages_example_and_epochs():
    stages, carried, epochs = run_trace().tables()
    assert [row[:3] for row in stages.rows] == [("read", "1,200 × 2", "1,100 × 3"), ("clean", "1,200 × 2", "1,100 × 3")]
    assert "100 rejected" in stages.rows[0][3]
    assert carried.rows == (("read", "text", "good film"), ("", "line", "2"))
    assert [row[0] for row in epochs.rows] == ["1 (kept)", "2"]
    assert epochs.rows[0][1:5] == ("0.5000", "0.2500", "75.00%", "0.6000")
    assert epochs.note == "As asked."


def test_of_a_long_value_the_middle_is_left_out():
    tokens = [f"token{number}" for number in range(100)]
    (row,) = PipelineTrace((stage("tokenise", example={"tokens": tokens}),)).tables()[1].rows
    assert row[2].startswith("token0 token1 ")
    assert row[2].endswith(" token98 token99")
    assert len(row[2]) < 150


def test_a_long_text_is_shown_at_its_beginning_and_end():
    layer = LayerTrace("tokenisation", "It works.", ("what it is", "value"), (("text", "word " * 5000 + "end"),))
    trace = PredictionTrace(("word",), (layer,), "good", 0.9)
    (row,) = trace.tables()[0].rows
    assert row[1].startswith("word word ")
    assert row[1].endswith(" word end")
    assert len(row[1]) < 150
    assert len(trace.to_dict()["layers"][0]["rows"][0][1]) > 25_000


def test_a_prediction_shows_its_layers_in_order():
    layers = tuple(LayerTrace(name, does, ("a", "b"), (("x", 0.123456), (1, 2))) for name, does in LAYER_SENTENCES.items())
    tables = PredictionTrace(("good film",), layers, "good", 0.9).tables()
    assert [table.title.split(":")[0].split(". ")[0] for table in tables] == ["1", "2", "3", "4", "5"]
    assert [name in table.title for name, table in zip(LAYER_SENTENCES, tables, strict=True)] == [True] * 5
    assert tables[0].rows == (("x", "0.1235"), ("1", "2"))


def test_long_lists_are_cut_between_their_items():
    ids = [10_000 + number for number in range(60)]
    shown = _brief(ids).split(" ")
    assert shown[0] == "10000"
    assert shown[-1] == "10059"
    assert set(shown) - {"…"} <= set(map(str, ids))
    assert 100 < len(" ".join(shown)) <= 143
    assert _brief([7] * 60) == " ".join(["7"] * 60)
    assert _brief(["x" * 200, "y", "z" * 200]) == f"{'x' * 200} … {'z' * 200}"
