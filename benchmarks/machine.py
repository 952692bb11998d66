"""What a figure was measured on: the machine, its speed, the versions and the code, to stand beside the figure."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import surefit
from surefit.model.kernels.library import library_sha256

_PACKAGES = (
    "surefit",
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "typer",
    "rich",
)
# Instructions that decide how fast bf16, int8 and fp32 products are.
_FLAGS = ("amx_tile", "amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx512f", "avx2")
# Side of the square matrices whose product is the measure of what the machine can do.
_PEAK_SIDE = 2048


def describe_machine() -> dict[str, Any]:
    """Processor, memory in GiB, GPU, threads, compiled loops (empty where there are none) and versions, as plain values."""
    information = _processor_information()
    flags = information.get("flags", "").split()
    return {
        "system": platform.platform(),
        "processor": information.get("model name") or platform.processor(),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "compiled_loops_sha256": library_sha256(),
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def code_digest() -> str:
    """Twelve hexadecimal digits that change with SureFit's source code, and with whether there are compiled loops of it."""
    root = Path(surefit.__file__).parent
    digest = hashlib.blake2b(library_sha256().encode(), digest_size=6)
    for path in sorted(path for path in root.rglob("*") if path.suffix in (".py", ".cpp", ".h")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def record(results: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Appends figures as one line of JSON, with the time, the code and the machine, and returns the line."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"when": now, **entry, "code": code_digest(), "machine": describe_machine()}
    results.parent.mkdir(parents=True, exist_ok=True)
    with open(results, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return line


def peak_flops() -> float:
    """Floating-point operations per second of one bf16 product of 2,048-square matrices, the fastest of a few."""
    matrix = torch.randn(_PEAK_SIDE, _PEAK_SIDE).bfloat16()
    into = torch.empty_like(matrix)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=into)
        times.append(time.perf_counter() - start)
    return 2 * _PEAK_SIDE**3 / min(times)


def absent(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _processor_information() -> dict[str, str]:
    """The first processor's entry in /proc/cpuinfo; empty where there is no such file."""
    try:
        entry = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    fields = (line.partition(":") for line in entry.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
