"""What is said of trainings beside a run's own."""

from surefit.report.refit_tables import curve_table, seed_tables
from surefit.report.wording import Wording


def spread(mean, width):
    return {"mean": mean, "standard_deviation": width / 2, "smallest": mean - width / 2, "largest": mean + width / 2}


def seeds_of(recall, width=0.004):
    figures = {name: spread(0.9, width) for name in ("accuracy", "macro_f1", "loss")}
    seeds = [{"seed": seed, "accuracy": 0.898, "macro_f1": 0.891, "loss": 0.312} for seed in (7, 8)]
    return figures | {"seeds": seeds, "recall": recall}


def test_digits_show_how_much_seeds_differ():
    of_seeds, _ = seed_tables(seeds_of({}))
    assert of_seeds.columns == ("", "accuracy", "macro F1", "log loss")
    assert of_seeds.rows[:2] == (("seed 7", "0.898", "0.891", "0.312"), ("seed 8", "0.898", "0.891", "0.312"))
    assert of_seeds.rows[3] == ("standard deviation", "0.002", "0.002", "0.002")
    assert "Trained alike on the same rows with 2 seeds" in of_seeds.note
    assert seed_tables(seeds_of({}, width=0.2))[0].rows[0][1] == "0.90"


def test_few_classes_stand_in_their_order_and_one_without_rows_says_so():
    _, recalls = seed_tables(seeds_of({"a": spread(0.5, 0.1), "b": None, "c": spread(0.8, 0.3)}))
    assert recalls.rows == (
        ("a", "0.500", "0.050", "0.450", "0.550"),
        ("b", "no test rows", "", "", ""),
        ("c", "0.800", "0.150", "0.650", "0.950"),
    )
    assert recalls.note == ""


def test_of_many_classes_those_that_move_most_are_shown():
    classes = {f"c{number}": None if number == 30 else spread(0.5, number / 100) for number in range(31)}
    _, recalls = seed_tables(seeds_of(classes))
    assert [row[0] for row in recalls.rows] == [f"c{number}" for number in range(29, 9, -1)]
    assert recalls.note == "The 20 of 31 classes that move most; metrics.json has all."


def test_the_fine_tuned_curve_leads():
    point = {"rows": 1234, "accuracy": 0.9, "accuracy_interval": [0.85, 0.93], "macro_f1": 0.8, "macro_f1_interval": None}
    table = curve_table({"points": [point | {"rows": 5}], "fine_tuned": {"points": [point]}}, Wording(2))
    assert table.rows == (
        ("fine-tuned model", "1,234", "90.0% (85.0% to 93.0%)", "0.80 (no interval)"),
        ("simple model", "5", "90.0% (85.0% to 93.0%)", "0.80 (no interval)"),
    )
