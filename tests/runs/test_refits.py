"""Trainings beside a run's own: they are what separate runs would be, they are resumed, and they leave the run as it is."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file

from learnable_rows import BAD, GOOD, LEARNING, NEUTRAL, read_table, without_timings, write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.decision import probabilities
from surefit.errors import Interrupted, RunError, TrainingError
from surefit.evaluation.learning_curve import SHARES, nested_subsets
from surefit.progress import Progress
from surefit.runs.directory import claim_run
from surefit.runs.report import report_run
from surefit.runs.tables import evaluation_tables
from surefit.runs.train import train
from surefit.types import SINGLE_LABEL

CLASSES = {"bad": BAD, "calm": ("calm", "slow", "long", "old"), "good": GOOD}
OPTIONS = LEARNING | {"epochs": 2}
REQUESTS = {"seeds": 3, "learning_curve": True}
RESULTS = {"seed-1.safetensors", "seed-2.safetensors", "share-25.safetensors", "share-50.safetensors"}
TITLES = ["seed 2 of 3", "seed 3 of 3", "25% of the training rows", "50% of the training rows"]


def three_class_rows(n, seed):
    """Texts of three classes; one in ten has another label, so that models differ. Some stand twice."""
    source = random.Random(seed)
    rows = []
    for number in range(n):
        name = list(CLASSES)[number % 3]
        words = source.choices(NEUTRAL, k=source.randint(3, 8)) + source.choices(CLASSES[name], k=2)
        source.shuffle(words)
        rows.append((" ".join(words), source.choice(list(CLASSES)) if source.random() < 0.1 else name))
    return rows + rows[: n // 10]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Training, validation and test files, so that the split does not hang on the seed."""
    directory = tmp_path_factory.mktemp("data")
    sizes = {"train": 150, "validation": 40, "test": 90}
    return {
        name: write_table(directory / f"{name}.csv", ("text", "label"), three_class_rows(rows, seed))
        for seed, (name, rows) in enumerate(sizes.items())
    }


@pytest.fixture(scope="module")
def trained(files, tiny_bert, tmp_path_factory):
    """Trains on the files, in a new directory unless one is named."""

    def begin(run=None, **options):
        data = options.pop("data", files["train"])
        run = run or tmp_path_factory.mktemp("runs") / "run"
        given = {name: files[name] for name in ("validation", "test")}
        return train(data, run, **given, **({} if options.get("resume") else {"model": tiny_bert} | OPTIONS), **options)

    return begin


@pytest.fixture(scope="module")
def asked(trained):
    """A run with all requests, and with a verdict that goes by the least spread."""
    return trained(seed_spread=0.0, **REQUESTS)


@pytest.fixture(scope="module")
def plain(trained):
    """The same run without requests."""
    return trained(seed_spread=0.0)


@pytest.fixture(scope="module")
def other_seed(trained):
    """The run with the next seed."""
    return trained(seed=1)


class Stops(Progress):
    """Asks for a stop in the middle of one training, and keeps what is said."""

    def __init__(self, title="", step=0):
        self.titles, self.notes, self.first_steps = [], [], {}
        self._at = title, step

    def training(self, name):
        self.titles.append(name)

    def note(self, sentence):
        self.notes.append(sentence)

    def step(self, record, total_steps):
        self.first_steps.setdefault(*self.titles[-1:] or ["train"], record.step)
        if (self.titles[-1:], record.step) == ([self._at[0]], self._at[1]):
            signal.raise_signal(signal.SIGINT)


def refits_of(run):
    return {path.name: path.read_bytes() for path in RunDirectory(run).refits.iterdir()}


def events_of(run):
    return [json.loads(line) | {"seconds": 0} for line in run.training_log.read_text(encoding="utf-8").splitlines()]


def recorded(run):
    """What a run wrote of a refit's seed, in the figures of `seeds`."""
    test = run.metrics["test"]
    return {"accuracy": test["accuracy"], "macro_f1": test["macro"]["f1"], "loss": test["loss"]}


def test_the_runs_own_files_are_the_same_with_and_without_requests(asked, plain):
    one, other = RunDirectory(asked.directory), RunDirectory(plain.directory)
    assert sorted(path.name for path in one.model.iterdir()) == sorted(path.name for path in other.model.iterdir())
    for path in one.model.iterdir():
        assert path.read_bytes() == (other.model / path.name).read_bytes(), path.name
    for name in ("predictions", "mistakes", "label_issues", "training_rows", "splits", "leaks", "audit", "prediction_trace"):
        assert getattr(one, name).read_bytes() == getattr(other, name).read_bytes(), name
    assert without_timings(one.trace) == without_timings(other.trace)
    assert events_of(one) == events_of(other)
    of_asked, of_plain = without_timings(one.metrics), without_timings(other.metrics)
    assert "fine_tuned" in of_asked["learning_curve"]
    del of_asked["seeds"], of_asked["learning_curve"]["fine_tuned"], of_asked["verdict"], of_plain["verdict"]
    assert of_asked == of_plain
    assert not other.refits.exists()


