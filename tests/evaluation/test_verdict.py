"""Verdicts: what is planted decides them, and the reasons say so."""

import numpy as np
import pytest

from surefit.config import VerdictSettings
from surefit.errors import UsageError
from surefit.evaluation.baselines import EMBEDDING_LOGISTIC_REGRESSION, MAJORITY_CLASS, TFIDF_LOGISTIC_REGRESSION
from surefit.evaluation.comparison import compare
from surefit.evaluation.intervals import confidence_intervals
from surefit.evaluation.judgement import Circumstances, Judgement
from surefit.evaluation.metrics import evaluate
from surefit.evaluation.requests import DecisionRequest
from surefit.evaluation.verdict import give_verdict
from surefit.types import SINGLE_LABEL, LabelSchema

SOUND = {"leaked": 0, "training_accuracy": 0.96, "validation_accuracy": 0.95, "gap_interval": (-0.01, 0.03)}


def rows_of(found, classes=None):
    """Targets and answers: of each class so many rows, so many of them found, the others taken for the next class."""
    targets = np.repeat(np.arange(len(found)), [rows for rows, _ in found])
    answers = np.concatenate(
        [np.repeat([number, (number + 1) % len(found)], [right, rows - right]) for number, (rows, right) in enumerate(found)]
    )
    return targets, answers


