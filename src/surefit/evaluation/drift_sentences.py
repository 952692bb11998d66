"""What a drift report says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# What each statistic is called.
NAMES = {
    "lengths": "length in tokens",
    "unknown_tokens": "unknown tokens",
    "predicted_classes": "predicted classes",
    "confidences": "largest probability",
    "true_classes": "true classes",
    "embedding_mean": "mean of the embeddings",
    "embedding_distances": "distance of the embeddings",
}
# With fewer rows than this only a large shift is more than chance.
_FEW_ROWS = 100
_CLASSES_NAMED = 2


def describe(statistic: str, reference: Mapping[str, float], now: Mapping[str, float], level: str) -> str:
    """One sentence on a statistic.

    Args:
        statistic: as in `surefit.evaluation.drift.Shift`.
        reference: what it was.
        now: what it is.
        level: how much that is.
    """
    if level == "none":
        return "No more than chance may do, or too little to matter."
    if statistic == "lengths":
        kind = "longer" if now["mean"] > reference["mean"] else "shorter"
        return f"Texts are {kind}, or their lengths spread otherwise, than where the model was judged."
    if statistic == "unknown_tokens":
        kind = "more" if now["mean"] > reference["mean"] else "less"
        return f"The vocabulary cannot spell {kind} of the texts: other characters, or another language."
    if statistic == "confidences":
        kind = "surer" if now["mean"] > reference["mean"] else "less sure"
        return f"The model is {kind} of its answers, which says nothing of whether they are right."
    if statistic == "embedding_mean":
        return "To the model the texts are on average about other things, or of other classes, than those it was judged on."
    if statistic == "embedding_distances":
        if now["mean"] < reference["mean"]:
            return "To the model the texts are more alike, nearer to the middle, than those it was judged on."
        if now["beyond"] <= reference["beyond"]:
            return "To the model the texts are on average further from the middle than those it was judged on."
        beyond = f"{now['beyond']:.1%} are as far from the middle as {reference['beyond']:.1%} of those it was judged on"
        return f"To the model the texts are unusual: {beyond}."
    most = sorted(reference, key=lambda name: -abs(now[name] - reference[name]))[:_CLASSES_NAMED]
    moved = ", ".join(f"{name} {reference[name]:.0%} to {now[name]:.0%}" for name in most)
    whose = "The model answers otherwise" if statistic == "predicted_classes" else "The labels are otherwise"
    return f"{whose}: {moved}. Precision depends on how frequent classes are."


def advice(level: str, moved: Sequence[str], fewest: int, *, labelled: bool) -> str:
    """What a report means as a whole, and what to do.

    Args:
        level: the highest of its shifts'.
        moved: the statistics of that level.
        fewest: rows of the smaller set.
        labelled: whether the new rows have labels, and so figures of their own.
    """
    if level == "none":
        said = "No drift is seen: as far as this can tell, the rows are like those that the run's figures are about."
        return f"{said} With so few rows only a large shift would show." if fewest < _FEW_ROWS else said
    names = ", ".join(NAMES[statistic] for statistic in moved)
    if level == "some":
        instead = "rely on the figures of these rows rather than"
        unknown = "label some of these rows and evaluate on them before relying"
        return f"Some drift ({names}): {instead if labelled else unknown} on the run's figures."
    then = "rely on the figures of these, and train with such rows" if labelled else "label some, evaluate, and train with them"
    return f"Strong drift ({names}): the run's figures are not about rows like these; {then}."
