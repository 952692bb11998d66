"""The saved model: a Hugging Face directory with `surefit.json` beside the stock files.

Stock tools that load it get SureFit's own probabilities from raw text. For that, the temperature is
divided into the head's weight and bias, the one-logit sigmoid head becomes the equal two-logit
head, and text normalisation is part of `tokenizer.json`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from surefit.artifacts import (
    SCHEMA_VERSION,
    atomic_directory,
    model_directory,
    no_directory,
    read_own_json,
    sha256_of,
    write_json,
)
from surefit.errors import ModelError, RunError, UsageError
from surefit.evaluation.row_statistics import ReferenceStatistics
from surefit.model.checkpoints import (
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    fitting_copy,
    read_object,
    read_tensors,
    read_tokenizer,
)
from surefit.model.classifier import Classifier, SequenceClassifier
from surefit.model.configuration import is_plain_bert
from surefit.model.heads import Head, choose_head, has_one_logit, one_row, two_rows
from surefit.model.int8_ranges import Int8Facts
from surefit.model.saved_rule import rule_from_json, rule_to_json
from surefit.text.tokenizer import TextTokenizer
from surefit.types import DecisionRule, LabelSchema

FACTS = "surefit.json"
# Together these decide what the model answers, so none may be of another model.
_HASHED = (WEIGHTS, CONFIG, TOKENIZER, TOKENIZER_CONFIG)
_CONTENT_HASH = "content_sha256"

# What a checkpoint's config.json says of itself and no longer holds for the classifier.
_OUTDATED = (
    "_name_or_path",
    "auto_map",
    "dtype",
    "finetuning_task",
    "num_labels",
    "quantization_config",
    "torch_dtype",
    "transformers_version",
)


@dataclass(frozen=True, eq=False)
class SavedClassifier:
    """A saved model, ready to predict.

    Attributes:
        classifier: on the CPU, in evaluation mode; its logits are calibrated already.
        tokenizer: cuts rows to the length used in training.
        rule: what to do with these logits; its temperature is 1 because it is in the head.
        temperature: the fitted temperature, for reports.
        head: the head that was trained; in the directory both heads of two classes have two logits.
        int8: how it predicts in int8; None where it cannot.
        reference: of the rows that it was judged on, to compare others with; None where it has none.
        facts: the whole content of `surefit.json`.
    """

    classifier: SequenceClassifier
    tokenizer: TextTokenizer
    rule: DecisionRule
    temperature: float
    head: Head
    int8: Int8Facts | None
    reference: ReferenceStatistics | None
    facts: Mapping[str, Any]

    @property
    def schema(self) -> LabelSchema:
        return self.classifier.schema

    @property
    def columns(self) -> dict[str, str]:
        """Role (text, text_pair, label, id) -> column that was trained on; empty where that is not known."""
        return _columns_in(self.facts)

    @property
    def max_length(self) -> int:
        return self.tokenizer.max_length


def save_classifier(
    directory: Path,
    classifier: SequenceClassifier,
    tokenizer: TextTokenizer,
    rule: DecisionRule,
    *,
    base_model: str,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes the saved model, whole or not at all; what stood in the directory before is replaced.

    Args:
        directory: where to.
        classifier: its weights are written in fp32; it is not changed.
        tokenizer: its maximum length is written too.
        rule: how probabilities and labels are made.
        base_model: what was fine-tuned, as `Pretrained.source` says it.
        facts: anything else for `surefit.json`, such as fingerprints of the data.
    """
    with atomic_directory(directory) as temporary:
        tensors = _saved_tensors(classifier, rule.temperature)
        try:
            save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # a full disk, for instance
            raise ModelError(f"the model cannot be written to {directory}: {' '.join(str(error).split())[:200]}") from None
        (temporary / TOKENIZER).write_text(tokenizer.to_json(), encoding="utf-8")
        _write_stock_json(temporary / CONFIG, _stock_config(classifier, tokenizer))
        _write_stock_json(temporary / TOKENIZER_CONFIG, _tokenizer_config(classifier, tokenizer))
        own = {
            "problem_type": classifier.schema.problem_type,
            "head": classifier.head,
            "max_length": tokenizer.max_length,
            "decision": rule_to_json(rule),
            "base_model": base_model,
            "sha256": {file: sha256_of(temporary / file) for file in _HASHED},
        }
        content = json.loads(json.dumps({"schema_version": SCHEMA_VERSION} | dict(facts or {}) | own))  # as it is read again
        write_json(temporary / FACTS, content | {_CONTENT_HASH: content_hash(content)})
        shutil.copymode(temporary / CONFIG, temporary / WEIGHTS)  # safetensors makes files that only their owner reads


