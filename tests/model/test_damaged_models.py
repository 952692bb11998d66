"""Saved models that were damaged or changed: each is refused with a sentence that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_models import TWO, trained

from surefit.artifacts import sha256_of
from surefit.errors import ModelError
from surefit.model.int8_ranges import Int8Facts, Range
from surefit.model.pretrained import load_classifier, save_classifier
from surefit.model.saved import content_hash
from surefit.types import DecisionRule
from tiny_models import write_tiny_stock


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_facts(model: Path, **changes: Any) -> None:
    """Changes `surefit.json` and its hash, as somebody would who means to."""
    facts = json.loads((model / "surefit.json").read_text()) | changes
    (model / "surefit.json").write_text(json.dumps(facts | {"content_sha256": content_hash(facts)}))


def rewrite_weights(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    """Rewrites the weights and their hash, as somebody would who means to."""

    def apply(model: Path) -> None:
        tensors = load_file(model / "model.safetensors")
        change(tensors)
        save_file(tensors, model / "model.safetensors")
        facts = json.loads((model / "surefit.json").read_text())
        change_facts(model, sha256=facts["sha256"] | {"model.safetensors": sha256_of(model / "model.safetensors")})

    return apply


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights cut": (lambda model: cut_in_half(model / "model.safetensors"), r"model\.safetensors is not the file"),
    "weights gone": (lambda model: (model / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    "tokenizer cut": (lambda model: cut_in_half(model / "tokenizer.json"), r"tokenizer\.json is not the file"),
    "tokenizer gone": (lambda model: (model / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "config cut": (lambda model: cut_in_half(model / "config.json"), r"config\.json cannot be read"),
    "config gone": (lambda model: (model / "config.json").unlink(), r"config\.json is missing"),
    "tokenizer config cut": (
        lambda model: cut_in_half(model / "tokenizer_config.json"),
        r"tokenizer_config\.json is not the file",
    ),
    "facts cut": (lambda model: cut_in_half(model / "surefit.json"), r"surefit\.json cannot be read"),
    "facts gone": (lambda model: (model / "surefit.json").unlink(), r"no surefit\.json: .*--model"),
    "facts empty": (lambda model: (model / "surefit.json").write_text('{"schema_version": 1}'), r"surefit\.json is damaged"),
    "facts of the future": (
        lambda model: change_json(model / "surefit.json", schema_version=99),
        "newer SureFit .*schema_version 99",
    ),
    "threshold missing": (
        lambda model: change_facts(model, decision={"temperature": 1.0, "thresholds": [0.5]}),
        "disagree about the classes",
    ),
    "cost missing": (
        lambda model: change_facts(model, decision={"temperature": 1.0, "thresholds": None, "costs": [[0.0]]}),
        "disagree about the classes",
    ),
    "bound missing": (
        lambda model: change_facts(model, decision={"temperature": 1.0, "thresholds": None, "abstain_below": [0.5]}),
        "disagree about the classes",
    ),
    "temperature negative": (
        lambda model: change_facts(model, decision={"temperature": -1, "thresholds": None}),
        r"surefit\.json is damaged",
    ),
    "schema version true": (lambda model: change_facts(model, schema_version=True), "no schema_version that this SureFit"),
    "head changed": (lambda model: change_json(model / "surefit.json", head="softmax"), "changed after it was saved"),
    "columns changed": (lambda model: change_json(model / "surefit.json", columns={"text": "x"}), "changed after it was saved"),
    "hash of the facts gone": (
        lambda model: change_json(model / "surefit.json", content_sha256=None),
        "changed after it was saved",
    ),
    "class too many": (
        lambda model: change_json(
            model / "config.json", id2label={"0": "no", "1": "yes", "2": "maybe"}, label2id={"no": 0, "yes": 1, "maybe": 2}
        ),
        "disagree about the head",
    ),
    "class twice": (lambda model: change_json(model / "config.json", id2label={"0": "no", "1": "no"}), "must be unique"),
    "class ids odd": (lambda model: change_json(model / "config.json", id2label={"0": "no", "7": "yes"}), "id2label must"),
    "problem type gone": (lambda model: change_json(model / "config.json", problem_type=None), "unknown problem_type"),
    "other shape": (lambda model: change_json(model / "config.json", intermediate_size=32), r"config\.json is not the file"),
    "other depth": (lambda model: change_json(model / "config.json", num_hidden_layers=3), r"config\.json is not the file"),
    "tensor missing": (rewrite_weights(lambda tensors: tensors.pop("bert.pooler.dense.bias")), r"lacks .*bert\.pooler"),
    "tensor too many": (rewrite_weights(lambda tensors: tensors.update(extra=torch.zeros(1))), "'extra' too many"),
    "not a number": (
        rewrite_weights(lambda tensors: tensors["classifier.bias"].fill_(float("nan"))),
        "'classifier.bias' holds values that are not finite",
    ),
    "quantised": (
        rewrite_weights(lambda tensors: tensors.update({"classifier.bias": torch.zeros(2, dtype=torch.int8)})),
        "quantised",
    ),
}


@pytest.mark.parametrize(
    "changes",
    [
        {"max_length": float("inf")},
        {"max_length": "64"},
        {"max_length": True},
        {"max_length": 2},
        {"max_length": 1_000_000},
        {"head": "foo"},
        {"head": ["x"]},
        {"decision": {"temperature": 10**400, "thresholds": None}},
        {"decision": {"temperature": float("inf"), "thresholds": None}},
        {"decision": {"temperature": True, "thresholds": None}},
        {"decision": {"temperature": 1.0, "thresholds": "01"}},
        {"decision": {"temperature": 1.0, "thresholds": 7}},
        {"decision": {"temperature": 1.0, "thresholds": None, "costs": "01"}},
        {"decision": {"temperature": 1.0, "thresholds": None, "costs": [0, 1]}},
        {"decision": {"temperature": 1.0, "thresholds": None, "costs": [[0, 1], None]}},
        {"decision": {"temperature": 1.0, "thresholds": None, "costs": [[0, 1], [1]]}},
        {"decision": {"temperature": 1.0, "thresholds": None, "costs": [[0, 1], [1, float("nan")]]}},
        {"decision": {"temperature": 1.0, "thresholds": [0.5, 0.5], "costs": [[0, 1], [1, 0]]}},
        {"decision": {"temperature": 1.0, "thresholds": None, "abstain_below": 0.5}},
        {"decision": {"temperature": 1.0, "thresholds": None, "abstain_below": [0.5, 1.5]}},
        {"decision": {"temperature": 1.0, "thresholds": None, "abstain_below": [True, 0.5]}},
        {"decision": []},
        {"decision": None},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_values_of_the_wrong_kind_are_blamed_on_the_file(saved_run: Path, tmp_path: Path, changes: dict[str, Any]):
    shutil.copytree(saved_run / "model", tmp_path / "model")
    change_facts(tmp_path / "model", **changes)
    with pytest.raises(ModelError, match=r"surefit\.json .*damaged") as refusal:
        load_classifier(tmp_path)
    assert "\n" not in str(refusal.value)


ACTIVATIONS = [f"{layer} {place}" for layer in (0, 1) for place in ("hidden", "context", "middle", "active")]
INT8 = Int8Facts({name: Range(0.01 * number, 100 + number) for number, name in enumerate(ACTIVATIONS, 1)}, safe=True)


def int8_entry(**ranges: Any) -> dict[str, Any]:
    """The entry int8 with other ranges; one that is Ellipsis is left out."""
    changed = INT8.to_json()["ranges"] | ranges
    return INT8.to_json() | {"ranges": {name: own for name, own in changed.items() if own is not ...}}


def test_what_a_model_knows_of_int8_is_loaded_again(tiny_bert: Path, tmp_path: Path):
    loaded = trained(tiny_bert, TWO)
    for name, facts in (("with", {"int8": INT8.to_json() | {"check": {"rows": 7}}}), ("none", {"int8": None}), ("without", {})):
        save_classifier(tmp_path / name, loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny", facts=facts)
    assert load_classifier(tmp_path / "with").int8 == INT8
    assert load_classifier(tmp_path / "with").facts["int8"]["check"] == {"rows": 7}
    assert load_classifier(tmp_path / "none").int8 is None
    assert load_classifier(tmp_path / "without").int8 is None


@pytest.mark.parametrize(
    "entry",
    [
        *([], {}, "safe", 7, True, False, 0.5),
        {"safe": True},
        {"safe": True, "ranges": None},
        {"safe": True, "ranges": []},
        {"safe": True, "ranges": {}},
        {"safe": True, "ranges": "0 hidden"},
        {"ranges": INT8.to_json()["ranges"]},
        *(int8_entry() | {"safe": safe} for safe in (None, 1, "true", [])),
        *(
            int8_entry(**{"0 hidden": own})
            for own in (None, 1.0, "ab", [], [1.0], [1.0, 2, 3], {"scale": 1.0, "zero_point": 2}, [[1.0], 2])
        ),
        *(
            int8_entry(**{"0 hidden": [scale, 7, {}]})
            for scale in (True, "1", None, 0.0, -1.0, float("nan"), float("inf"), 1e300, 10**400)
        ),
        *(int8_entry(**{"0 hidden": [1e-320, 7, {}]}),),
        *(int8_entry(**{"0 hidden": [1.0, zero, {}]}) for zero in (True, "7", None, -1, 256, 7.5, 7.0, float("nan"), 10**400)),
        *(
            int8_entry(**{"0 hidden": [1.0, 7, outliers]})
            for outliers in (
                [],
                None,
                3,
                "3",
                {"x": 2.0},
                {"-1": 2.0},
                {"3": 1.0},
                {"3": 2},
                {"3": "2"},
                {"3": None},
                {"3": 1e300},
            )
        ),
    ],
    ids=lambda entry: str(entry)[:70],
)
def test_an_entry_int8_that_is_none_is_blamed_on_the_file(saved_run: Path, tmp_path: Path, entry: Any):
    shutil.copytree(saved_run / "model", tmp_path / "model")
    change_facts(tmp_path / "model", int8=entry)
    with pytest.raises(ModelError, match=r"surefit\.json is damaged: ") as refusal:
        load_classifier(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "entry",
    [
        int8_entry(**{"0 hidden": ...}),
        int8_entry(**{"2 hidden": [1.0, 7, {}]}),
        int8_entry(**{"0 hidden": ..., "0 Hidden": [1.0, 7, {}]}),
        int8_entry(**{"0 hidden": [1.0, 7, {"32": 2.0}]}),
        int8_entry(**{"1 active": [1.0, 7, {"64": 2.0}]}),
    ],
    ids=["missing", "too many", "other", "no such channel", "no such channel between"],
)
def test_an_entry_int8_of_another_model_is_refused(saved_run: Path, tmp_path: Path, entry: dict[str, Any]):
    shutil.copytree(saved_run / "model", tmp_path / "model")
    change_facts(tmp_path / "model", int8=entry)
    with pytest.raises(ModelError, match="disagree about the activations"):
        load_classifier(tmp_path)


def test_an_entry_int8_of_a_model_that_cannot_use_it_is_refused(tmp_path: Path):
    loaded = trained(write_tiny_stock(tmp_path / "base", "distilbert"), TWO)
    for entry, message in ((INT8.to_json(), "disagree about the activations"), ({"safe": True, "ranges": {}}, "is damaged")):
        save_classifier(
            tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="x", facts={"int8": entry}
        )
        with pytest.raises(ModelError, match=message):
            load_classifier(tmp_path / "model")


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damage_is_named_in_one_line(saved_run: Path, tmp_path: Path, damage: str):
    model = tmp_path / "model"
    shutil.copytree(saved_run / "model", model)
    load_classifier(tmp_path)
    inflict, message = DAMAGES[damage]
    inflict(model)
    with pytest.raises(ModelError, match=message) as refusal:
        load_classifier(tmp_path)
    assert "\n" not in str(refusal.value)


def test_tokenizer_of_another_model_is_refused(saved_run: Path, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(saved_run / "model", model)
    content = json.loads((model / "tokenizer.json").read_text())
    content["model"]["vocab"]["zebra"] = len(content["model"]["vocab"])
    (model / "tokenizer.json").write_text(json.dumps(content))
    facts = json.loads((model / "surefit.json").read_text())
    change_facts(model, sha256=facts["sha256"] | {"tokenizer.json": sha256_of(model / "tokenizer.json")})
    with pytest.raises(ModelError, match="does not belong to the model"):
        load_classifier(tmp_path)
