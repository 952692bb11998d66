"""Going on with a run: with its own settings, its own data and the choices it made by measuring."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefit.artifacts import RunDirectory, read_own_json
from surefit.config import MachineSettings, Settings
from surefit.errors import RunError
from surefit.model.hardware import Hardware, choose_hardware
from surefit.progress import Progress
from surefit.runs.sources import Sources


def resumed_settings(run: RunDirectory, options: Mapping[str, Any]) -> Settings:
    """The settings that the run was begun with; those given again must agree with them.

    Args:
        run: the run to go on with.
        options: settings given this time, by their flat names.

    Raises:
        RunError: a setting given now differs from the run's, or `settings.json` is damaged.
        UsageError: a setting given now is unknown or out of range.
    """
    stored = flat_settings(_facts(run, "settings"))
    given = flat_settings(Settings.from_options(options).to_dict())
    for name in options:
        if name in stored and stored[name] != given[name]:
            flag = "--" + name.replace("_", "-")
            before = f"without {flag}" if stored[name] is None else f"with {flag} {stored[name]}"
            raise RunError(f"{run.path} was begun {before}, now {given[name]} is asked for; resume without {flag}")
    return Settings.from_options(stored)


def resumed_hardware(run: RunDirectory, settings: MachineSettings) -> Hardware:
    """What to compute on, with the threads, the precision and the loops that the run chose when it began.

    Args:
        run: the run to go on with.
        settings: those that it was begun with.

    Raises:
        UsageError: this machine does not have the device.
    """
    chosen = _facts(run, "machine")
    same = {name: chosen[name] for name in ("threads", "precision") if name in chosen}
    hardware = choose_hardware(dataclasses.replace(settings, **same))
    return dataclasses.replace(hardware, compiled_loops=hardware.compiled_loops and chosen.get("compiled_loops") is True)


def resumed_model(run: RunDirectory) -> str:
    """The pretrained model that the run began with, with its version where it came from the hub.

    Raises:
        RunError: `settings.json` is damaged.
    """
    found = read_own_json(run.settings, "start a new run with --run").get("base_model")
    if not isinstance(found, str) or not found:
        raise RunError(f"{run.settings} has no 'base_model'; it is damaged: start a new run with --run")
    return found


def require_same_run(run: RunDirectory, facts: Mapping[str, Any], progress: Progress) -> None:
    """Makes sure that a resumed run goes on with what it began with.

    Args:
        run: the run to go on with.
        facts: what `settings.json` would say today.
        progress: told what keeps the result from being exactly that of an uninterrupted run.

    Raises:
        RunError: the data, the classes, the costs or the pretrained model are not those that the run began with.
    """
    stored = read_own_json(run.settings, "start a new run with --run") | {
        name: _facts(run, name) for name in ("versions", "machine")
    }
    if set(_facts(run, "data")) != set(facts["data"]):
        raise RunError(f"the run {run.path} was begun with other --validation and --test files; resume with the same ones")
    if stored.get("data") != facts["data"]:
        raise RunError(f"the data have changed since the run {run.path} began; start a new run with --run")
    if any(stored.get(name) != facts[name] for name in ("base_model", "base_weights_sha256")):
        raise RunError(
            f"the model {facts['base_model']} is not the one that the run {run.path} began with; start a new run with --run"
        )
    if stored.get("costs") != facts["costs"]:
        raise RunError(f"the table of --costs has changed since the run {run.path} began; start a new run with --run")
    if stored.get("split_sha256") != facts["split_sha256"]:
        raise RunError(
            f"the rows would be split otherwise than when the run {run.path} began: its settings, or what is known of the "
            "texts that an earlier run has seen, have changed; start a new run with --run"
        )
    changed = [key for name in ("versions", "machine") for key, value in facts[name].items() if stored[name].get(key) != value]
    if changed:
        names = ", ".join(changed).replace("_", " ")
        progress.note(f"resuming will not be exact: {names} changed since the run began")


def resume_command(sources: Sources, run: RunDirectory) -> str:
    """What to type to go on with a run; settings need not be given again."""
    if not all(isinstance(source, str | Path) for source in (sources.data, *map(sources.of, sources.given))):
        return f"surefit.train(..., run={str(run.path)!r}, resume=True) with the same frames"
    files = [str(sources.data)]
    for name in sources.given:
        files += [f"--{name}", str(sources.of(name))]
    return shlex.join(["surefit", "train", *files, "--run", str(run.path), "--resume"])


def flat_settings(nested: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of all groups under their own names."""
    groups = {slot.name for slot in dataclasses.fields(Settings) if dataclasses.is_dataclass(slot.default)}
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if name in groups and not isinstance(value, dict):
            raise RunError(f"the settings of {name!r} in settings.json are damaged: start a new run with --run")
        flat |= value if name in groups else {name: value}
    return flat


def _facts(run: RunDirectory, name: str) -> dict[str, Any]:
    found = read_own_json(run.settings, "start a new run with --run").get(name)
    if not isinstance(found, dict):
        raise RunError(f"{run.settings} has no {name!r}; it is damaged: start a new run with --run")
    return found
