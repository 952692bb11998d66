"""The README's file tree, verbs and commands are true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from surefit.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "surefit"


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0].rstrip(".")


def file_tree() -> str:
    """One line a room and a file, each with the first line of its docstring."""
    lines = ["src/surefit/"]
    modules = sorted(path for path in SOURCE.glob("*.py") if path.name != "__init__.py")
    rooms = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
    lines += [f"  {path.name:<21}{first_line(path)}" for path in modules]
    for room in rooms:
        lines.append(f"  {room.name + '/':<21}{first_line(room / '__init__.py')}")
        lines += [f"    {path.name:<19}{first_line(path)}" for path in sorted(room.glob("*.py")) if path.name != "__init__.py"]
    return "\n".join(lines)


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