def load_classifier(path: Path) -> SavedClassifier:
    """Loads a saved model.

    Args:
        path: a run, or its model directory.

    Raises:
        ModelError: there is no model, it is not SureFit's, or a file of it is damaged, missing or
            not the one that was saved; the message names the file.
    """
    directory = model_directory(path)
    facts = _read_facts(directory, path)
    config = read_object(directory / CONFIG)
    schema = _schema_of(config, directory / CONFIG)
    temperature, rule, head, max_length = _read_decision(facts, schema, directory / FACTS)
    _require_unchanged(directory, facts)
    classifier = empty_classifier(schema, choose_head(schema, None), config)
    expected = classifier.network.state_dict()
    _fill_exactly(classifier.network, expected, read_tensors(directory), directory / WEIGHTS)
    if not 1 <= max_length <= (classifier.max_tokens or max_length):
        raise ModelError(f"{directory / FACTS} has max_length {max_length}, which the model cannot read; it is damaged")
    tokenizer = read_tokenizer(directory, max_length)
    if max_length <= tokenizer.special_tokens_added(pairs="text_pair" in _columns_in(facts)):
        raise ModelError(f"{directory / FACTS} has max_length {max_length}, which leaves no room for text; it is damaged")
    tokenizer.require_fit(classifier.vocabulary_rows)
    int8 = _read_int8(facts, classifier, directory / FACTS)
    reference = _read_reference(facts, classifier, directory / FACTS)
    return SavedClassifier(classifier.eval(), tokenizer, rule, temperature, head, int8, reference, facts)


def read_schema(directory: Path) -> LabelSchema:
    """The classes of a saved model.

    Raises:
        ModelError: its `config.json` is damaged.
    """
    return _schema_of(read_object(directory / CONFIG), directory / CONFIG)


def read_trained_columns(directory: Path) -> dict[str, str]:
    """Role -> column that a saved model was trained on; empty where that is not known.

    Raises:
        ModelError: its `surefit.json` is damaged.
    """
    return _columns_in(_read_facts(directory, directory))


def _columns_in(facts: Mapping[str, Any]) -> dict[str, str]:
    columns = facts.get("columns")
    return {str(role): str(name) for role, name in columns.items()} if isinstance(columns, dict) else {}


def content_hash(facts: Mapping[str, Any]) -> str:
    """SHA-256 of the content of `surefit.json`, leaving out the entry that holds it."""
    content = {name: value for name, value in facts.items() if name != _CONTENT_HASH}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_saved(directory: Path) -> bool:
    """Whether a model directory was written by SureFit."""
    return (directory / FACTS).is_file()


def empty_classifier(schema: LabelSchema, head: Head, config: Mapping[str, Any]) -> SequenceClassifier:
    """The classifier that a `config.json` describes, its weights still to be loaded.

    Raises:
        ModelError: it describes none.
    """
    if not is_plain_bert(config):
        from surefit.model.stock import StockClassifier

        return StockClassifier(schema, head, config)
    with torch.device("meta"):  # weights that are to be replaced need not be drawn
        return Classifier(schema, head, config)


def unfold_head(saved: SavedClassifier) -> None:
    """Gives a loaded classifier the head back that was trained, so that training can go on."""
    layer = saved.classifier.network.get_submodule(saved.classifier.output_layer)
    assert isinstance(layer, nn.Linear)
    weight, bias = layer.weight.detach() * saved.temperature, layer.bias.detach() * saved.temperature
    if has_one_logit(saved.schema, saved.head):
        weight, bias = one_row(weight), one_row(bias)
    layer.weight, layer.bias, layer.out_features = nn.Parameter(weight), nn.Parameter(bias), len(bias)
    saved.classifier.head = saved.head


def _saved_tensors(classifier: SequenceClassifier, temperature: float) -> dict[str, Tensor]:
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in classifier.network.state_dict().items()
    }
    for name in (f"{classifier.output_layer}.weight", f"{classifier.output_layer}.bias"):
        folded = tensors[name] / temperature
        tensors[name] = two_rows(folded) if has_one_logit(classifier.schema, classifier.head) else folded
    return tensors


def _stock_config(classifier: SequenceClassifier, tokenizer: TextTokenizer) -> dict[str, Any]:
    kept = {name: value for name, value in classifier.config.items() if name not in _OUTDATED}
    return kept | {
        "architectures": [classifier.architecture],
        "problem_type": classifier.schema.problem_type,
        "id2label": {str(position): name for position, name in enumerate(classifier.schema.id2label)},
        "label2id": classifier.schema.label2id,
        "pad_token_id": tokenizer.pad_token_id if kept.get("pad_token_id") is None else kept["pad_token_id"],
    }


def _tokenizer_config(classifier: SequenceClassifier, tokenizer: TextTokenizer) -> dict[str, Any]:
    return {
        # Not the family's own class: that rebuilds the tokenizer and loses its normalisation.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": tokenizer.max_length,
        "model_input_names": list(classifier.input_names),
        "clean_up_tokenization_spaces": False,
    } | tokenizer.special_token_settings()


