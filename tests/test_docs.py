"""The pages in docs say what is so: names that exist, levels, reasons, columns, endings, files."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from surefit.artifacts import RunDirectory
from surefit.data import clean, columns, read, reasons
from test_house import LEVELS

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs" / "file-formats.md").read_text(encoding="utf-8")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code_in(text: str) -> set[str]:
    """What stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def section(page: str, title: str) -> str:
    """The part of a page under a title."""
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def resolve(name: str) -> object:
    """The object of a dotted name of surefit."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@each_page
def test_dotted_names_exist(page: Path) -> None:
    for name in code_in(page.read_text(encoding="utf-8")):
        if re.fullmatch(r"surefit(\.\w+)+", name) and not name.endswith(".json"):
            assert resolve(name) is not None


@each_page
def test_files_named_or_linked_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
    for name in code_in(text):
        if re.match(r"(tests|src|docs|benchmarks)/[\w/.-]+$", name):
            assert (ROOT / name).exists(), name


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) - {"are"}
    assert "test" in targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_levels_are_those_of_the_house() -> None:
    rows = re.findall(r"^\| (\d) [^|]*\| ([^|]*) \|", section(ARCHITECTURE, "The house"), re.MULTILINE)
    said = {room: int(level) for level, rooms in rows for room in code_in(rooms)}
    source = ROOT / "src" / "surefit"
    rooms = {path.stem for path in source.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}
    assert said == {room: LEVELS[room] for room in rooms}


def test_every_file_of_a_run_is_described() -> None:
    said = code_in(section(ARCHITECTURE, "The run directory"))
    for entry in RunDirectory(Path("RUN")).entries:
        assert {entry.name, f"{entry.name}/"} & said, entry


def test_every_reason_is_explained() -> None:
    said = code_in(section(FORMATS, "Why a record is rejected"))
    phrases = {value for name, value in vars(reasons).items() if name.isupper()}
    assert phrases | {clean.SMALL_CLASS} == {name for name in said if not name.startswith("--")}


def test_column_names_and_endings_are_all_listed() -> None:
    said = code_in(section(FORMATS, "Columns"))
    assert said >= {*columns.TEXT_NAMES, *columns.LABEL_NAMES}
    endings = {*read._DELIMITED, *read._JSONL, *read._PARQUET, *read._EXCEL}
    listed = {name for name in code_in(FORMATS.split("\n## ")[0]) if name.startswith(".")}
    assert listed == endings