def verdict_on(found, tfidf_found=None, standards=None, supports=None, **circumstances):
    """The verdict on a classifier that finds so many rows of each class; TF-IDF finds half of them unless said otherwise."""
    targets, answers = rows_of(found)
    schema = LabelSchema(SINGLE_LABEL, tuple(f"c{number}" for number in range(len(found))))
    probabilities = np.full((len(targets), len(found)), 0.1 / (len(found) - 1))
    probabilities[np.arange(len(targets)), answers] = 0.9
    groups = np.arange(len(targets))
    _, tfidf = rows_of(tfidf_found or [(rows, right // 2) for rows, right in found])
    majority = np.full(len(targets), int(np.argmax([rows for rows, _ in found])))
    others = {MAJORITY_CLASS: majority, TFIDF_LOGISTIC_REGRESSION: tfidf, EMBEDDING_LOGISTIC_REGRESSION: tfidf}
    judgement = Judgement(
        evaluate(targets, probabilities, answers, schema),
        confidence_intervals(targets, probabilities, answers, groups, schema),
        {name: compare(targets, answers, given, groups, schema, name) for name, given in others.items()},
        supports or {f"c{number}": rows for number, (rows, _) in enumerate(found)},
    )
    rows = {"test_rows": len(targets), "answered": len(targets), "request": DecisionRequest()}
    return give_verdict(judgement, Circumstances(**(rows | SOUND | circumstances)), standards or VerdictSettings())


def test_a_sound_classifier_is_good_and_the_reasons_say_what_makes_it_so():
    verdict = verdict_on([(300, 285), (300, 280)])
    assert verdict.grade == "good"
    assert any("at least 0.85" in reason for reason in verdict.reasons)
    assert any("Every class with 30 or more test rows" in reason for reason in verdict.reasons)


def test_a_rare_class_behind_a_high_accuracy_is_not_reliable():
    verdict = verdict_on([(980, 978), (20, 2)])  # 98.0% accurate, of fraud 10% is found
    assert verdict.grade == "not reliable"
    assert "less than 50% is found, behind an accuracy of 0.98" in verdict.reasons[0] + verdict.reasons[1]
    verdict = verdict_on([(5800, 5788), (120, 14)])
    assert verdict.grade == "not reliable"
    assert "'c1' 0.12 [0.07, 0.19]" in " ".join(verdict.reasons)


def test_few_rows_of_a_class_are_no_proof_that_it_is_not_found():
    verdict = verdict_on([(300, 290), (300, 290), (5, 2)])
    assert verdict.grade == "usable with care"
    assert "under 30 test rows, too few to tell, of one class: 'c2' 5" in " ".join(verdict.reasons)


def test_an_accuracy_near_the_largest_class_is_not_reliable():
    verdict = verdict_on([(900, 890), (60, 35), (60, 35)])
    assert verdict.grade != "not reliable"
    verdict = verdict_on([(950, 940), (50, 28)])
    assert verdict.grade == "not reliable"
    assert any(reason.startswith("Always answering the largest class would be right") for reason in verdict.reasons)
    # Too few rows to be sure of it is no proof.
    verdict = verdict_on([(76, 75), (8, 6)])
    assert verdict.grade == "usable with care"
    assert any(reason.startswith("Always answering the largest class may be right") for reason in verdict.reasons)


def test_a_class_that_misses_the_standard_asks_for_care():
    verdict = verdict_on([(300, 290), (300, 291), (300, 225)])
    assert verdict.grade == "usable with care"
    assert "'c2' recall 0.75 [0.70, 0.80]" in " ".join(verdict.reasons)


def test_with_many_classes_one_in_twenty_may_miss():
    found = [(40, 38)] * 40
    assert verdict_on([(40, 31), (40, 31), *found[2:]]).grade == "good"
    assert verdict_on([(40, 31), (40, 31), (40, 31), *found[3:]]).grade == "usable with care"
    assert verdict_on([(40, 31), (40, 38), (40, 38)]).grade == "usable with care"
    assert verdict_on([(40, 8), *found[1:]]).grade == "usable with care"
    assert verdict_on([(40, 8)] * 3 + found[3:]).grade == "not reliable"


def test_a_class_that_may_miss_by_its_interval_is_named():
    verdict = verdict_on([(300, 290), (60, 51)])
    assert verdict.grade == "good"
    assert (
        "(2 classes); it may be less of one class: 'c1' precision 0.84 [0.72, 0.91] and recall 0.85 [0.74, 0.92]"
        in " ".join(verdict.reasons)
    )


def test_the_worst_classes_are_named_first():
    verdict = verdict_on([(40, 31)] * 4 + [(40, 25)] + [(40, 31)] * 3)
    missing = next(reason for reason in verdict.reasons if "miss" in reason)
    assert missing.index("'c4' ") < missing.index("'c0' ")


def test_of_many_small_classes_one_in_twenty_may_be_hidden():
    found = [(10, 10)] * 58
    assert verdict_on([*found, (10, 0), (10, 0)]).grade == "usable with care"
    assert verdict_on([*found[2:], *[(10, 0)] * 4]).grade == "not reliable"


def test_what_misses_and_what_is_too_small_share_one_in_twenty():
    found = [(40, 39)] * 56
    assert verdict_on([*found, (40, 31), (40, 39), (40, 39), (10, 10)]).grade == "good"
    assert verdict_on([*found, (40, 31), (40, 31), (10, 10), (10, 10)]).grade == "usable with care"


def test_a_rare_class_leaves_little_over_the_largest_one_to_be_gained():
    verdict = verdict_on([(5900, 5899), (100, 98)])
    assert verdict.grade == "good"
    verdict = verdict_on([(5900, 5895), (100, 55)])
    assert verdict.grade == "not reliable"
    assert "Always answering the largest class would be right nearly as often: accuracy is not surely 0.83 points, half" in (
        " ".join(verdict.reasons)
    )


def test_rows_that_do_not_count_are_not_counted_as_if_there_were_none():
    reasons = " ".join(verdict_on([(300, 285), (300, 285), (20, 20)], test_rows=1000, answered=620).reasons)
    assert "Accuracy on the 620 test rows that count here is 0.952" in reasons
    assert "Every class with 30 or more test rows that count here has" in reasons
    assert "There are under 30 test rows that count here, too few to tell, of one class: 'c2' 20" in reasons
    assert "80 test rows that count here are too few" in " ".join(verdict_on([(40, 40), (40, 40)], test_rows=90).reasons)


def test_figures_next_to_a_limit_show_on_which_side_they_are():
    reasons = " ".join(verdict_on([(1250, 1000), (1250, 999)]).reasons)
    assert "recall 0.799 [0.78, 0.82]" in reasons
    assert "Accuracy is 0.849, [" in " ".join(verdict_on([(2000, 1699), (2000, 1697)]).reasons)
    assert "Accuracy is 0.8498, [" in " ".join(verdict_on([(2000, 1699), (2000, 1700)]).reasons)


def test_an_accuracy_that_may_be_too_low_asks_for_care():
    verdict = verdict_on([(100, 88), (100, 88)])  # 0.88, from 0.83 on
    assert verdict.grade == "usable with care"
    assert "it may be under 0.85" in verdict.reasons[0]


def test_too_few_test_rows_ask_for_care():
    verdict = verdict_on([(40, 40), (40, 40)])
    assert verdict.grade == "usable with care"
    assert "80 test rows are too few to tell" in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("leaked", "grade", "said"),
    [
        (0, "good", None),
        (3, "good", "3 of 600 test rows repeat rows that were learned from, and are left out"),
        (30, "usable with care", "30 of 600 test rows repeat"),
        (400, "not reliable", "400 of 600 test rows repeat"),
        (None, "usable with care", "is not known"),
    ],
)
def test_leaks_weigh_by_their_share(leaked, grade, said):
    verdict = verdict_on([(300, 285), (300, 285)], leaked=leaked)
    assert verdict.grade == grade
    assert said is None or said in " ".join(verdict.reasons)


def test_overfitting_and_rules_that_do_not_reach_what_was_asked_ask_for_care():
    gap = {"training_accuracy": 1.0, "validation_accuracy": 0.87, "gap_interval": (0.11, 0.15)}
    verdict = verdict_on([(300, 285), (300, 285)], **gap)
    assert (verdict.grade, "it overfits" in verdict.reasons[0]) == ("usable with care", True)
    assert verdict_on([(300, 285), (300, 285)], training_accuracy=1.0, validation_accuracy=0.91).grade == "good"
    verdict = verdict_on([(300, 285), (300, 285)], unreached="A precision of 0.99 cannot be reached.")
    assert (verdict.grade, verdict.reasons[0]) == ("usable with care", "A precision of 0.99 cannot be reached.")


def test_a_gap_on_few_rows_may_be_overfitting_and_a_sure_one_is():
    said = {
        low: " ".join(
            verdict_on(
                [(300, 285), (300, 285)], training_accuracy=0.97, validation_accuracy=0.85, gap_interval=(low, 0.3)
            ).reasons
        )
        for low in (0.02, 0.11)
    }
    assert "(the gap is between 2.0 and 30.0 points): it may overfit." in said[0.02]
    assert "(the gap is between 11.0 and 30.0 points): it overfits." in said[0.11]


def test_what_the_rule_was_asked_for_is_held_against_the_test_rows():
    found = [(300, 285), (300, 285)]  # 5% wrong
    verdict = verdict_on(found, request=DecisionRequest(max_error=0.01))
    assert verdict.grade == "usable with care"
    assert (
        "An error rate of at most 0.01 was asked for; on the test rows it is 0.05 [0.04, 0.07]: it is not reached."
        in verdict.reasons
    )
    some = verdict_on(found, test_rows=700, leaked=100, request=DecisionRequest(max_error=0.06))
    assert any("0.06 was asked for; on the test rows that count here it is 0.05" in reason for reason in some.reasons)
    near = verdict_on(found, request=DecisionRequest(max_error=0.045))
    assert near.grade == "good"
    assert any("which these rows cannot tell from it" in reason for reason in near.reasons)
    assert verdict_on(found, request=DecisionRequest(max_error=0.06)).grade == "good"
    asked = DecisionRequest(positive="c1", min_precision=0.99, min_recall=0.9)
    reasons = verdict_on(found, request=asked).reasons
    assert reasons[0].startswith("A precision for 'c1' of at least 0.99 was asked for; on the test rows it is 0.95")
    assert any(reason.startswith("A recall for 'c1' of at least 0.9 was asked for") for reason in reasons[1:])
    every = verdict_on([(300, 299), (300, 285), (300, 299)], request=DecisionRequest(min_precision=0.98))
    assert [reason for reason in every.reasons if "was asked for" in reason] == [
        "A precision for 'c2' of at least 0.98 was asked for; on the test rows it is 0.95 [0.92, 0.97]: it is not reached."
    ]


def test_a_class_that_is_mostly_left_without_an_answer_is_named():
    verdict = verdict_on([(300, 290), (40, 38)], supports={"c0": 310, "c1": 100}, test_rows=410, answered=340)
    assert verdict.grade == "usable with care"
    assert "Of one class less than 50% of the rows are answered: 'c1' 40 of 100." in verdict.reasons


def test_all_limits_can_be_set():
    found = [(300, 200), (300, 170)]
    assert verdict_on(found, standards=VerdictSettings(useless_macro_f1=0.7)).grade == "not reliable"
    leaking = {"leaked": 200, "test_rows": 800, "answered": 800}
    assert verdict_on(found, standards=VerdictSettings(mostly_leaked=0.2), **leaking).grade == "not reliable"
    assert verdict_on([(300, 285), (300, 285)], test_rows=1000, standards=VerdictSettings(answered=0.7)).grade != "good"
    many = [(40, 38)] * 28 + [(40, 25)] * 2
    assert "as one class in 10 may (3 of 30)" in " ".join(verdict_on(many, standards=VerdictSettings(one_in=10)).reasons)


def test_a_baseline_as_good_asks_for_care():
    found = [(300, 285), (300, 285)]
    verdict = verdict_on(found, tfidf_found=found)
    assert verdict.grade == "usable with care"
    assert "not surely better than TF-IDF" in verdict.reasons[0]
    verdict = verdict_on([(300, 270), (300, 270)], tfidf_found=[(300, 298), (300, 298)])
    assert "It is worse than TF-IDF" in " ".join(verdict.reasons)


def test_abstaining_from_most_rows_asks_for_care():
    assert verdict_on([(300, 285), (300, 285)], test_rows=1000).grade == "good"
    assert verdict_on([(300, 285), (300, 285)], test_rows=2000).grade == "usable with care"
    assert verdict_on([(300, 285), (300, 285)], answered=0).grade == "not reliable"


def test_hopeless_classifiers_are_not_reliable():
    assert verdict_on([(200, 60), (200, 60), (200, 60)]).grade == "not reliable"


def test_standards_can_be_set():
    strict = VerdictSettings(good_accuracy=0.97)
    assert verdict_on([(300, 285), (300, 285)], standards=strict).grade == "usable with care"
    with pytest.raises(UsageError, match="good_accuracy must be from 0 to 1, got 85"):
        VerdictSettings(good_accuracy=85)
    with pytest.raises(UsageError, match="rows_per_class must be 1 or more"):
        VerdictSettings(rows_per_class=0)


def test_reasons_of_the_worst_grade_come_first():
    verdict = verdict_on([(980, 978), (20, 2)], leaked=None)
    assert "found" in verdict.reasons[0] or "Always" in verdict.reasons[0]
    assert any(reason.startswith("Accuracy is 0.98") for reason in verdict.reasons[-2:])


def test_figures_that_another_seed_moves_far_are_usable_with_care():
    steady = verdict_on([(300, 285), (300, 280)], seed_accuracies=(0.94, 0.90, 0.95))
    assert steady == verdict_on([(300, 285), (300, 280)])
    moved = verdict_on([(300, 285), (300, 280)], seed_accuracies=(0.94, 0.89, 0.95))
    assert moved.grade == "usable with care"
    assert moved.reasons[0] == (
        "Another seed alone moves accuracy by 0.060 (from 0.890 to 0.950 with 3 seeds), more than 0.05: it is not stable."
    )
    lenient = verdict_on([(300, 285), (300, 280)], standards=VerdictSettings(seed_spread=0.1), seed_accuracies=(0.94, 0.85))
    assert lenient == steady