def test_nothing_but_results_is_left(asked):
    refits = RunDirectory(asked.directory).refits
    assert {str(path.relative_to(refits)) for path in refits.rglob("*")} == RESULTS


def test_a_refit_is_what_a_run_with_its_seed_is(asked, other_seed):
    seeds = asked.metrics["seeds"]["seeds"]
    assert seeds[1] == {"seed": 1} | recorded(other_seed)
    assert seeds[0] == {"seed": 0} | recorded(asked)
    assert seeds[0] != seeds[1] | {"seed": 0}
    answers = load_file(RunDirectory(asked.directory).refits / "seed-1.safetensors")
    found = probabilities(answers["logits"], SINGLE_LABEL, float(answers["temperature"][0]))
    rows = read_table(RunDirectory(other_seed.directory).predictions)
    assert found.tolist() == [[float(row[f"probability_{name}"]) for name in CLASSES] for row in rows]


def test_spread_is_that_of_the_seeds(asked, other_seed):
    found = asked.metrics["seeds"]
    accuracies = [of["accuracy"] for of in found["seeds"]]
    assert (found["accuracy"]["smallest"], found["accuracy"]["largest"]) == (min(accuracies), max(accuracies))
    assert found["accuracy"]["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    recalls = [run.metrics["test"]["per_class"]["calm"]["recall"] for run in (asked, other_seed)]
    assert found["recall"]["calm"]["smallest"] <= min(recalls) <= max(recalls) <= found["recall"]["calm"]["largest"]
    answers = [
        [row["prediction"] for row in read_table(RunDirectory(run.directory).predictions)] for run in (asked, other_seed)
    ]
    assert found["disagreement"] >= np.mean(np.array(answers[0]) != np.array(answers[1])) > 0


def test_a_share_is_what_a_run_on_its_rows_is(asked, files, trained, tmp_path):
    rows = read_table(files["train"])
    groups = [int(row["group"]) for row in read_table(RunDirectory(asked.directory).splits) if row["split"] == "train"]
    targets = np.array([list(CLASSES).index(row["label"]) for row in rows])
    subsets = nested_subsets(targets, np.array(groups), SHARES, seed=0)
    half = write_table(tmp_path / "half.csv", ("text", "label"), [tuple(rows[row].values()) for row in subsets[1]])
    alone = trained(data=half)
    points = asked.metrics["learning_curve"]["fine_tuned"]["points"]
    assert [(point["share"], point["rows"]) for point in points] == list(zip(SHARES, map(len, subsets), strict=True))
    for run, point in ((alone, points[1]), (asked, points[2])):
        test = run.metrics["test"]
        assert (point["accuracy"], point["macro_f1"]) == (test["accuracy"], test["macro"]["f1"])
        intervals = test["intervals"]
        assert (point["accuracy_interval"], point["macro_f1_interval"]) == (intervals["accuracy"], intervals["macro"]["f1"])
    gain = 100 * (points[2]["accuracy"] - points[1]["accuracy"])
    assert asked.metrics["learning_curve"]["fine_tuned"]["last_doubling"] == pytest.approx(gain)


def test_both_curves_learn_from_the_same_rows(asked):
    curve = asked.metrics["learning_curve"]
    assert [point["rows"] for point in curve["points"]] == [point["rows"] for point in curve["fine_tuned"]["points"]]


@pytest.fixture(scope="module")
def interrupted(trained, tmp_path_factory):
    """A run that was stopped in the middle of its second refit, and what it said."""
    run = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.raises(Interrupted) as stopped:
        trained(run, seed_spread=0.0, progress=Stops("seed 3 of 3", 13), **REQUESTS)
    return run, str(stopped.value)


def test_a_stop_says_in_which_training_it_came(interrupted):
    run, said = interrupted
    assert re.match(r"seed 3 of 3: interrupted after step 13 of \d+; the run is saved; go on with: .*--resume", said)
    assert {path.name for path in RunDirectory(run).refits.iterdir()} == {"seed-1.safetensors", "seed-2"}


def same_as(run, asked):
    assert refits_of(run) == refits_of(asked.directory)
    one, other = RunDirectory(run), RunDirectory(asked.directory)
    assert without_timings(one.metrics) == without_timings(other.metrics)
    assert (one.model / "model.safetensors").read_bytes() == (other.model / "model.safetensors").read_bytes()


def test_a_refit_goes_on_where_it_was_stopped(interrupted, asked, trained, tmp_path):
    run = shutil.copytree(interrupted[0], tmp_path / "run")
    (run / "refits" / ".seed-2.safetensors.0123abcd.tmp").touch()
    progress = Stops()
    trained(run, resume=True, progress=progress)
    assert progress.titles == TITLES[1:]
    assert progress.first_steps == {TITLES[1]: 14, TITLES[2]: 1, TITLES[3]: 1}
    same_as(run, asked)


def test_a_training_that_diverges_is_left_out_and_the_run_stands(trained, asked):
    class Diverges(Stops):
        def step(self, record, total_steps):
            if self.titles[-1:] in (["seed 3 of 3"], ["50% of the training rows"]):
                raise TrainingError("the loss is no longer a number")

    watcher = Diverges()
    run = trained(progress=watcher, **REQUESTS)
    assert watcher.titles == TITLES
    assert {name for name in TITLES for note in watcher.notes if note.startswith(name)} == set(TITLES[1::2])
    assert [of["seed"] for of in run.metrics["seeds"]["seeds"]] == [0, 1]
    assert run.metrics["seeds"]["sentence"].endswith("with 1 more training diverged")
    assert "fine_tuned" not in run.metrics["learning_curve"]
    assert run.metrics["test"] == asked.metrics["test"]
    assert {path.name for path in RunDirectory(run.directory).refits.iterdir()} == {
        "seed-1.safetensors",
        "share-25.safetensors",
    }


def test_a_damaged_result_is_made_again(interrupted, asked, trained, tmp_path):
    run = shutil.copytree(interrupted[0], tmp_path / "run")
    file = run / "refits" / "seed-1.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    progress = Stops()
    trained(run, resume=True, progress=progress)
    assert progress.titles == TITLES
    assert progress.notes[0] == f"{file} is damaged; it is made again"
    same_as(run, asked)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": 2}, "was begun with --seeds 1, now 2 is asked for"),
        ({"learning_curve": True}, "resume without --learning-curve"),
    ],
    ids=str,
)
def test_requests_cannot_be_added_to_a_run(plain, trained, options, said):
    with pytest.raises(RunError, match=said):
        trained(plain.directory, resume=True, **options)


