"""Tables and curves at any width: a grid where it fits, else blocks, and no figure or word ever broken."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from surefit.cli.render import column_widths, draw, draw_loss_curve
from surefit.evaluation.comparison import describe_difference
from surefit.evaluation.observations import observe
from surefit.runs.tables import evaluation_tables
from surefit.trace import STAGE_SENTENCES, EpochTrace, PipelineTrace, StageTrace, Table, TrainingTrace
from surefit.types import EpochFigures

WIDTHS = (40, 50, 80, 120)
LONG_NAMES = ("payment refused by the bank", "card_not_delivered_after_weeks", "配送に関する問い合わせ", "refund")


def drawn(table, width):
    """The lines of a table at a width, as a file gets them, without spaces at their ends."""
    console = Console(file=io.StringIO(), width=width)
    console.print(draw(table))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def is_grid(lines):
    return any(line.startswith("┏") for line in lines)


def pipeline():
    example = {"text": "the film is a triumph of gentility that earns its pathos", "input ids": list(range(1000, 1060))}
    stages = (
        StageTrace(name, does, 12_345, ("text", "label"), 12_340, ("text", "label"), ("5 rows were rejected",), example)
        for name, does in STAGE_SENTENCES.items()
    )
    return PipelineTrace(tuple(stages)).tables()


def training():
    rows = ((0.55, 0.45, 0.80, 0.80), (0.41, 0.38, 0.83, 0.83), (0.33, 0.37, 0.84, 0.835), (0.21, 0.48, 0.83, 0.82))
    figures = [EpochFigures(number, *row) for number, row in enumerate(rows, 1)]
    epochs = (
        EpochTrace(*vars(last).values(), observation=observe(figures[: last.epoch], 2, 0.5), seconds=1.0) for last in figures
    )
    return TrainingTrace(tuple(epochs), 3, tuple(0.7 - step / 2000 for step in range(800)), "training ended after 4 epochs")


def evaluation(names):
    figures = {"precision": 0.8123, "recall": 0.7991, "f1": 0.8056}
    bounds = {"precision": [0.79, 0.83], "recall": [0.78, 0.82], "f1": None}
    matrix = [[1234 if truth == said else 7 * truth + said for said in range(len(names))] for truth in range(len(names))]
    result = {
        "per_class": {name: figures | {"support": 1234} for name in names},
        "confusion_matrix": matrix,
        "macro": figures,
        "weighted": figures,
        "accuracy": 0.8432,
        "n": 12_345,
        "answered": 12_000,
        "intervals": {"accuracy": [0.81, 0.87], "macro": bounds, "weighted": bounds, "per_class": dict.fromkeys(names, bounds)},
    }
    baselines = {
        name: {
            "name": name,
            "accuracy": 0.8012,
            "macro": figures,
            "comparison": {"sentence": describe_difference(0.6, (-0.4, 1.6), 0.21, 12_345, name), "detectable": 1.4},
        }
        for name in ("majority class", "TF-IDF and logistic regression")
    }
    leaks = {"exact": 0, "near": 0, "group": 0, "earlier_run": 0}
    reasons = ["Accuracy is 0.843, [0.81, 0.87]: under 0.85.", f"Of one class less than 50% is found: {names[0]!r} 0.12."]
    counts, examples = {"easy": 40_000, "ambiguous": 900, "hard": 12}, {"easy": ["r1"], "ambiguous": ["r2"], "hard": ["r3"] * 3}
    further = {
        "data_map": {"counts": counts, "examples": examples, "sentence": "of 40,912 training rows 12 were never right"},
        "verdict": {"grade": "usable with care", "reasons": reasons},
        "thresholds": {"fitted": {"sentence": f"{names[0]!r} is answered where its score is over 0.4321."}},
        "calibration": {"sentence": "the probabilities are too confident; of the texts given about 0.9, 86% are right"},
        "overfitting": {"training_accuracy": 0.991, "validation_accuracy": 0.853},
        "learning_curve": {"sentence": "from half of the training rows to all, a simple model gained +0.8 points"},
        "label_issues": {"sentence": "1,234 of 12,345 labels may be wrong; label_issues.csv ranks them"},
    }
    return evaluation_tables({"test": result, "baselines": baselines, "leaks": leaks, "training": {}} | further)


def long_names(classes):
    return [f"{LONG_NAMES[number % len(LONG_NAMES)]} {number}" for number in range(classes)]


TABLES = {
    "pipeline": pipeline(),
    "training": training().tables(),
    "two classes": evaluation(["negative", "positive"]),
    **{f"{classes} long names": evaluation(long_names(classes)) for classes in (2, 12, 77)},
    "an unbreakable word": [Table("t", ("file", "rows"), (("/" + "directory/" * 30, "12"),), note="n" * 200, lead="l" * 200)],
    "no rows": [Table("t", ("text", "label"), ())],
}


@pytest.mark.parametrize("width", [*WIDTHS, 20, 79, 400])
@pytest.mark.parametrize("tables", TABLES.values(), ids=TABLES)
def test_no_line_is_wider_than_the_terminal(tables, width):
    for table in tables:
        assert max(map(cell_len, drawn(table, width))) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [name for name in TABLES if name != "an unbreakable word"])
def test_words_and_figures_are_never_broken(name, width):
    for table in TABLES[name]:
        lines = drawn(table, width)
        shown = {word.rstrip(":") for line in lines for word in line.replace("│", " ").replace("┃", " ").split()}
        texts = [table.title, table.lead, table.note, *table.columns, *(cell for row in table.rows for cell in row)]
        words = {word.rstrip(":") for text in texts for word in text.split() if word.isascii()}
        assert words <= shown


@pytest.mark.parametrize("name", ["pipeline", "training", "two classes"])
@pytest.mark.parametrize("width", [80, 96, 120])
def test_common_output_is_a_grid_from_80_columns_on(name, width):
    assert all(is_grid(drawn(table, width)) for table in TABLES[name])


def test_figures_with_a_thousands_separator_and_a_sign_stay_on_one_line():
    assert "  in: 12,345 × 2" in drawn(TABLES["pipeline"][0], 40)
    assert sum("│ 12,345 × 2 │ 12,340 × 2 │" in line for line in drawn(TABLES["pipeline"][0], 80)) == len(STAGE_SENTENCES)


def test_a_narrow_training_trace_is_a_block_for_each_epoch():
    lines = drawn(TABLES["training"][0], 50)
    assert lines[:17] == [
        "",
        "Training trace",
        "",
        "epoch: 1",
        "  training loss: 0.5500",
        "  validation loss: 0.4500",
        "  accuracy: 80.00%",
        "  macro F1: 0.8000",
        "  observation: learning: accuracy 0.800 and macro",
        "  F1 0.800 after the first epoch",
        "",
        "epoch: 2",
        "  training loss: 0.4100",
        "  validation loss: 0.3800",
        "  accuracy: 83.00%",
        "  macro F1: 0.8300",
        "  observation: learning: validation loss went from",
    ]
    assert lines[-2:] == ["", "training ended after 4 epochs"]


def test_blocks_leave_out_empty_cells_and_name_no_column_without_a_name():
    table = Table("t", ("model", "F1", ""), (("BERT", "0.9", ""), ("", "0.8", "it is " * 10)))
    assert drawn(table, 25) == [
        *("", "t", "", "model: BERT", "  F1: 0.9", ""),
        *("  F1: 0.8", "  it is it is it is it is", "  it is it is it is it is", "  it is it is"),
    ]


def test_two_classes_stay_a_grid_as_long_as_their_words_fit():
    per_class, confusion, *_ = TABLES["two classes"]
    assert is_grid(drawn(per_class, 54))
    assert not is_grid(drawn(per_class, 53))
    assert is_grid(drawn(confusion, 40))


def test_a_confusion_matrix_of_long_names_names_each_prediction():
    lines = drawn(TABLES["12 long names"][1], 50)
    assert not is_grid(lines)
    assert "truth: card_not_delivered_after_weeks 1" in lines
    assert "  配送に関する問い合わせ 2: 1,234" in lines


def test_all_columns_get_what_they_want_where_there_is_room():
    table = Table("t", ("class", "rows"), (("a short name", "1,234"),))
    assert column_widths(table, 80) == [12, 5]
    assert column_widths(table, 12 + 5 + 7) == [12, 5]


def test_the_longest_text_wraps_first():
    table = Table("t", ("class", "text"), (("a short name", "word " * 40),))
    assert column_widths(table, 80) == [12, 80 - 12 - 7]


def test_prose_is_never_narrower_than_20():
    table = Table("t", ("class", "text"), (("name", "word " * 40),))
    assert column_widths(table, 5 + 20 + 7) == [5, 20]
    assert column_widths(table, 5 + 20 + 6) == []


def test_chinese_breaks_anywhere_but_latin_words_do_not():
    assert column_widths(Table("t", ("text", "label"), (("配送" * 40, "good"),)), 50) == [50 - 5 - 7, 5]
    assert column_widths(Table("t", ("text", "label"), (("word" * 40, "good"),)), 50) == []


def test_chinese_is_whole_when_its_lines_are_joined():
    text = "配送に関する問い合わせと苦情について" * 4
    lines = drawn(Table("t", ("text", "label"), ((text, "good"),)), 50)
    assert "".join(line.split("│")[1].strip() for line in lines if line.startswith("│")) == text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_loss_curve_fits(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(draw_loss_curve(training(), width))
    lines = console.file.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    frame = next(line for line in lines if "┌" in line).rstrip()
    assert sum(cell_len(line.rstrip()) >= len(frame) and line.lstrip().startswith("│") for line in lines) == 10
    assert any("training (running mean)" in line for line in lines)
    assert any("validation (after each epoch)" in line for line in lines)
