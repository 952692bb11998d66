"""What a run was made with: data, versions, machine."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from surefit.artifacts import sha256_of
from surefit.model.hardware import Hardware
from surefit.model.kernels.library import library_sha256
from surefit.model.measured import processor_kind, processor_name
from surefit.model.pretrained import Pretrained
from surefit.runs.rows import PreparedRows
from surefit.runs.sources import Sources, source_name

_PACKAGES = ("surefit", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow", "scikit-learn")


def data_fingerprint(sources: Sources, rows: PreparedRows) -> dict[str, dict[str, Any]]:
    """Name, size and SHA-256 of each source; of a frame, the hash of the rows as read."""
    prints: dict[str, dict[str, Any]] = {}
    for name in ("train", *sources.given):
        source = sources.of(name)
        if isinstance(source, str | Path):
            path = Path(source)
            prints[name] = {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        else:
            digest = hashlib.sha256()
            for column in (rows.raw[name].ids, rows.raw[name].texts, rows.raw[name].text_pairs, rows.raw[name].labels):
                digest.update(repr(None if column is None else column.to_pylist()).encode())
            prints[name] = {"name": source_name(source), "rows": len(rows.raw[name]), "sha256": digest.hexdigest()}
    return prints


def weights_fingerprint(pretrained: Pretrained) -> str:
    """SHA-256 of the weights that a run starts from, those apart that the seed decides."""
    digest = hashlib.sha256()
    for name, tensor in sorted(pretrained.classifier.network.state_dict().items()):
        if name not in pretrained.new_parameters:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def split_fingerprint(rows: PreparedRows) -> str:
    """SHA-256 of which record of which source is in which split."""
    digest = hashlib.sha256()
    for name, part in rows.splits.items():
        digest.update(name.encode())
        digest.update(part.examples.records.tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the result."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine(hardware: Hardware) -> dict[str, Any]:
    """What the run is made on, and the choices that were made by measuring."""
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "processor_kind": processor_kind(),
        "cores": os.cpu_count(),
        "device": str(hardware.device),
        "device_name": torch.cuda.get_device_name(hardware.device) if hardware.device.type == "cuda" else "",
        "threads": hardware.threads,
        "precision": hardware.precision,
        "compiled_loops": hardware.compiled_loops,
        "compiled_loops_sha256": library_sha256() if hardware.compiled_loops else "",
    }
