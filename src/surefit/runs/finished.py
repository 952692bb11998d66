"""A finished run, and how one is read again: strictly, value by value.

The annotations of the dataclasses that a run's figures are written from say what must stand in its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from surefit.artifacts import RunDirectory, read_own_json
from surefit.errors import RunError, UsageError
from surefit.evaluation.calibration import TemperatureScaling
from surefit.evaluation.cartography import MapCell
from surefit.evaluation.comparison import PairedComparison
from surefit.evaluation.intervals import EvaluationIntervals
from surefit.evaluation.learning_curve import LearningCurve
from surefit.evaluation.metrics import EvaluationResult
from surefit.evaluation.seeds import SeedSpread
from surefit.evaluation.threshold_report import ThresholdReport
from surefit.evaluation.verdict import Verdict
from surefit.inference.classifier import TextClassifier, load
from surefit.trace import RunTrace

T = TypeVar("T")

REMEDY = "train again with --overwrite"
# What a value is called in messages, by its type. The value itself may be a text of the user's.
_KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
    list: "a list",
    dict: "an object",
}
_LARGEST_WHOLE_NUMBER = 2**63 - 1


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A finished run.

    Attributes:
        directory: where its files are.
        metrics: the content of `metrics.json`.
        trace: the pipeline trace and the training trace; it shows itself in notebooks.
    """

    directory: Path
    metrics: Mapping[str, Any]
    trace: RunTrace

    def load(self, **machine: Any) -> TextClassifier:
        """The trained classifier; `machine` is as for `surefit.load`."""
        return load(self.directory, **machine)

    def _repr_html_(self) -> str:
        return self.trace._repr_html_()


def open_run(path: Path) -> TrainedRun:
    """A run that was finished before.

    Raises:
        RunError: it is not finished, or a file of it is damaged or of a newer SureFit; the message
            names the file and what is wrong in it.
    """
    directory = RunDirectory(path)
    metrics = read_own_json(directory.metrics, REMEDY)
    rebuild_file(_Metrics, metrics, directory.metrics)
    trace = rebuild_file(RunTrace, read_own_json(directory.trace, REMEDY), directory.trace)
    return TrainedRun(path, metrics, trace)


@dataclass(frozen=True)
class _Result(EvaluationResult):
    """The figures of single-label rows."""

    confusion_matrix: list[list[int]]

    def __post_init__(self) -> None:
        super().__post_init__()
        classes = len(self.per_class)
        if [len(row) for row in self.confusion_matrix] != [classes] * classes:
            raise ValueError(f"has {classes} classes and a confusion_matrix of another size")


@dataclass(frozen=True)
class _JudgedResult(_Result):
    intervals: EvaluationIntervals

    def __post_init__(self) -> None:
        super().__post_init__()
        if set(self.intervals.per_class) != set(self.per_class):
            raise ValueError("has intervals of other classes than figures")


@dataclass(frozen=True)
class _BaselineResult(_JudgedResult):
    name: str
    fitted_rows: int
    seconds: float
    comparison: PairedComparison
    comparison_without_leaks: PairedComparison | None = None


@dataclass(frozen=True)
class _Leaks:
    exact: int
    near: int
    group: int
    earlier_run: int | None


@dataclass(frozen=True)
class _Overfitting:
    training_rows: int
    training_accuracy: float
    validation_accuracy: float
    gap: float
    gap_interval: tuple[float, float]


@dataclass(frozen=True)
class _LearningCurves(LearningCurve):
    """That of the simple model, with that of the fine-tuned one where it was asked for."""

    fine_tuned: LearningCurve | None = None


@dataclass(frozen=True)
class _LabelIssues:
    judged: int
    found: int
    agreement: float
    sentence: str


@dataclass(frozen=True)
class _RegionCounts:
    easy: int
    ambiguous: int
    hard: int


@dataclass(frozen=True)
class _RegionExamples:
    easy: list[str]
    ambiguous: list[str]
    hard: list[str]


@dataclass(frozen=True)
class _DataMap:
    epochs: int
    counts: _RegionCounts
    examples: _RegionExamples
    cells: list[MapCell]
    sentence: str


@dataclass(frozen=True)
class _Training:
    epochs: int
    best_epoch: int
    steps: int
    from_run: bool


