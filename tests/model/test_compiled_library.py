"""The compiled loops are there where they can be, and nowhere else; and they share torch's threads."""

from __future__ import annotations

import copy
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_twins import SIZES, ragged_batch

import surefit
from processor import HAS_AVX512, needs_compiled_loops
from surefit.model.classifier import Classifier
from surefit.model.hardware import Hardware
from surefit.model.kernels import library
from surefit.types import SINGLE_LABEL, LabelSchema

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "surefit" / "model" / "kernels"
EXTENSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["ext-modules"][0]
WITH_LOOPS = Hardware(torch.device("cpu"), "fp32", 1, compiled_loops=True)

FIND = "from surefit.model.kernels.library import library; print(library() is not None)"
PREDICT = """
import torch
from surefit.model.kernels import library
torch.set_num_threads(4)
values = torch.linspace(-9, 9, 2**16)
torch.exp(values)
into = torch.empty_like(values)
library.call("surefit_activate")(values.data_ptr(), 0, len(values), 0, into.data_ptr(), library.team(len(values)))
assert (into - torch.nn.functional.gelu(values)).abs().max() < 1e-5
"""


def output_of(program: str, package: Path = ROOT / "src", **environment: str) -> str:
    """What a program prints that runs in a process of its own."""
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(package)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.strip()


def compiler_takes_the_flags() -> bool:
    """Whether the compiler that extensions are built with is there and knows what ours ask of it."""
    compiler = os.environ.get("CXX") or sysconfig.get_config_var("CXX")
    if not compiler or not shutil.which(compiler.split()[0]):
        return False
    command = [*compiler.split(), *EXTENSION["extra-compile-args"], "-fPIC", "-shared", "-x", "c++", "-", "-o", os.devnull]
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False).returncode == 0


@pytest.mark.skipif(
    not (ROOT / ".venv" / "installed").exists() or Path(sys.prefix) != ROOT / ".venv", reason="not installed by make"
)
@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="the loops are for x86-64 and Linux")
def test_loops_are_built_where_a_compiler_is_found_and_taken_where_the_processor_can():
    if not compiler_takes_the_flags():
        pytest.skip("no compiler for the loops")
    assert list(SOURCES.glob("_avx512*.so")), "`make` has not built the loops: pip install --verbose --editable . shows why"
    assert (library.library() is not None) == HAS_AVX512


def test_sources_that_are_there_are_those_that_are_built():
    assert sorted(EXTENSION["sources"]) == sorted(str(path.relative_to(ROOT)) for path in SOURCES.glob("*.cpp"))
    assert sorted(EXTENSION["depends"]) == sorted(str(path.relative_to(ROOT)) for path in SOURCES.glob("*.h"))


def test_the_version_is_raised_with_each_change_of_the_sources():
    """Else a library that was built before would go on computing what it did."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h")]):
        digest.update(path.read_bytes())
    assert (library.VERSION, digest.hexdigest()) == (4, "af928c26e4140513"), "raise VERSION in forms.h and library.py"


@needs_compiled_loops
def test_they_run_on_torch_s_own_threads():
    """A second OpenMP runtime would start as many threads again, which get in each other's way."""
    show = "print(*{line.split()[-1] for line in open('/proc/self/maps') if '/lib' in line}, sep='\\n')"
    mapped = map(Path, output_of(PREDICT + show).splitlines())
    runtimes = [path for path in mapped if re.match(r"lib[gi]?omp\d*\b", path.name)]
    assert [path.is_relative_to(Path(torch.__file__).parent) for path in runtimes] == [True], runtimes


@needs_compiled_loops
def test_fewer_threads_than_asked_for_are_enough():
    output_of(PREDICT, OMP_THREAD_LIMIT="2")


@needs_compiled_loops
def test_torch_s_own_switch_turns_them_off():
    assert output_of(FIND, ATEN_CPU_CAPABILITY="avx2") == "False"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Directory of a copy of SureFit with the loops, where they were built."""
    shutil.copytree(Path(surefit.__file__).parent, tmp_path / "surefit", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@needs_compiled_loops
def test_loops_built_from_other_sources_are_left_alone(package: Path):
    assert output_of(FIND, package) == "True"
    file = package / "surefit" / "model" / "kernels" / "library.py"
    source = file.read_text(encoding="utf-8")
    assert f"\nVERSION = {library.VERSION}\n" in source
    file.write_text(
        source.replace(f"\nVERSION = {library.VERSION}\n", f"\nVERSION = {library.VERSION + 1}\n"), encoding="utf-8"
    )
    assert output_of(FIND, package) == "False"


def test_files_that_are_no_libraries_are_left_alone(package: Path):
    kernels = package / "surefit" / "model" / "kernels"
    for built in kernels.glob("_avx512*.so"):
        built.unlink()
    for name, content in {"empty": b"", "cut_short": b"\x7fELF", "text": b"no library"}.items():
        (kernels / f"_avx512.{name}.so").write_bytes(content)
    assert output_of(FIND, package) == "False"


def prepared(hardware: Hardware, *, plain: bool = False, **changes: Any) -> Classifier:
    config = {"model_type": "bert", **SIZES, "num_attention_heads": 2, **changes}
    classifier = Classifier(LabelSchema(SINGLE_LABEL, ("a", "b")), "softmax", config)
    classifier.prepare(hardware, plain=plain)
    return classifier


@needs_compiled_loops
@pytest.mark.parametrize(
    ("sizes", "fitting"),
    [
        ({}, True),
        ({"hidden_size": 192, "num_attention_heads": 12, "hidden_act": "silu"}, True),
        ({"num_attention_heads": 4}, False),  # heads of width 8
        ({"hidden_size": 40, "num_attention_heads": 1}, False),
        ({"intermediate_size": 72}, False),
    ],
    ids=str,
)
def test_they_are_taken_where_all_widths_are_multiples_of_sixteen(sizes: dict[str, Any], fitting: bool):
    assert prepared(WITH_LOOPS, **sizes).compiled == fitting


@needs_compiled_loops
def test_they_are_taken_only_where_they_were_chosen():
    assert not prepared(replace(WITH_LOOPS, compiled_loops=False)).compiled
    assert not prepared(WITH_LOOPS, plain=True).compiled
    classifier = prepared(WITH_LOOPS)
    assert copy.deepcopy(classifier).compiled
    classifier.prepare(replace(WITH_LOOPS, compiled_loops=False))
    assert not classifier.compiled


@needs_compiled_loops
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_classifier_says_the_same_with_them_and_without(precision: str):
    batch = ragged_batch([40, 33, 9, 9, 7, 1])
    classifier = prepared(replace(WITH_LOOPS, precision=precision))
    with torch.no_grad():
        found = classifier(batch)
        classifier.prepare(Hardware(torch.device("cpu"), precision, 1))
        expected = classifier(batch)
    difference = (found - expected).abs().max()
    assert 0 < difference < (1e-5 if precision == "fp32" else 0.05), "they add in another order"
