"""What speaks for and against a trained model: all that `metrics.json` holds, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from surefit.data.split import SPLIT_NAMES, SplitName
from surefit.decision import ABSTAINED_ID, preferred_classes
from surefit.evaluation.baselines import LabelledEmbeddings
from surefit.evaluation.calibration import scale_temperature
from surefit.evaluation.judgement import Circumstances, Judgement
from surefit.evaluation.label_errors import LabelIssues, find_label_issues
from surefit.evaluation.learning_curve import learning_curve
from surefit.evaluation.seeds import SeedSpread
from surefit.evaluation.threshold_report import threshold_report
from surefit.evaluation.verdict import give_verdict
from surefit.inference.embeddings import embed
from surefit.progress import Progress
from surefit.runs.job import Job
from surefit.runs.outcome import Outcome
from surefit.runs.refits import Refit, RefitAnswers, fine_tuned_curve, seed_spread
from surefit.runs.results import BaselineResults, Judged, compare_with_baselines, judge
from surefit.types import Int64Array


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a trained model.

    Attributes:
        metrics: the content of `metrics.json` but for the course of the training.
        label_issues: among the rows of all splits, one split after the other.
    """

    metrics: dict[str, Any]
    label_issues: LabelIssues


def embed_rows(job: Job, progress: Progress) -> dict[SplitName, LabelledEmbeddings]:
    """The rows of each split as the pretrained model sees them; to be called before it is fine-tuned.

    Args:
        job: its classifier is not trained yet.
        progress: told how many rows are done.
    """
    job.pretrained.classifier.prepare(job.hardware)
    progress.begin("embed", sum(map(len, job.encoded.splits.values())))
    embedded = {
        name: LabelledEmbeddings(
            embed(job.pretrained.classifier, job.encoded.splits[name], progress),
            np.asarray(job.rows.splits[name].targets, dtype=np.int64),
        )
        for name in SPLIT_NAMES
    }
    progress.end()
    return embedded


def gather_evidence(
    job: Job,
    outcome: Outcome,
    embedded: Mapping[SplitName, LabelledEmbeddings],
    refits: Mapping[Refit, RefitAnswers],
    progress: Progress,
) -> Evidence:
    """Compares with simpler models, looks at probabilities, rule and labels, and gives the verdict.

    Args:
        job: what was trained on what.
        outcome: what the trained model says of its rows.
        embedded: as `embed_rows` gave them.
        refits: as `surefit.runs.refits.train_refits` gave them.
        progress: told what is under way.
    """
    schema, seed, splits = job.rows.schema, job.settings.seed, job.rows.splits
    test, groups = outcome.judged["test"], splits["test"].groups
    progress.begin("baselines", 0)
    # Baselines answer every row, so what the model would say where it abstains is compared.
    preferred = preferred_classes(outcome.scored["test"].probabilities, outcome.rule)
    baselines = compare_with_baselines(splits, embedded, preferred, job.rows.repeating, schema, seed)
    curve = learning_curve(
        embedded["train"], embedded["validation"], embedded["test"], splits["train"].groups, groups, schema, seed
    )
    fine_tuned, seeds = fine_tuned_curve(job, outcome, refits), seed_spread(job, outcome, refits)
    progress.begin("label errors", 0)
    issues = _label_issues(job, outcome, embedded)
    progress.begin("calibration", 0)
    calibration = scale_temperature(
        outcome.rule.temperature, outcome.logits["test"], outcome.targets["test"], schema.problem_type, groups=groups
    )
    progress.end()
    without = _without_leaks(job, outcome)
    verdict = give_verdict(_judgement(job, outcome, baselines), _circumstances(job, outcome, seeds), job.settings.verdict)
    metrics = {
        "verdict": asdict(verdict),
        "leaks": job.rows.leaks,
        "test": test.to_dict(),
        **({} if without is None else {"test_without_leaks": without.to_dict()}),
        "validation": outcome.judged["validation"].to_dict(),
        "baselines": baselines.to_dict(),
        "calibration": calibration.to_dict(),
        "thresholds": threshold_report(
            outcome.scored["validation"], outcome.scored["test"], groups, schema, job.request, outcome.fitted
        ).to_dict(),
        "overfitting": _overfitting(outcome),
        **({} if seeds is None else {"seeds": seeds.to_dict()}),
        "learning_curve": curve.to_dict() | ({} if fine_tuned is None else {"fine_tuned": fine_tuned.to_dict()}),
        "label_issues": {
            "judged": issues.judged,
            "found": len(issues),
            "agreement": issues.agreement,
            "sentence": issues.sentence,
        },
    }
    return Evidence(metrics, issues)