@dataclass(frozen=True)
class _Metrics:
    """What `metrics.json` holds; used to check it only, since callers get its content as it is."""

    verdict: Verdict
    leaks: _Leaks
    test: _JudgedResult
    validation: _JudgedResult
    baselines: dict[str, _BaselineResult]
    calibration: TemperatureScaling
    thresholds: ThresholdReport
    overfitting: _Overfitting
    learning_curve: _LearningCurves
    label_issues: _LabelIssues
    data_map: _DataMap
    training: _Training
    test_without_leaks: _JudgedResult | None = None
    seeds: SeedSpread | None = None

    def __post_init__(self) -> None:
        if set(self.baselines) <= {"majority"}:
            raise ValueError("has no baselines to compare with")
        coverage, curves = self.thresholds.coverage, self.thresholds.curves
        drawn = [(coverage.coverage, coverage.error), *((curve.recall, curve.precision) for curve in curves.values())]
        if any(not across or len(across) != len(up) for across, up in drawn):
            raise ValueError("has thresholds with a curve that has no points, or points that lack a coordinate")


class _MisfitError(Exception):
    """A value that is not what it should be.

    Args:
        place: where it stands in the file.
        what: what is wrong with it.
    """

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place.removeprefix('.')} {what}".strip())
        self.place = place


def rebuild_file(kind: type[T], content: Mapping[str, Any], path: Path) -> T:
    """What a file of a run says, as the dataclass that it was written from.

    Args:
        kind: the dataclass; entries of fields that are None by default may be missing.
        content: of the file, as JSON was read.
        path: the file, for messages.

    Raises:
        RunError: the content is something else; the sentence says where.
    """
    try:
        rebuilt: T = _rebuild(kind, content, "")
    except _MisfitError as misfit:
        raise RunError(f"{path} is damaged: {misfit}; {REMEDY}") from None
    return rebuilt


def _rebuild(kind: Any, value: Any, place: str) -> Any:
    """A value as an annotation wants it, made from what JSON has.

    Args:
        kind: the annotation: plain types, lists, tuples of any length, mappings from text,
            dataclasses and unions of these.
        value: as JSON was read.
        place: where it stands in the file.

    Raises:
        _MisfitError: it is something else; unknown entries of objects are passed over.
    """
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if type(value) is int and abs(value) > _LARGEST_WHOLE_NUMBER:
        raise _MisfitError(place, "is too large")
    if origin is Literal:
        if value not in arguments:
            raise _MisfitError(place, f"must be one of {', '.join(map(repr, arguments))}")
        return value
    if origin is UnionType:
        return _rebuild_one_of(arguments, value, place)
    if origin is float and type(value) is int:
        return float(value)
    wanted = _json_type(kind)
    if type(value) is not wanted:
        raise _MisfitError(place, f"must be {_KINDS[wanted]}, not {_KINDS[type(value)]}")
    if is_dataclass(origin):
        return _rebuild_dataclass(kind, value, place)
    if origin is tuple and Ellipsis not in arguments and len(value) != len(arguments):
        raise _MisfitError(place, f"must have {len(arguments)} entries, not {len(value)}")
    if wanted is list:
        if origin is tuple and arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise _MisfitError(place, f"must have {len(arguments)} entries, not {len(value)}")
        return origin(_rebuild(arguments[0], entry, f"{place}[{position}]") for position, entry in enumerate(value))
    if wanted is dict:
        return {name: _rebuild(arguments[1], entry, f"{place}[{name!r}]") for name, entry in value.items()}
    return value


def _rebuild_one_of(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    misfits = []
    for kind in kinds:
        try:
            return _rebuild(kind, value, place)
        except _MisfitError as misfit:
            misfits.append(misfit)
    furthest = max(misfits, key=lambda misfit: len(misfit.place))
    if furthest.place != place:
        raise furthest
    names = " or ".join(_KINDS[_json_type(kind)] for kind in kinds)
    raise _MisfitError(place, f"must be {names}, not {_KINDS[type(value)]}")


def _json_type(kind: Any) -> Any:
    """The type of what JSON has where an annotation wants a value."""
    origin = get_origin(kind) or kind
    return {tuple: list, Mapping: dict}.get(origin, dict if is_dataclass(origin) else origin)


def _rebuild_dataclass(kind: Any, value: Mapping[str, Any], place: str) -> Any:
    hints = get_type_hints(kind)
    missing = [field.name for field in fields(kind) if field.default is not None and field.name not in value]
    if missing:
        raise _MisfitError(place, f"lacks {missing[0]!r}")
    given = [field.name for field in fields(kind) if field.name in value]
    entries = {name: _rebuild(hints[name], value[name], f"{place}.{name}") for name in given}
    try:
        return kind(**entries)
    except (ValueError, UsageError) as error:
        raise _MisfitError(place, str(error)) from None
