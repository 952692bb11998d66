"""What a run says for and against its model: figures agree with its files, and its rule with its predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from learnable_rows import LEARNING, learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory, read_json
from surefit.errors import DataError, RunError, UsageError, VerdictError
from surefit.evaluation.calibration import calibration
from surefit.evaluation.intervals import confidence_intervals
from surefit.runs.required import check_required, require_verdict
from surefit.runs.train import train
from surefit.types import ABSTAINED, SINGLE_LABEL, LabelSchema

SCHEMA = LabelSchema(SINGLE_LABEL, ("bad", "good"))


def noisy_rows(n=400, flipped=0.15):
    """Learnable rows of which some have the other label."""
    source = np.random.default_rng(1)
    other = {"good": "bad", "bad": "good"}
    return [(text, other[label] if source.random() < flipped else label) for text, label in learnable_rows(n)]


@pytest.fixture(scope="module")
def noisy_csv(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "noisy.csv", ("text", "label"), noisy_rows())


@pytest.fixture(scope="module")
def unsure_run(tmp_path_factory, tiny_bert, noisy_csv):
    """A run whose model abstains where it is unsure."""
    run = tmp_path_factory.mktemp("runs") / "unsure"
    return train(noisy_csv, run, model=tiny_bert, min_precision=0.9, test_size=0.3, validation_size=0.3, **LEARNING)


def predictions_of(run):
    rows = read_table(RunDirectory(run.directory).predictions)
    probabilities = np.array([[float(row["probability_bad"]), float(row["probability_good"])] for row in rows])
    targets = np.array([SCHEMA.label2id[row["label"]] for row in rows])
    answers = np.array([SCHEMA.label2id.get(row["prediction"], -1) for row in rows])
    return targets, probabilities, answers


def test_intervals_are_those_of_the_written_predictions(trained_run):
    targets, probabilities, answers = predictions_of(trained_run)
    run = RunDirectory(trained_run.directory)
    groups = {(row["id"], row["split"]): int(row["group"]) for row in read_table(run.splits)}
    own = np.array([groups[row["id"], "test"] for row in read_table(run.predictions)])
    expected = confidence_intervals(targets, probabilities, answers, own, SCHEMA).to_dict()
    intervals = trained_run.metrics["test"]["intervals"]
    assert intervals["accuracy"] == pytest.approx(expected["accuracy"])
    assert intervals["per_class"]["bad"]["recall"] == pytest.approx(expected["per_class"]["bad"]["recall"])
    for figures in (trained_run.metrics["test"], trained_run.metrics["validation"], *trained_run.metrics["baselines"].values()):
        low, high = figures["intervals"]["accuracy"]
        assert low <= figures["accuracy"] <= high
        assert low < high


def test_three_baselines_are_compared_with_intervals(trained_run):
    baselines = trained_run.metrics["baselines"]
    assert list(baselines) == ["majority", "tfidf_logistic_regression", "embedding_logistic_regression"]
    for entry in baselines.values():
        comparison = entry["comparison"]
        low, high = comparison["interval"]
        assert low <= comparison["difference"] <= high
        assert comparison["difference"] == pytest.approx(100 * (trained_run.metrics["test"]["accuracy"] - entry["accuracy"]))
        assert 0 < comparison["detectable"] <= 100


def test_calibration_is_that_of_the_written_probabilities(unsure_run):
    targets, probabilities, _ = predictions_of(unsure_run)
    after = calibration(probabilities, targets, SINGLE_LABEL)
    said = unsure_run.metrics["calibration"]
    assert said["after"]["log_loss"] == pytest.approx(after.log_loss, abs=1e-6)
    assert said["after"]["brier_score"] == pytest.approx(after.brier_score, abs=1e-6)
    facts = read_json(RunDirectory(unsure_run.directory).model / "surefit.json")
    assert facts["decision"]["temperature"] == said["temperature"]


def test_the_rule_decides_the_written_predictions_and_those_of_the_saved_model(unsure_run, noisy_csv):
    targets, probabilities, answers = predictions_of(unsure_run)
    rule = unsure_run.metrics["thresholds"]["fitted"]["rule"]
    bounds = np.array(rule["abstain_below"])
    preferred = probabilities.argmax(axis=1)
    expected = np.where(probabilities.max(axis=1) >= bounds[preferred], preferred, -1)
    assert answers.tolist() == expected.tolist()
    assert 0 < (answers == -1).sum() < len(answers)
    assert unsure_run.metrics["test"]["answered"] == (answers != -1).sum()
    assert unsure_run.metrics["test"]["accuracy"] == pytest.approx((answers == targets).mean())
    run = RunDirectory(unsure_run.directory)
    texts = [row["text"] for row in read_table(noisy_csv)]
    test_texts = [texts[int(row["id"]) - 1] for row in read_table(run.predictions)]
    said = unsure_run.load(precision="fp32", threads=1).predict(test_texts)
    assert [prediction.label for prediction in said] == [SCHEMA.id2label[answer] if answer >= 0 else "" for answer in answers]
    assert [prediction.abstained for prediction in said] == (answers == -1).tolist()
    assert [row["prediction"] for row in read_table(run.predictions)] == [prediction.label for prediction in said]
    assert said[int(np.flatnonzero(answers == -1)[0])].unanswered == ABSTAINED


def test_abstaining_stands_in_the_verdict_and_baselines_are_compared_on_all_rows(unsure_run):
    assert any("abstains from the others" in reason for reason in unsure_run.metrics["verdict"]["reasons"])
    targets, probabilities, _ = predictions_of(unsure_run)
    plain = 100 * (probabilities.argmax(axis=1) == targets).mean()
    for entry in unsure_run.metrics["baselines"].values():
        assert entry["comparison"]["difference"] == pytest.approx(plain - 100 * entry["accuracy"])


def test_label_issues_are_ranked_and_name_rows_of_the_file(unsure_run, noisy_csv):
    issues = read_table(RunDirectory(unsure_run.directory).label_issues)
    metrics = unsure_run.metrics["label_issues"]
    assert metrics["judged"] == 400
    assert metrics["found"] == len(issues) > 0
    scores = [float(issue["probability_of_label"]) for issue in issues]
    assert scores == sorted(scores)
    texts = read_table(noisy_csv)
    for issue in issues:
        row = texts[int(issue["id"]) - 1]
        assert (issue["text"], issue["label"]) == (" ".join(row["text"].split()), row["label"])
        assert issue["suggested"] != issue["label"]
        assert issue["split"] in ("train", "validation", "test")


def test_overfitting_and_the_learning_curve_are_told(trained_run):
    fitting = trained_run.metrics["overfitting"]
    assert fitting["gap"] == pytest.approx(fitting["training_accuracy"] - fitting["validation_accuracy"])
    assert [point["share"] for point in trained_run.metrics["learning_curve"]["points"]] == [0.25, 0.5, 1.0]
    assert trained_run.metrics["learning_curve"]["points"][-1]["rows"] == fitting["training_rows"]


def test_a_positive_class_gets_the_precision_that_was_asked_for(tmp_path, tiny_bert, noisy_csv):
    run = train(noisy_csv, tmp_path / "run", model=tiny_bert, positive="good", min_precision=0.85, test_size=0.3, **LEARNING)
    fitted = run.metrics["thresholds"]["fitted"]
    thresholds = fitted["rule"]["thresholds"]
    assert sum(thresholds) == pytest.approx(1)
    _, probabilities, answers = predictions_of(run)
    assert answers.tolist() == (probabilities[:, 1] > thresholds[1]).astype(int).tolist()


def test_costs_decide_and_belong_to_the_run(tmp_path, tiny_bert, noisy_csv):
    costs = write_table(tmp_path / "costs.csv", ("", "good", "bad"), [("good", 0, 1), ("bad", 20, 0)])
    run = train(noisy_csv, tmp_path / "run", model=tiny_bert, costs=costs, **(LEARNING | {"epochs": 1}))
    assert read_json(RunDirectory(run.directory).settings)["costs"] == [[0.0, 20.0], [1.0, 0.0]]
    _, probabilities, answers = predictions_of(run)
    assert answers.tolist() == (probabilities[:, 1] > 20 * probabilities[:, 0]).astype(int).tolist()
    assert run.metrics["thresholds"]["costs"]
    assert train(noisy_csv, run.directory, resume=True).metrics == run.metrics
    write_table(costs, ("", "good", "bad"), [("good", 0, 1), ("bad", 2, 0)])
    with pytest.raises(RunError, match="the table of --costs has changed"):
        train(noisy_csv, run.directory, resume=True)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"min_recall": 0.9}, UsageError, "name it with --positive"),
        ({"min_precision": 1.5}, UsageError, "--min-precision must be over 0 and under 1"),
        ({"positive": "god", "best_f1": True}, UsageError, "--positive 'god' is none of the classes"),
        ({"costs": "nowhere.csv"}, DataError, "--costs nowhere.csv cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_there_is_a_run(tmp_path, tiny_bert, noisy_csv, options, error, said):
    with pytest.raises(error, match=said):
        train(noisy_csv, tmp_path / "run", model=tiny_bert, **options)
    assert not (tmp_path / "run").exists()


def test_a_verdict_can_be_required(trained_run, unsure_run):
    check_required(None)
    check_required("good")
    with pytest.raises(UsageError, match="--require must be 'good', got 'perfect'"):
        check_required("perfect")
    require_verdict(trained_run, None)
    grade = unsure_run.metrics["verdict"]["grade"]
    assert grade != "good"
    with pytest.raises(VerdictError, match=f"is {grade}, not good"):
        require_verdict(unsure_run, "good")
    assert VerdictError.exit_code == 1


def test_settings_come_from_a_file_and_those_given_come_before_it(tmp_path, tiny_bert, noisy_csv):
    config = tmp_path / "settings.toml"
    config.write_text("epochs = 1\nmin_precision = 0.7\n[training]\nlearning_rate = 1e-4\n[verdict]\ngood_accuracy = 0.5\n")
    run = train(noisy_csv, tmp_path / "run", config=config, model=tiny_bert, learning_rate=1e-3, precision="fp32", threads=1)
    settings = json.loads(RunDirectory(run.directory).settings.read_text())["settings"]
    assert (settings["training"]["epochs"], settings["training"]["learning_rate"]) == (1, 1e-3)
    assert (settings["decision"]["min_precision"], settings["verdict"]["good_accuracy"]) == (0.7, 0.5)
    (tmp_path / "wrong.toml").write_text("epochs = ")
    for path, said in ((tmp_path / "wrong.toml", "is no TOML"), (tmp_path / "none.toml", "cannot be read: No such file")):
        with pytest.raises(UsageError, match=said):
            train(noisy_csv, tmp_path / "other", config=path)
