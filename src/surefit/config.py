"""Every setting, documented once where it stands.

The command line takes its flags and help from these fields, the Python API takes them as
keyword arguments of the same name, and `settings.json` records them.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from typing import Any

from surefit.errors import UsageError


def _setting(default: Any, help: str, *, flag: bool = True) -> Any:
    """A field of a group: what it is for, and whether `surefit train` has a flag of its name."""
    return field(default=default, metadata={"help": help, "flag": flag})


# The verdict's limits are set in a file or in Python alone, so that a change of them is written down.
_limit = partial(_setting, flag=False)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise UsageError(sentence)


def _as_annotated(settings: object) -> None:
    """Makes every value what its annotation says, paths become text and numpy's numbers Python's.

    Raises:
        UsageError: a value is of another kind; the sentence names the setting.
    """
    for slot in dataclasses.fields(settings):  # type: ignore[arg-type]
        kind, _, rest = str(slot.type).partition(" | ")  # annotations are text here
        value = getattr(settings, slot.name)
        if kind in _KINDS and not (rest == "None" and value is None):
            object.__setattr__(settings, slot.name, _converted(_called(slot), value, kind))


def _called(slot: dataclasses.Field[Any]) -> str:
    """What errors call a setting: its flag, or its name where it has none."""
    return f"--{slot.name.replace('_', '-')}" if slot.metadata.get("flag") else slot.name


_KINDS = {"str": "text", "int": "a whole number", "float": "a finite number", "bool": "true or false"}


def _converted(called: str, value: object, kind: str) -> str | int | float | bool:
    if kind == "str" and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, bool) == (kind == "bool"):
        if kind == "bool":
            return bool(value)
        if kind == "int" and isinstance(value, Integral):
            return int(value)
        if kind == "float" and isinstance(value, Real) and math.isfinite(value):
            return float(value)
    raise UsageError(f"{called} must be {_KINDS[kind]}, got {value!r}")


@dataclass(frozen=True)
class ReadSettings:
    """How a file becomes rows."""

    text: str | None = _setting(None, "column with the text (found by its name when not given)")
    text_pair: str | None = _setting(None, "column with the second text, where a row is a pair of texts")
    label: str | None = _setting(None, "column with the class name (found by its name when not given)")
    id: str | None = _setting(None, "column that names each row in the outputs (the record's number when not given)")
    group: str | None = _setting(
        None, "column whose equal values belong together, such as the customer: no group stands in two splits"
    )
    time: str | None = _setting(
        None, "column that says when a row came to be: the latest rows are tested on, those before them validated with"
    )
    encoding: str | None = _setting(None, "encoding of a text file (UTF-8, or what its byte order mark says)")
    delimiter: str | None = _setting(None, "character between cells, or 'tab' (found from the file when not given)")
    quote: str = _setting('"', "character that encloses cells, or 'none' where quotes are plain characters")
    header: bool = _setting(True, "the first line names the columns; without it they are named 1, 2, 3, ...", flag=False)
    sheet: str | None = _setting(None, "sheet of an Excel file, by name or number from 1 (its only one when not given)")

    def __post_init__(self) -> None:
        _as_annotated(self)
        if self.delimiter is not None:
            named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
            object.__setattr__(self, "delimiter", named.get(self.delimiter, self.delimiter))
            plain = len(self.delimiter) == 1 and self.delimiter.isascii() and self.delimiter not in "\r\n\0"
            _require(plain, f"--delimiter must be one ASCII character or 'tab', got {self.delimiter!r}")
        quote_usable = self.quote == "none" or (len(self.quote) == 1 and self.quote.isascii() and self.quote not in "\r\n\0")
        _require(quote_usable, f"--quote must be one ASCII character or 'none', got {self.quote!r}")
        _require(self.quote != self.delimiter, "--quote and --delimiter must differ")


@dataclass(frozen=True)
class SplitSettings:
    """Which rows are trained on, tuned on and tested on."""

    validation_size: float = _setting(0.1, "share of the rows kept for choosing the best epoch")
    test_size: float = _setting(0.1, "share of the rows kept for the final figures, never seen in training")
    min_rows_per_class: int | None = _setting(
        None, "leave out classes with fewer rows than this (a class too small to split is an error when not given)"
    )

    def __post_init__(self) -> None:
        _as_annotated(self)
        for flag, share in (("--validation-size", self.validation_size), ("--test-size", self.test_size)):
            _require(0 < share < 1, f"{flag} is a share of the rows between 0 and 1, got {share}")
        total = self.validation_size + self.test_size
        _require(total < 1, f"--validation-size and --test-size leave no rows to train on: together they are {total:g}")
        usable = self.min_rows_per_class is None or self.min_rows_per_class >= 1
        _require(usable, f"--min-rows-per-class must be 1 or more, got {self.min_rows_per_class}")


@dataclass(frozen=True)
class ModelSettings:
    """Which pretrained model is fine-tuned, and what is put on top of it."""

    model: str = _setting(
        "minilm-l6",
        "pretrained model: 'minilm-l6' (embedded), a directory, a hub name (or NAME@VERSION), or an earlier run",
    )
    head: str | None = _setting(
        None, "softmax (one logit a class) or sigmoid (one logit, for two classes); softmax when not given"
    )
    max_length: int = _setting(256, "most tokens of a row, special tokens included; what is cut is counted and shown")

    def __post_init__(self) -> None:
        _as_annotated(self)
        _require(bool(self.model.strip()), "--model must name a model")
        _require(self.head in (None, "softmax", "sigmoid"), f"--head is softmax or sigmoid, got {self.head!r}")
        _require(self.max_length >= 8, f"--max-length must be 8 or more, got {self.max_length}")


@dataclass(frozen=True)
class TrainingSettings:
    """How the model is fine-tuned."""

    epochs: int = _setting(3, "most passes over the training rows; early stopping may end sooner")
    learning_rate: float | None = _setting(
        None,
        "peak learning rate, from 1e-6 to 1e-3 (by the model's width when not given: 2e-4 for minilm-l6, 5e-5 for BERT-base)",
    )
    batch_size: int = _setting(32, "rows per optimizer step")
    weight_decay: float = _setting(0.01, "weight decay of AdamW, not applied to bias and LayerNorm")
    warmup_share: float = _setting(0.1, "share of the steps in which the learning rate rises from 0 to its peak")
    max_grad_norm: float = _setting(1.0, "gradients longer than this are shortened to it")
    patience: int = _setting(2, "epochs without a better validation macro F1 after which training stops")
    class_weight: str = _setting("none", "none, or balanced: rows of rare classes count more in the loss")
    checkpoint_every: str = _setting(
        "10m", "save the run after so many steps ('500') or minutes ('10m'), besides after each epoch"
    )
    max_batch_tokens: int = _setting(
        8192,
        "most tokens computed at once (four rows at least, of a BERT); a larger batch is cut and its gradients are added up",
    )

    def __post_init__(self) -> None:
        _as_annotated(self)
        _require(1 <= self.epochs <= 1000, f"--epochs must be from 1 to 1000, got {self.epochs}")
        usable = self.learning_rate is None or 1e-6 <= self.learning_rate <= 1e-3
        _require(usable, f"--learning-rate must be from 1e-6 to 1e-3, got {self.learning_rate}; leave it out for the usual one")
        _require(self.batch_size >= 1, f"--batch-size must be 1 or more, got {self.batch_size}")
        _require(0 <= self.weight_decay < 1, f"--weight-decay must be from 0 to 1, got {self.weight_decay:g}")
        _require(0 <= self.warmup_share < 1, f"--warmup-share must be from 0 to 1, got {self.warmup_share:g}")
        _require(self.max_grad_norm > 0, f"--max-grad-norm must be positive, got {self.max_grad_norm:g}")
        _require(self.patience >= 1, f"--patience must be 1 or more, got {self.patience}")
        _require(self.class_weight in ("none", "balanced"), f"--class-weight is none or balanced, got {self.class_weight!r}")
        usable = re.fullmatch("[1-9][0-9]{0,8}m?", self.checkpoint_every) is not None
        _require(usable, f"--checkpoint-every is a number of steps or of minutes, as 500 or 10m, got {self.checkpoint_every!r}")
        _require(self.max_batch_tokens >= 8, f"--max-batch-tokens must be 8 or more, got {self.max_batch_tokens}")


@dataclass(frozen=True)
class DecisionSettings:
    """What the decision rule is to reach, as `surefit.evaluation.requests` has it."""

    positive: str | None = _setting(None, "class that --min-precision, --min-recall and --best-f1 are asked for")
    min_precision: float | None = _setting(
        None,
        "least share of right answers among those with the class --positive, or, without it, with each class: "
        "the model then abstains where it is too unsure",
    )
    min_recall: float | None = _setting(None, "least share of the rows of the class --positive that are answered with it")
    best_f1: bool = _setting(False, "thresholds for the best F1 of the class --positive, or, without it, the best macro F1")
    max_error: float | None = _setting(None, "largest share of wrong answers: the model abstains where it is too unsure")
    costs: str | None = _setting(
        None, "CSV file of what each answer costs: a row for each true class, a column for each answer, class names at both"
    )

    def __post_init__(self) -> None:
        _as_annotated(self)
        for name in ("min_precision", "min_recall", "max_error"):
            value = getattr(self, name)
            flag = f"--{name.replace('_', '-')}"
            _require(value is None or 0 < value < 1, f"{flag} must be over 0 and under 1, got {value}")


@dataclass(frozen=True)
class EvidenceSettings:
    """What is trained beside the model itself, to know more of it."""

    seeds: int = _setting(1, "train with so many seeds in all, this one first, to see how far chance alone moves the figures")
    learning_curve: bool = _setting(
        False, "train on a quarter and on half of the training rows too, to see whether more labels would help"
    )

    def __post_init__(self) -> None:
        _as_annotated(self)
        _require(1 <= self.seeds <= 100, f"--seeds must be from 1 to 100, got {self.seeds}")


@dataclass(frozen=True)
class VerdictSettings:
    """From which figures a classifier is called good, usable with care, or not reliable: the only table of them."""

    good_accuracy: float = _limit(0.85, "a good classifier's accuracy, which its whole interval must reach")
    good_precision: float = _limit(0.80, "a good classifier's precision, of each class")
    good_recall: float = _limit(0.80, "a good classifier's recall, of each class")
    rows_per_class: int = _limit(30, "test rows that a class needs to be judged by")
    test_rows: int = _limit(100, "test rows that a classifier needs to be called good")
    useless_macro_f1: float = _limit(0.50, "mean F1 of the classes under which a classifier is not reliable")
    many_classes: int = _limit(20, "with more classes than this, some may miss")
    one_in: int = _limit(20, "of so many classes one may miss, where there are many")
    hidden_recall: float = _limit(0.50, "a class that less of is found than this makes a classifier not reliable")
    over_majority: float = _limit(
        0.02,
        "by how much accuracy must be over the share of the largest class, or half of what there is to gain",
    )
    leaked_rows: float = _limit(0.01, "share of the test rows that may repeat what was learned from")
    mostly_leaked: float = _limit(0.50, "share of the test rows beyond which what does not leak says too little")
    answered: float = _limit(0.50, "share of the test rows, and of those of each class, that must be answered")
    overfitting: float = _limit(0.10, "by how much accuracy on training rows may be over that on validation rows")
    seed_spread: float = _limit(0.05, "by how much accuracy may differ between seeds, where several are tried")

    def __post_init__(self) -> None:
        _as_annotated(self)
        for slot in dataclasses.fields(self):
            value = getattr(self, slot.name)
            share = slot.type == "float"
            _require(0 <= value <= 1 if share else value >= 1, f"{_called(slot)} must be {_of_verdict(share)}, got {value:g}")


def _of_verdict(share: bool) -> str:
    return "from 0 to 1" if share else "1 or more"


@dataclass(frozen=True)
class MachineSettings:
    """What the model runs on."""

    device: str = _setting("auto", "auto, cpu, cuda, cuda:N or mps; auto takes the first GPU that works")
    threads: int | None = _setting(None, "processor threads (all when not given)")
    precision: str = _setting(
        "auto",
        "auto, fp32, bf16 or, for predictions, int8; auto takes the fastest here, int8 only where it was found safe",
    )

    def __post_init__(self) -> None:
        _as_annotated(self)
        known = self.device in ("auto", "cpu", "cuda", "mps") or re.fullmatch("cuda:[0-9]{1,2}", self.device)
        _require(bool(known), f"--device is auto, cpu, cuda, cuda:N or mps, got {self.device!r}")
        _require(self.threads is None or 1 <= self.threads <= 1024, f"--threads must be from 1 to 1024, got {self.threads}")
        usable = self.precision in ("auto", "fp32", "bf16", "int8")
        _require(usable, f"--precision is auto, fp32, bf16 or int8, got {self.precision!r}")


@dataclass(frozen=True)
class Settings:
    """All settings of a training run."""

    read: ReadSettings = ReadSettings()
    split: SplitSettings = SplitSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    decision: DecisionSettings = DecisionSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    verdict: VerdictSettings = VerdictSettings()
    machine: MachineSettings = MachineSettings()
    seed: int = _setting(0, "decides the split, the order of the rows and dropout; the same seed gives the same run")

    def __post_init__(self) -> None:
        _as_annotated(self)
        _require(0 <= self.seed < 2**32, f"--seed must be from 0 to 4294967295, got {self.seed}")
        last = self.seed + self.evidence.seeds - 1
        _require(last < 2**32, f"--seed {self.seed} and the {self.evidence.seeds - 1} after it go beyond 4294967295")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Settings:
        """Builds settings from flat names, as keyword arguments and flags give them.

        Args:
            options: setting name -> value, for instance `{"epochs": 2, "text": "review"}`.

        Raises:
            UsageError: a name is not a setting, or a value is of the wrong kind or out of range.
        """
        settings: Settings = build_groups(cls, options)
        return settings

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain nested dictionaries, for `settings.json`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class AuditSettings:
    """How a file is read that is audited, and by which model its tokens are counted."""

    read: ReadSettings = ReadSettings()
    model: ModelSettings = ModelSettings()


def options_of_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a TOML file by their flat names; tables named as the groups of `Settings` may hold their own.

    Raises:
        UsageError: the file cannot be read, is no TOML, or has a table or a setting in one that does not belong there.
    """
    where = f"--config {os.fspath(path)}"
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where} is no TOML: {error}") from None
    groups, homes = _homes(Settings)
    options: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) and name in groups:  # before the settings, one of which is called as its group
            for setting in value:
                home = homes.get(setting, name)  # an unknown one is refused with those outside of tables
                right = f"belongs to [{home}]" if home else "belongs to no table: set it before the first one"
                _require(home == name, f"{where}: {setting} stands in [{name}] and {right}")
            options |= value
        elif isinstance(value, dict) and name not in homes:
            near = difflib.get_close_matches(name, groups, n=1)
            hint = f"did you mean [{near[0]}]?" if near else f"the tables are {', '.join(f'[{group}]' for group in groups)}"
            raise UsageError(f"{where}: there is no table [{name}]; {hint}")
        else:
            options[name] = value
    return options


