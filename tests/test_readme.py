"""The README's file tree, verbs and commands are true."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from surefit.cli.main import app
from surefit.config import Settings, VerdictSettings, options_of_file

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "surefit"


def first_line(path: Path) -> str:
    """The first line of a module's docstring, or the first sentence of the comment that a C++ file begins with."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0].rstrip(".")
    comment = " ".join(re.sub(r"^ \* ?", "", text[: text.index("*/")].removeprefix("/* "), flags=re.MULTILINE).split())
    return re.split(r"\.(?: (?=[A-Z])|$)", comment)[0]


def entries(folder: Path, indent: str) -> Iterator[tuple[str, str]]:
    """Name and first line of each file of a folder, then the same of each folder in it."""
    for path in sorted(path for ending in ("py", "cpp", "h") for path in folder.glob(f"*.{ending}")):
        if path.name != "__init__.py":
            yield indent + path.name, first_line(path)
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield f"{indent}{inner.name}/", first_line(inner / "__init__.py")
        yield from entries(inner, indent + "  ")


def file_tree() -> str:
    """One line a room and a file, each with the first line of what it says of itself."""
    found = list(entries(SOURCE, "  "))
    width = max(len(name) for name, _ in found) + 2
    return "\n".join(["src/surefit/", *(f"{name:<{width}}{line}" for name, line in found)])


def test_file_tree_is_that_of_the_source() -> None:
    shown = re.search(r"```text\n(src/surefit/\n.*?)\n```", README, re.DOTALL)
    assert shown, "the README has no file tree"
    assert shown[1] == file_tree(), f"replace the README's tree by:\n{file_tree()}"


def test_every_verb_is_described() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"`surefit {command.callback.__name__}" in README


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(map("".join, re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, re.MULTILINE)))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_every_setting_is_listed_in_its_table() -> None:
    section = README.split("\n## Settings\n")[1].split("\n## ")[0]
    listed = {
        table: re.findall(r"`(\w+)`", names)
        for table, names in re.findall(r"^\| `\[(\w+)\]` \| (.*) \|$", section, re.MULTILINE)
    }
    groups = {slot.name: slot.default for slot in dataclasses.fields(Settings) if dataclasses.is_dataclass(slot.default)}
    assert listed == {
        name: [setting.name for setting in dataclasses.fields(group)] for name, group in groups.items() if name != "verdict"
    }
    for limit in dataclasses.fields(VerdictSettings):
        assert f"| `{limit.name}` | {limit.default:g} | {limit.metadata['help']} |" in section


def test_the_example_of_a_settings_file_holds_settings(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "settings.toml"
    file.write_text(example, encoding="utf-8")
    options = options_of_file(file)
    settings = Settings.from_options(options)
    assert (settings.seed, settings.training.epochs, settings.verdict.good_accuracy) == (1, 2, 0.9)
