"""Help pages: every flag there, quickly."""

import dataclasses
import re
import subprocess
import sys

import pytest
from surefit_command import PROGRAM, run_here, run_program

from surefit.config import Settings

WIDE = {"COLUMNS": "200"}
COLUMNS = {"--text", "--text-pair", "--label", "--id"}
FILE = {"--encoding", "--delimiter", "--quote", "--no-header", "--sheet"}
MACHINE = {"--device", "--threads", "--precision"}
FLAGS = {
    "train": COLUMNS
    | FILE
    | MACHINE
    | {"--validation", "--test", "--run", "--resume", "--overwrite", "--model", "--head", "--min-rows-per-class"}
    | {
        "--validation-size",
        "--test-size",
        "--seed",
        "--epochs",
        "--learning-rate",
        "--batch-size",
        "--max-length",
        "--checkpoint-every",
    }
    | {"--group", "--time", "--positive", "--min-precision", "--min-recall", "--best-f1", "--max-error", "--costs"}
    | {"--seeds", "--learning-curve", "--require", "--config", "--json", "--quiet"},
    "audit": COLUMNS | FILE | {"--model", "--max-length", "--rejected", "--json", "--quiet"},
    "evaluate": COLUMNS | FILE | MACHINE | {"--rejected", "--json", "--quiet"},
    "predict": (COLUMNS - {"--label"}) | FILE | MACHINE | {"--input", "--output", "--json", "--quiet"},
    "trace": MACHINE | {"--text-pair", "--json"},
    "report": {"--output", "--json"},
}
HEAVY = {"torch", "transformers", "pandas", "sklearn", "pyarrow", "numpy", "scipy", "tokenizers"}


def flags_shown(page):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", page))


def test_program_help_names_every_verb():
    outcome = run_here("--help")
    assert outcome.status == 0
    assert outcome.err == ""
    for verb in FLAGS:
        assert re.search(rf"^. {verb} ", outcome.out, re.MULTILINE), verb


@pytest.mark.parametrize("verb", FLAGS)
def test_verb_help_shows_its_flags(verb):
    outcome = run_here(verb, "--help", environment=WIDE)
    assert outcome.status == 0
    assert flags_shown(outcome.out) >= FLAGS[verb]


def test_every_setting_has_a_flag_and_its_own_words_as_help():
    page = " ".join(run_here("train", "--help", environment={"COLUMNS": "400"}).out.split())
    groups = [slot.default for slot in dataclasses.fields(Settings) if dataclasses.is_dataclass(slot.default)]
    for setting in [setting for group in groups for setting in dataclasses.fields(group)]:
        has_flag = f"--{setting.name.replace('_', '-')} " in page
        assert has_flag == setting.metadata["flag"]  # errors name the flag, or else the setting
        assert not has_flag or setting.metadata["help"] in page


@pytest.mark.parametrize("variable", ["COLUMNS", "TERMINAL_WIDTH"])
@pytest.mark.parametrize("columns", [30, 50])
@pytest.mark.parametrize("verb", FLAGS)
def test_help_on_a_narrow_terminal_shows_each_flag_in_full(verb, columns, variable):
    outcome = run_program(verb, "--help", environment={variable: str(columns)})
    assert outcome.status == 0
    assert max(map(len, outcome.out.splitlines())) <= columns
    assert flags_shown(outcome.out) >= FLAGS[verb] | {"--help"}


@pytest.mark.parametrize("columns", range(55, 81, 5))
def test_help_cuts_no_flag_at_any_width(columns):
    wide, page = (run_here("train", "--help", environment={"COLUMNS": str(width)}).out for width in (200, columns))
    assert max(map(len, page.splitlines())) <= columns
    assert flags_shown(page) == flags_shown(wide)


def test_no_verb_shows_the_help_and_is_bad_usage():
    outcome = run_here()
    assert outcome.status == 2
    assert "Usage: surefit" in outcome.out
    assert outcome.err == "error: no verb is given (see surefit --help)\n"


def test_version_is_that_of_the_package():
    from surefit import __version__

    assert run_here("--version").out == f"surefit {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    command = [sys.executable, "-X", "importtime", PROGRAM, *arguments]
    imports = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in imports.splitlines()}
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_the_installed_program_answers():
    outcome = run_program("--version")
    assert outcome.status == 0
    assert outcome.err == ""