def build_groups(container: type[Any], options: Mapping[str, Any]) -> Any:
    """Distributes flat options over the groups of a container of settings such as `Settings`."""
    groups, homes = _homes(container)
    chosen: dict[str, dict[str, Any]] = {name: {} for name in [*groups, ""]}
    for name, value in options.items():
        if name not in homes:
            near = difflib.get_close_matches(name, homes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else " (see surefit train --help, and Settings in README.md)"
            raise UsageError(f"there is no setting {name!r}{hint}")
        chosen[homes[name]][name] = value
    return container(**{name: kind(**chosen[name]) for name, kind in groups.items()}, **chosen[""])


def _homes(container: type[Any]) -> tuple[dict[str, type[Any]], dict[str, str]]:
    """The groups of a container by their names, and of each setting the name of its group, empty where it has none."""
    groups: dict[str, type[Any]] = {}
    homes: dict[str, str] = {}
    for slot in dataclasses.fields(container):
        if dataclasses.is_dataclass(slot.default):
            groups[slot.name] = type(slot.default)
            homes |= {option.name: slot.name for option in dataclasses.fields(slot.default)}
        else:
            homes[slot.name] = ""
    return groups, homes


def describe(group: type[Any], name: str) -> str:
    """The documentation of one setting, for help pages."""
    for slot in dataclasses.fields(group):
        if slot.name == name:
            return str(slot.metadata["help"])
    raise KeyError(name)