def _write_stock_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _read_facts(directory: Path, asked: Path) -> dict[str, Any]:
    if not directory.is_dir():
        raise ModelError(no_directory(asked))
    path = directory / FACTS
    if not path.is_file():
        if (directory / CONFIG).is_file():
            raise ModelError(
                f"{directory} has no {FACTS}: it is not a model that SureFit saved; it can be fine-tuned with "
                f"`surefit train DATA --model {directory}`"
            )
        if (asked / "settings.json").is_file():
            raise ModelError(f"the run {asked} has no model yet; finish it with `surefit train DATA --run {asked} --resume`")
        raise ModelError(f"{directory} holds no saved model ({FACTS} is missing)")
    try:
        facts = read_own_json(path, "train the model again")
    except RunError as error:
        raise ModelError(str(error)) from None
    if _CONTENT_HASH not in facts:
        raise ModelError(f"{path} is damaged, or of a SureFit before 0.1.0: it has no {_CONTENT_HASH}; train the model again")
    if facts[_CONTENT_HASH] != content_hash(facts):
        raise ModelError(f"{path} is damaged or was changed after it was saved: its {_CONTENT_HASH} is of another content")
    return facts


def _schema_of(config: Mapping[str, Any], path: Path) -> LabelSchema:
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or list(id2label) != [str(position) for position in range(len(id2label))]:
        raise ModelError(f"{path}: id2label must name the classes 0, 1, 2, ... in their order")
    try:
        return LabelSchema(config.get("problem_type"), tuple(map(str, id2label.values())))  # type: ignore[arg-type]
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def _read_decision(facts: Mapping[str, Any], schema: LabelSchema, path: Path) -> tuple[float, DecisionRule, Head, int]:
    """Temperature, rule for calibrated logits, head and maximum length."""
    try:
        fitted, max_length = rule_from_json(facts["decision"]), facts["max_length"]
        if isinstance(max_length, bool) or not isinstance(max_length, int):
            raise ValueError(f"max_length, which must be a whole number, got {max_length!r}")
        if facts["head"] not in ("softmax", "sigmoid"):
            raise ValueError(f"head, which must be softmax or sigmoid, got {facts['head']!r}")
        head = choose_head(schema, facts["head"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # OverflowError: a number of hundreds of digits
        raise ModelError(f"{path} is damaged: {type(error).__name__} at {error}") from None
    except UsageError:
        raise ModelError(f"{path} and config.json disagree about the head; they do not belong together") from None
    try:
        fitted.require_fit(schema)
        fits = facts.get("problem_type") == schema.problem_type
    except ValueError:
        fits = False
    if not fits:
        raise ModelError(f"{path} and config.json disagree about the classes; they do not belong together")
    return fitted.temperature, replace(fitted, temperature=1.0), head, max_length


def _read_int8(facts: Mapping[str, Any], classifier: SequenceClassifier, path: Path) -> Int8Facts | None:
    if facts.get("int8") is None:
        return None
    try:
        found = Int8Facts.from_json(facts["int8"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {type(error).__name__} in its entry int8") from None
    channels = classifier.int8_activations
    if found.ranges.keys() != channels.keys() or any(
        channel >= channels[name] for name, own in found.ranges.items() for channel in own.outliers
    ):
        raise ModelError(f"{path} and config.json disagree about the activations; they do not belong together")
    return found


def _read_reference(facts: Mapping[str, Any], classifier: SequenceClassifier, path: Path) -> ReferenceStatistics | None:
    if facts.get("reference") is None:
        return None
    try:
        found = ReferenceStatistics.from_json(facts["reference"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path} is damaged: {type(error).__name__} in its entry reference, {error}") from None
    dimensions = classifier.hidden_size if found.embeddings is None else len(found.embeddings.centre)
    if (len(found.true_classes), dimensions) != (len(classifier.schema), classifier.hidden_size):
        raise ModelError(f"{path} and config.json disagree about classes or hidden size; they do not belong together")
    return found


def _require_unchanged(directory: Path, facts: Mapping[str, Any]) -> None:
    hashes = facts.get("sha256")
    if not isinstance(hashes, dict) or set(hashes) != set(_HASHED):
        raise ModelError(f"{directory / FACTS} is damaged: it names no sha256 of {', '.join(_HASHED)}")
    for name, expected in hashes.items():
        file = directory / name
        if not file.is_file():
            raise ModelError(f"{file} is missing")
        if sha256_of(file) != expected:
            raise ModelError(f"{file} is not the file that was saved: it is damaged or from another model")


def _fill_exactly(network: nn.Module, expected: Mapping[str, Tensor], found: Mapping[str, Tensor], file: Path) -> None:
    """Loads exactly the tensors that the network has."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        raise ModelError(f"{file} lacks the tensor {missing[0]!r} ({len(missing)} in all); it does not fit config.json")
    if extra:
        raise ModelError(f"{file} has a tensor {extra[0]!r} too many ({len(extra)} in all); it does not fit config.json")
    network.load_state_dict({name: fitting_copy(name, found[name], like, file) for name, like in expected.items()}, assign=True)