def test_overwriting_removes_the_results(asked, tmp_path):
    run = RunDirectory(shutil.copytree(asked.directory, tmp_path / "run"))
    claim_run(run, overwrite=True)
    assert not run.refits.exists()


def test_the_verdict_falls_where_seeds_spread(asked, plain):
    low, high = (asked.metrics["seeds"]["accuracy"][end] for end in ("smallest", "largest"))
    reasons = [reason for reason in asked.metrics["verdict"]["reasons"] if reason not in plain.metrics["verdict"]["reasons"]]
    found = f"Another seed alone moves accuracy by {high - low:.3f} (from {low:.3f} to {high:.3f} with 3 seeds), more than 0"
    assert reasons == [f"{found}: it is not stable."]


def test_terminal_report_and_model_card_say_it(asked, plain, tmp_path):
    seeds, curve = asked.metrics["seeds"], asked.metrics["learning_curve"]
    titles = [
        "The same training with other seeds",
        "Recall of each class over the seeds",
        "Score by the number of training rows",
    ]
    tables = {table.title: table for table in evaluation_tables(asked.metrics)}
    of_seeds, recalls, points = (tables[title] for title in titles)
    assert [row[0] for row in of_seeds.rows] == [
        "seed 0",
        "seed 1",
        "seed 2",
        "mean",
        "standard deviation",
        "smallest",
        "largest",
    ]
    assert float(of_seeds.rows[1][1]) == pytest.approx(seeds["seeds"][1]["accuracy"], abs=0.005)
    assert float(of_seeds.rows[4][1]) > 0
    assert [row[0] for row in recalls.rows] == list(CLASSES)
    assert [row[1] for row in points.rows[:3]] == [str(point["rows"]) for point in curve["fine_tuned"]["points"]]
    assert dict(tables["What else is known"].rows)["other seeds"] == seeds["sentence"]
    page = report_run(asked.directory, tmp_path / "asked.html").read_text(encoding="utf-8")
    of_first = points.rows[0][2].split()[0]
    card = RunDirectory(asked.directory).model_card.read_text(encoding="utf-8").replace("\\", "")
    assert f"Accuracy of the fine-tuned model: {of_first} with {curve['fine_tuned']['points'][0]['rows']}, " in page
    for sentence in (seeds["sentence"], curve["sentence"], curve["fine_tuned"]["sentence"]):
        assert sentence[1:] in page.replace("&#43;", "+")
        assert sentence in card
    assert card.index(curve["fine_tuned"]["sentence"]) < card.index(curve["sentence"])
    without = report_run(plain.directory, tmp_path / "plain.html").read_text(encoding="utf-8")
    for title in titles:
        assert f"<caption>{title}</caption>" in page
        assert title not in {table.title for table in evaluation_tables(plain.metrics)}
        assert f"<caption>{title}</caption>" not in without


def test_figures_of_refits_are_checked_when_a_run_is_read(asked, tmp_path):
    run = RunDirectory(shutil.copytree(asked.directory, tmp_path / "run"))
    whole = read_json(run.metrics)
    for place, value in ((("seeds", "seeds"), []), (("learning_curve", "fine_tuned", "points"), []), (("seeds", "recall"), 1)):
        content = json.loads(json.dumps(whole))
        inner = content
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        run.metrics.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(RunError, match=f"metrics.json is damaged: {place[0]}"):
            report_run(run.path)