def _label_issues(job: Job, outcome: Outcome, embedded: Mapping[SplitName, LabelledEmbeddings]) -> LabelIssues:
    """Among the rows of all splits, one split after the other."""
    return find_label_issues(
        np.concatenate([embedded[name].embeddings for name in SPLIT_NAMES]),
        np.concatenate([outcome.targets[name] for name in SPLIT_NAMES]),
        job.rows.schema,
        np.concatenate([job.rows.splits[name].groups for name in SPLIT_NAMES]),
        job.settings.seed,
    )


def _overfitting(outcome: Outcome) -> dict[str, Any]:
    return {
        "training_rows": outcome.training_rows,
        "training_accuracy": outcome.training_accuracy,
        "validation_accuracy": outcome.validation_accuracy,
        "gap": outcome.training_accuracy - outcome.validation_accuracy,
        "gap_interval": list(outcome.gap_interval),
    }


def _judgement(job: Job, outcome: Outcome, baselines: BaselineResults) -> Judgement:
    """The figures of the test rows that are answered and repeat nothing which was learned from."""
    comparisons = {
        baseline.name: comparison for baseline, comparison in zip(baselines.baselines, baselines.without_leaks, strict=True)
    }
    answered, repeating = outcome.judged["test"].predicted != ABSTAINED_ID, job.rows.repeating
    kept = ~repeating if not repeating.all() else np.ones_like(repeating)
    rows = np.flatnonzero(answered & kept)
    judged = _judged_on(job, outcome, rows if len(rows) else np.flatnonzero(kept))
    names = job.rows.schema.id2label
    supports = np.bincount(outcome.targets["test"][kept], minlength=len(names)).tolist()
    return Judgement(judged.result, judged.intervals, comparisons, dict(zip(names, supports, strict=True)))


def _judged_on(job: Job, outcome: Outcome, rows: Int64Array) -> Judged:
    """The model on some of the test rows."""
    logits, groups = outcome.logits["test"][rows], job.rows.splits["test"].groups[rows]
    return judge(logits, outcome.targets["test"][rows], groups, job.rows.schema, outcome.rule)


def _circumstances(job: Job, outcome: Outcome, seeds: SeedSpread | None) -> Circumstances:
    known = job.rows.leaks["earlier_run"] is not None
    return Circumstances(
        test_rows=outcome.judged["test"].result.n,
        answered=outcome.judged["test"].result.answered,
        leaked=int(job.rows.repeating.sum()) if known else None,
        training_accuracy=outcome.training_accuracy,
        validation_accuracy=outcome.validation_accuracy,
        gap_interval=outcome.gap_interval,
        request=job.request,
        unreached="" if outcome.fitted.reached else outcome.fitted.sentence,
        seed_accuracies=() if seeds is None else tuple(of.accuracy for of in seeds.seeds),
    )


def _without_leaks(job: Job, outcome: Outcome) -> Judged | None:
    """The test rows that repeat nothing which was learned from, where others do and some are left."""
    repeating = job.rows.repeating
    if not repeating.any() or repeating.all():
        return None
    return _judged_on(job, outcome, np.flatnonzero(~repeating))
