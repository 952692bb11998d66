"""Settings: every bad value is a sentence, every good one is kept as it was meant."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from surefit.config import (
    EvidenceSettings,
    MachineSettings,
    ModelSettings,
    ReadSettings,
    Settings,
    SplitSettings,
    TrainingSettings,
    VerdictSettings,
    build_groups,
    describe,
    options_of_file,
)
from surefit.errors import UsageError

GROUPS = (ReadSettings, SplitSettings, ModelSettings, TrainingSettings, EvidenceSettings, VerdictSettings, MachineSettings)


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": ";;"},
        {"delimiter": "\n"},
        {"delimiter": "é"},
        {"quote": ""},
        {"quote": "''"},
        {"validation_size": 0},
        {"validation_size": 1.0},
        {"test_size": -0.1},
        {"test_size": float("nan")},
        {"validation_size": 0.5, "test_size": 0.5},
        {"min_rows_per_class": 0},
        {"model": "  "},
        {"head": "linear"},
        {"max_length": 7},
        {"epochs": 0},
        {"epochs": 1001},
        {"learning_rate": 0.9e-6},
        {"learning_rate": 1.1e-3},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"batch_size": 0},
        {"weight_decay": -0.1},
        {"weight_decay": 1},
        {"warmup_share": 1},
        {"max_grad_norm": 0},
        {"max_grad_norm": float("inf")},
        {"patience": 0},
        {"class_weight": "heavy"},
        {"max_batch_tokens": 7},
        *({"checkpoint_every": every} for every in ("", "0", "-5", "m", "10s", "1.5m", "10 m", "0m")),
        {"device": "gpu"},
        {"device": "cuda:"},
        {"device": "cuda:²"},
        {"device": "cpu:0"},
        {"threads": 0},
        {"threads": 10**9},
        {"precision": "fp16"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 2**32 - 1, "seeds": 2},
        {"seeds": 0},
        {"seeds": 101},
    ],
    ids=str,
)
def test_value_out_of_range_is_a_sentence_that_names_the_flag(options):
    with pytest.raises(UsageError) as refused:
        Settings.from_options(options)
    assert "--" + next(iter(options)).replace("_", "-") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": "two"}, "--epochs must be a whole number, got 'two'"),
        ({"epochs": 2.5}, "--epochs must be a whole number, got 2.5"),
        ({"epochs": True}, "--epochs must be a whole number, got True"),
        ({"epochs": None}, "--epochs must be a whole number, got None"),
        ({"learning_rate": "fast"}, "--learning-rate must be a finite number, got 'fast'"),
        ({"header": "no"}, "header must be true or false, got 'no'"),
        ({"header": 0}, "header must be true or false, got 0"),
        ({"good_accuracy": "high"}, "good_accuracy must be a finite number, got 'high'"),
        ({"test_rows": 1.5}, "test_rows must be a whole number, got 1.5"),
        ({"model": None}, "--model must be text, got None"),
        ({"text": 5}, "--text must be text, got 5"),
        ({"delimiter": 5}, "--delimiter must be text, got 5"),
        ({"class_weight": ["none"]}, "--class-weight must be text, got ['none']"),
        ({"device": 0}, "--device must be text, got 0"),
        ({"threads": 1.5}, "--threads must be a whole number, got 1.5"),
        ({"seed": "0"}, "--seed must be a whole number, got '0'"),
    ],
    ids=str,
)
def test_value_of_the_wrong_kind_is_a_sentence(options, sentence):
    with pytest.raises(UsageError) as refused:
        Settings.from_options(options)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("rate", [1e-6, 5e-5, 1e-3])
def test_learning_rates_up_to_the_limits_are_taken(rate):
    assert Settings.from_options({"learning_rate": rate}).training.learning_rate == rate


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices_are_taken(device):
    assert Settings.from_options({"device": device}).machine.device == device


@pytest.mark.parametrize(
    ("name", "nearest"), [("epoch", "epochs"), ("lerning_rate", "learning_rate"), ("text_pairs", "text_pair")]
)
def test_unknown_name_offers_the_nearest(name, nearest):
    with pytest.raises(UsageError, match=f"there is no setting '{name}'; did you mean '{nearest}'?"):
        Settings.from_options({name: 1})


def test_unknown_name_like_no_other_says_where_the_settings_are_listed():
    with pytest.raises(UsageError) as refused:
        Settings.from_options({"xyzzy": 1})
    assert str(refused.value) == "there is no setting 'xyzzy' (see surefit train --help, and Settings in README.md)"


@pytest.mark.parametrize(("options", "said"), [({"good_recall": 1.5}, "from 0 to 1, got 1.5"), ({"test_rows": 0}, "1 or more")])
def test_limit_of_the_verdict_out_of_range_is_called_as_in_the_file(options, said):
    with pytest.raises(UsageError, match=f"^{next(iter(options))} must be {said}"):
        Settings.from_options(options)


def test_settings_of_a_file_stand_alone_or_in_the_table_of_their_group(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("seed = 7\nepochs = 1\n[verdict]\ngood_accuracy = 0.9\n[training]\nbatch_size = 8\n")
    assert options_of_file(path) == {"seed": 7, "epochs": 1, "good_accuracy": 0.9, "batch_size": 8}
    path.write_text("[model]\nmodel = 'here'\nmax_length = 64\n")  # the group has the name of a setting
    assert options_of_file(path) == {"model": "here", "max_length": 64}
    path.write_text("model = 'here'\n")
    assert options_of_file(path) == {"model": "here"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[training]\ngood_accuracy = 0.9", "good_accuracy stands in [training] and belongs to [verdict]"),
        ("[training]\nseed = 1", "seed stands in [training] and belongs to no table: set it before the first one"),
        ("[trainin]\nepochs = 1", "there is no table [trainin]; did you mean [training]?"),
        ("[xyzzy]\nepochs = 1", "there is no table [xyzzy]; the tables are [read], [split], [model], [training], "),
    ],
)
def test_a_table_or_a_setting_out_of_place_is_refused(content, said, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as refused:
        options_of_file(path)
    assert str(refused.value).startswith(f"--config {path}: {said}")


def test_an_unknown_setting_of_a_table_offers_the_nearest(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("[training]\nepoch = 1")
    with pytest.raises(UsageError, match=r"there is no setting 'epoch'; did you mean 'epochs'\?"):
        Settings.from_options(options_of_file(path))


@pytest.mark.parametrize("name", ["read", "split", "training", "machine"])
def test_groups_are_no_settings_themselves(name):
    with pytest.raises(UsageError, match=f"there is no setting '{name}'"):
        Settings.from_options({name: {}})


def test_options_reach_their_groups():
    settings = Settings.from_options(
        {"text": "review", "test_size": 0.3, "head": "sigmoid", "epochs": 2, "threads": 1, "seed": 7}
    )
    assert (settings.read.text, settings.split.test_size, settings.model.head) == ("review", 0.3, "sigmoid")
    assert (settings.training.epochs, settings.machine.threads, settings.seed) == (2, 1, 7)
    assert settings.training.batch_size == TrainingSettings().batch_size


def test_a_smaller_container_knows_its_own_settings_only():
    Reading = dataclasses.make_dataclass("Reading", [("read", ReadSettings, ReadSettings())])  # noqa: N806
    assert build_groups(Reading, {"quote": "none"}) == Reading(ReadSettings(quote="none"))
    with pytest.raises(UsageError, match="there is no setting 'epochs'"):
        build_groups(Reading, {"epochs": 1})


def test_numbers_of_numpy_and_paths_become_plain_values():
    settings = Settings.from_options({"epochs": np.int64(2), "weight_decay": np.float32(0.5), "model": Path("models") / "bert"})
    assert (settings.training.epochs, type(settings.training.epochs)) == (2, int)
    assert (settings.training.weight_decay, type(settings.training.weight_decay)) == (0.5, float)
    assert settings.model.model == str(Path("models") / "bert")


@pytest.mark.parametrize(("name", "character"), [("tab", "\t"), ("\\t", "\t"), ("comma", ","), ("pipe", "|"), (";", ";")])
def test_delimiters_have_names(name, character):
    assert ReadSettings(delimiter=name).delimiter == character


def test_quote_and_delimiter_must_differ():
    with pytest.raises(UsageError, match="--quote and --delimiter must differ"):
        ReadSettings(delimiter="|", quote="|")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_setting_is_documented(group):
    assert all(len(describe(group, slot.name)) > 20 for slot in dataclasses.fields(group))


def test_describing_what_is_no_setting_is_an_error():
    with pytest.raises(KeyError, match="nothing"):
        describe(ReadSettings, "nothing")


def test_names_of_settings_are_unique_over_all_groups():
    names = [slot.name for group in GROUPS for slot in dataclasses.fields(group)] + ["seed"]
    assert len(names) == len(set(names))


def test_settings_as_dictionaries_hold_every_group_and_value():
    content = Settings().to_dict()
    assert set(content) == {"read", "split", "model", "training", "decision", "evidence", "verdict", "machine", "seed"}
    assert content["training"] == vars(TrainingSettings())
