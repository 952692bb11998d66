"""How far figures hang on the seed, counted on answers that are made up."""

import json

import numpy as np
import pytest

from surefit.evaluation.metrics import evaluate
from surefit.evaluation.seeds import SeedSpread, Spread, spread_over_seeds
from surefit.types import SINGLE_LABEL, LabelSchema

THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "never tested"))
TARGETS = np.repeat([0, 1], [60, 40])


def answers_with_wrong(rows):
    """Answers that are right but for some rows, which get the third class."""
    answers = TARGETS.copy()
    answers[rows] = 2
    return answers


def spread_of(*answers):
    probabilities = [np.full((100, 3), 0.05) + 0.85 * np.eye(3)[said] for said in answers]
    results = {
        seed: evaluate(TARGETS, of, said, THREE) for seed, of, said in zip(range(7, 99), probabilities, answers, strict=False)
    }
    return spread_over_seeds(results, answers)


def test_figures_of_each_seed_and_their_spread():
    spread = spread_of(answers_with_wrong([0]), answers_with_wrong([1, 61]), answers_with_wrong(range(2, 8)))
    assert [of.seed for of in spread.seeds] == [7, 8, 9]
    assert [of.accuracy for of in spread.seeds] == [0.99, 0.98, 0.94]
    assert spread.accuracy == Spread(pytest.approx(0.97), pytest.approx(np.std([0.99, 0.98, 0.94], ddof=1)), 0.94, 0.99)
    assert spread.macro_f1.mean == pytest.approx(np.mean([of.macro_f1 for of in spread.seeds]))
    assert spread.loss.smallest == min(of.loss for of in spread.seeds)
    assert spread.recall["a"] == Spread(
        pytest.approx(np.mean([59, 59, 54]) / 60), pytest.approx(np.std([59, 59, 54], ddof=1) / 60), 54 / 60, 59 / 60
    )
    assert spread.recall["b"].largest == 1
    assert spread.recall["never tested"] is None
    assert spread.disagreement == 0.09
    assert spread.sentence == (
        "another seed alone moves accuracy by 5.0 points (from 94.0% to 99.0% with 3 seeds): differences smaller than that "
        "say nothing; the seeds disagree on 9.0% of the test rows"
    )


def test_wrong_on_other_rows_is_as_accurate_and_not_the_same():
    spread = spread_of(answers_with_wrong([0]), answers_with_wrong([1]))
    assert (spread.accuracy.standard_deviation, spread.disagreement) == (0, 0.02)
    assert spread.sentence.startswith("accuracy is the same with each of 2 seeds, 99.0%; the seeds disagree on 2.0%")


@pytest.mark.parametrize("wrong", [[], [3], range(100)])
def test_seeds_that_agree_have_no_spread_at_all(wrong):
    answers = answers_with_wrong(wrong)
    spread = spread_of(answers, answers, answers)
    for figure in (spread.accuracy, spread.macro_f1, spread.loss, spread.recall["a"]):
        assert figure.smallest == figure.mean == figure.largest
        assert figure.standard_deviation == 0
    assert "all seeds agree on every test row" in spread.sentence


def test_it_is_plain_json():
    spread = spread_of(answers_with_wrong([0]), answers_with_wrong([1, 61]))
    assert json.loads(json.dumps(spread.to_dict()))["recall"]["never tested"] is None


def test_one_seed_has_no_spread():
    with pytest.raises(ValueError, match="fewer than two seeds"):
        SeedSpread((), *[Spread(1.0, 0.0, 1.0, 1.0)] * 3, {}, 0.0, "")
