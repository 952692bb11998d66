"""The saved model: what it holds, and that stock tools agree with it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from saved_models import MULTI, TEXTS, THREE, TWO, trained

from surefit.errors import ModelError
from surefit.evaluation.row_statistics import ReferenceStatistics, RowStatistics
from surefit.model.hardware import Hardware
from surefit.model.pretrained import load_classifier, save_classifier
from surefit.model.saved import SavedClassifier, content_hash
from surefit.types import NEVER_ANSWERED, SINGLE_LABEL, DecisionRule, LabelSchema, PackedBatch
from tiny_models import write_tiny_stock


def probabilities(saved: SavedClassifier, texts: list[str]) -> torch.Tensor:
    batch = PackedBatch.from_encodings(saved.tokenizer.encode(texts), np.arange(len(texts)))
    saved.classifier.prepare(Hardware(torch.device("cpu"), "fp32", 1))
    with torch.inference_mode():
        logits = saved.classifier(batch)
    return torch.softmax(logits, dim=1) if saved.schema.problem_type == SINGLE_LABEL else torch.sigmoid(logits)


def stock_probabilities(directory: Path, labels: tuple[str, ...], inputs: list[Any]) -> torch.Tensor:
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(directory), top_k=None, truncation=True)
    answers = [{entry["label"]: entry["score"] for entry in classify([item])[0]} for item in inputs]
    return torch.tensor([[answer[label] for label in labels] for answer in answers])


@pytest.mark.parametrize(
    ("schema", "head", "temperature"),
    [(TWO, "softmax", 1.0), (THREE, None, 1.7), (TWO, "sigmoid", 1.0), (TWO, "sigmoid", 1.7), (MULTI, None, 1.7)],
)
def test_stock_pipeline_gives_our_probabilities(
    tiny_bert: Path, tmp_path: Path, schema: LabelSchema, head: str | None, temperature: float
):
    loaded = trained(tiny_bert, schema, head)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(temperature), base_model="tiny")
    saved = load_classifier(tmp_path / "model")
    ours = probabilities(saved, TEXTS)
    assert ours.std(dim=0).min() > 0.01, "the rows must differ for the comparison to mean something"
    torch.testing.assert_close(stock_probabilities(tmp_path / "model", schema.id2label, TEXTS), ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["distilbert", "roberta", "mpnet", "electra", "deberta-v2", "albert"])
def test_stock_pipeline_gives_our_probabilities_for_other_families(tmp_path: Path, family: str):
    loaded = trained(write_tiny_stock(tmp_path / "base", family), TWO, "sigmoid" if family == "roberta" else None)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(1.7), base_model="tiny")
    saved = load_classifier(tmp_path / "model")
    ours = probabilities(saved, TEXTS)
    torch.testing.assert_close(stock_probabilities(tmp_path / "model", TWO.id2label, TEXTS), ours, atol=1e-5, rtol=0)


def test_stock_pipeline_gives_our_probabilities_for_the_embedded_model(embedded_model: Path, tmp_path: Path):
    loaded = trained(embedded_model, THREE)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(1.7), base_model="minilm-l6")
    saved = load_classifier(tmp_path / "model")
    ours = probabilities(saved, TEXTS)
    torch.testing.assert_close(stock_probabilities(tmp_path / "model", THREE.id2label, TEXTS), ours, atol=1e-5, rtol=0)


def test_stock_pipeline_gives_our_probabilities_for_pairs(tiny_bert: Path, tmp_path: Path):
    loaded = trained(tiny_bert, TWO)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny")
    saved = load_classifier(tmp_path / "model")
    first, second = ["good film", "a " * 100, "the"], ["bad film", "b " * 40, "of " * 200]
    batch = PackedBatch.from_encodings(saved.tokenizer.encode(first, second), np.arange(3))
    with torch.inference_mode():
        ours = torch.softmax(saved.classifier(batch), dim=1)
    pairs = [{"text": text, "text_pair": pair} for text, pair in zip(first, second, strict=True)]
    torch.testing.assert_close(stock_probabilities(tmp_path / "model", TWO.id2label, pairs), ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_stock_tokenizer_knows_the_special_tokens_and_how_they_match(tmp_path: Path, family: str):
    from transformers import AutoTokenizer

    loaded = trained(write_tiny_stock(tmp_path / "base", family), TWO)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny")
    stock = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert {role: getattr(stock, role) for role in loaded.tokenizer.special_tokens} == loaded.tokenizer.special_tokens
    padded = stock(["good film", "a"], padding=True)["input_ids"]
    assert padded[1][-1] == loaded.tokenizer.pad_token_id
    text = "good  <mask> film"
    assert stock(text)["input_ids"] == loaded.tokenizer.encode([text])[0].input_ids.tolist()


def test_logits_are_divided_by_the_temperature_and_the_model_in_training_is_left_alone(tiny_bert: Path, tmp_path: Path):
    loaded = trained(tiny_bert, THREE)
    batch = PackedBatch.from_encodings(loaded.tokenizer.encode(TEXTS), np.arange(len(TEXTS)))
    with torch.inference_mode():
        before = loaded.classifier(batch)
        save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(1.7), base_model="tiny")
        assert torch.equal(loaded.classifier(batch), before)
        torch.testing.assert_close(load_classifier(tmp_path / "model").classifier(batch), before / 1.7)


def test_directory_holds_what_the_design_says(saved_run: Path):
    model = saved_run / "model"
    assert {file.name for file in model.iterdir()} == {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "surefit.json",
    }
    config = json.loads((model / "config.json").read_text())
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert config["label2id"] == {"no": 0, "yes": 1}
    assert (config["problem_type"], config["model_type"]) == ("single_label_classification", "bert")
    assert config["architectures"] == ["BertForSequenceClassification"]
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    assert (tokenizer["tokenizer_class"], tokenizer["model_max_length"]) == ("PreTrainedTokenizerFast", 48)
    facts = json.loads((model / "surefit.json").read_text())
    assert facts["decision"] == {"temperature": 1.7, "thresholds": [0.5, 0.6], "costs": None, "abstain_below": None}
    assert (facts["schema_version"], facts["head"], facts["max_length"], facts["fingerprint"]) == (1, "sigmoid", 48, "abc")
    tensors = load_file(model / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert torch.equal(tensors["classifier.weight"][0], torch.zeros(32))


def test_all_files_can_be_read_by_the_same_people(saved_run: Path):
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (saved_run / "model").iterdir()}
    assert len(modes) == 1


def test_run_and_its_model_directory_load_alike(saved_run: Path):
    from_run, from_model = load_classifier(saved_run), load_classifier(saved_run / "model")
    assert torch.equal(probabilities(from_run, TEXTS), probabilities(from_model, TEXTS))
    assert from_run.schema == TWO
    assert (from_run.head, from_run.temperature, from_run.max_length) == ("sigmoid", 1.7, 48)
    assert from_run.rule == DecisionRule(1.0, (0.5, 0.6)), "the temperature is in the weights already"
    assert not from_run.classifier.training


@pytest.mark.parametrize(
    "rule",
    [
        DecisionRule(1.7),
        DecisionRule(1.0, costs=((0.0, 5.0), (1.0, -0.5))),
        DecisionRule(1.7, thresholds=(0.2, 0.8), abstain_below=(0.0, NEVER_ANSWERED)),
        DecisionRule(0.5, costs=((0.0, 1.0), (1.0, 0.0)), abstain_below=(0.9, 1.0)),
    ],
)
def test_the_decision_rule_comes_back_as_it_was(tiny_bert: Path, tmp_path: Path, rule: DecisionRule):
    loaded = trained(tiny_bert, TWO)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, rule, base_model="tiny")
    saved = load_classifier(tmp_path / "model")
    assert (saved.rule, saved.temperature) == (dataclasses.replace(rule, temperature=1.0), rule.temperature)


def test_a_decision_without_costs_and_abstention_is_one_that_has_neither(saved_run: Path, tmp_path: Path):
    shutil.copytree(saved_run / "model", tmp_path / "model")
    facts = json.loads((tmp_path / "model" / "surefit.json").read_text())
    facts["decision"] = {"temperature": 1.7, "thresholds": [0.5, 0.6]}
    (tmp_path / "model" / "surefit.json").write_text(json.dumps(facts | {"content_sha256": content_hash(facts)}))
    assert load_classifier(tmp_path / "model").rule == DecisionRule(1.0, (0.5, 0.6))


def test_saving_again_replaces_the_model(tiny_bert: Path, tmp_path: Path):
    for schema in (TWO, THREE):
        loaded = trained(tiny_bert, schema)
        save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny")
    assert load_classifier(tmp_path / "model").schema == THREE
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_failed_save_leaves_the_model_before_intact(tiny_bert: Path, tmp_path: Path):
    loaded = trained(tiny_bert, TWO)
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny")
    with pytest.raises(TypeError):
        save_classifier(
            tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="x", facts={"bad": object()}
        )
    assert load_classifier(tmp_path / "model").facts["base_model"] == "tiny"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_loading_a_bert_imports_no_transformers(saved_run: Path):
    program = (
        "import sys; from pathlib import Path; from surefit.model.saved import load_classifier; "
        "load_classifier(Path(sys.argv[1])); "
        "print([name for name in ('transformers', 'huggingface_hub', 'sklearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(saved_run)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_path_without_anything_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="there is no directory"):
        load_classifier(tmp_path / "nothing")
    (tmp_path / "reviews.csv").touch()
    with pytest.raises(ModelError, match=r"reviews\.csv is a file; give a run directory such as surefit train makes"):
        load_classifier(tmp_path / "reviews.csv")
    with pytest.raises(ModelError, match=r"holds no saved model"):
        load_classifier(tmp_path)


def reference_of_two(hidden: int = 32) -> ReferenceStatistics:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 30)
    embeddings = rng.standard_normal((30, hidden)).astype(np.float32)
    rows = RowStatistics(rng.integers(3, 40, 30), np.zeros(30), rng.uniform(0.5, 1, 30), classes, classes, embeddings)
    return ReferenceStatistics.of(rows, 2)


def test_the_reference_statistics_come_back_as_they_were(tiny_bert: Path, tmp_path: Path):
    loaded, reference = trained(tiny_bert, TWO), reference_of_two()
    facts = {"reference": reference.to_json()}
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny", facts=facts)
    assert load_classifier(tmp_path / "model").reference == reference


def test_a_model_that_was_saved_without_a_reference_loads(saved_run: Path):
    assert load_classifier(saved_run).reference is None


@pytest.mark.parametrize(
    ("schema", "change", "said"),
    [
        (TWO, {"rows": "many"}, r"damaged: ValueError in its entry reference, a value that must be a count"),
        (TWO, {"lengths": {}}, r"damaged: KeyError in its entry reference, 'mean'"),
        (TWO, {"embeddings": reference_of_two(16).to_json()["embeddings"]}, "disagree about classes or hidden size"),
        (THREE, {}, "disagree about classes or hidden size"),
    ],
)
def test_a_damaged_or_foreign_reference_is_a_sentence(
    tiny_bert: Path, tmp_path: Path, schema: LabelSchema, change: dict[str, Any], said: str
):
    loaded = trained(tiny_bert, schema)
    facts = {"reference": reference_of_two().to_json() | change}
    save_classifier(tmp_path / "model", loaded.classifier, loaded.tokenizer, DecisionRule(), base_model="tiny", facts=facts)
    with pytest.raises(ModelError, match=said):
        load_classifier(tmp_path / "model")
