"""What a trained model says of its rows, with the temperature and the decision rule that are fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surefit.data.split import SplitName
from surefit.decision import decide, probabilities
from surefit.evaluation.calibration import fit_temperature
from surefit.evaluation.grouped_rows import Interval, share_difference_interval, share_of_rows
from surefit.evaluation.thresholds import FittedRule, ScoredRows, fit_rule
from surefit.inference.engine import predict_logits
from surefit.progress import Progress
from surefit.runs.job import Job
from surefit.runs.results import Judged, judge
from surefit.types import DecisionRule, Int64Array

# Training rows that are judged too, so that overfitting can be seen.
_MOST_TRAINING_ROWS = 2000


@dataclass(frozen=True, eq=False)
class Outcome:
    """The trained model's answers.

    Attributes:
        logits: as the model gives them, for the validation and the test rows, shape (n, classes).
        targets: class ids of all splits, shape (n,).
        fitted: the decision rule, fitted on the validation rows, with the temperature.
        scored: validation and test rows with their calibrated probabilities.
        judged: the same with the rule's answers.
        training_rows: how many training rows were judged too.
        training_accuracy: share of them of which the most probable class is right.
        validation_accuracy: the same of the validation rows, whatever the rule says.
        gap_interval: the 95% interval of the difference of these two.
    """

    logits: Mapping[SplitName, NDArray[np.float32]]
    targets: Mapping[SplitName, Int64Array]
    fitted: FittedRule
    scored: Mapping[SplitName, ScoredRows]
    judged: Mapping[SplitName, Judged]
    training_rows: int
    training_accuracy: float
    validation_accuracy: float
    gap_interval: Interval

    @property
    def rule(self) -> DecisionRule:
        return self.fitted.rule

    @property
    def saved_logits(self) -> NDArray[np.float32]:
        """Of the test rows, as the saved model gives them: the temperature is folded into its head."""
        return self.logits["test"] / np.float32(self.rule.temperature)


def judge_model(job: Job, progress: Progress) -> Outcome:
    """Lets the trained model judge its rows; fits temperature and rule on the validation rows.

    Args:
        job: its classifier is trained.
        progress: told how many rows are done.
    """
    schema, splits = job.rows.schema, job.rows.splits
    targets = {name: np.asarray(part.targets, dtype=np.int64) for name, part in splits.items()}
    sample = np.sort(np.random.default_rng(job.settings.seed).permutation(len(targets["train"]))[:_MOST_TRAINING_ROWS])
    encodings = dict(job.encoded.splits) | {"train": [job.encoded.splits["train"][row] for row in sample.tolist()]}
    progress.begin("evaluate", sum(map(len, encodings.values())))
    logits = {name: predict_logits(job.pretrained.classifier, part, progress) for name, part in encodings.items()}
    progress.end()
    temperature = fit_temperature(logits["validation"], targets["validation"], schema.problem_type)
    judging: tuple[SplitName, ...] = ("validation", "test")
    scored = {
        name: ScoredRows(probabilities(logits[name], schema.problem_type, temperature), targets[name]) for name in judging
    }
    fitted = fit_rule(scored["validation"], schema, job.request, temperature)
    plain = DecisionRule()
    training = decide(probabilities(logits["train"], schema.problem_type), schema, plain) == targets["train"][sample]
    validation = decide(scored["validation"].probabilities, schema, plain) == targets["validation"]
    return Outcome(
        logits={name: logits[name] for name in judging},
        targets=targets,
        fitted=fitted,
        scored=scored,
        judged={name: judge(logits[name], targets[name], splits[name].groups, schema, fitted.rule) for name in judging},
        training_rows=len(sample),
        training_accuracy=float(training.mean()),
        validation_accuracy=float(validation.mean()),
        gap_interval=_gap_interval((training, splits["train"].groups[sample]), (validation, splits["validation"].groups)),
    )


def _gap_interval(*judged: tuple[NDArray[np.bool_], Int64Array]) -> Interval:
    """The interval of the difference in accuracy on training and validation rows, given which are right, and their groups."""
    (first, of_first), (second, of_second) = ((float(right.mean()), share_of_rows(right, groups)) for right, groups in judged)
    assert of_first is not None  # there are rows of both
    assert of_second is not None
    return share_difference_interval(first, of_first, second, of_second)
