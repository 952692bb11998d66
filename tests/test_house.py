"""The house rules: which room may import which, what is loaded when, and what is never done."""

import ast
import importlib.util
import inspect
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import surefit

SOURCE = Path(surefit.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# A room is a package or a module of src/surefit; a new one gets its level here.
LEVELS = {
    room: level
    for level, rooms in enumerate(
        [
            "errors types config trace artifacts csv_files normalization printable progress interruption",
            "data text decision",
            "evaluation",
            "model",
            "training inference report",
            "export runs",
            "server",
            "sklearn distributed",
            "cli",
            "__main__",
        ]
    )
    for room in rooms.split()
}
TORCH_BEGINS = LEVELS["model"]
HEAVY = {"torch", "transformers", "pandas", "sklearn"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
MOST_LINES = 400


def module_name(file):
    return ".".join(("surefit", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(file) for file in FILES}


def room_of(module):
    """The room that a module of surefit belongs to; the top package itself is no room."""
    return module.split(".")[1] if "." in module else ""


def imported_names(tree, package):
    """Dotted names that a file imports anywhere, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node).rpartition(".")[2] in ("import_module", "__import__"):
            yield from (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))


def called(call):
    """Dotted name of what is called, as far as it is written out."""
    return ast.unparse(call.func)


def module_behind(name):
    """The module of surefit that a dotted name comes from: public names lead to their home."""
    parts = name.split(".")
    if len(parts) == 2 and parts[1] in surefit._HOMES:
        return surefit._HOMES[parts[1]]
    while ".".join(parts) not in MODULES and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def imports_within(tree, module, package):
    """Modules of surefit that a file imports, without itself and the top package."""
    names = {module_behind(name) for name in imported_names(tree, package) if name.split(".")[0] == "surefit"}
    return names - {module, "surefit"}


def may_import(room, other):
    if room == other or LEVELS[room] == LEVELS[other] == 0:
        return True
    return LEVELS[other] < LEVELS[room]


def trespasses(tree, module, package):
    """Modules that a file imports and may not."""
    return sorted(name for name in imports_within(tree, module, package) if not may_import(room_of(module), room_of(name)))


def unsafe_uses(tree):
    """Imports and calls that could run code from a file."""
    yield from (name for name in imported_names(tree, "surefit") if name.split(".")[0] in UNSAFE_MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if called(node) in ("eval", "exec", "torch.load"):
                yield called(node)
            for keyword in node.keywords:
                refused = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("trust_remote_code", "allow_pickle") and not refused:
                    yield keyword.arg


def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def package_of(file):
    name = module_name(file)
    return name if file.name == "__init__.py" else name.rpartition(".")[0]


rooms = [file for file in FILES if module_name(file) != "surefit"]
each_file = pytest.mark.parametrize("file", rooms, ids=module_name)


def test_every_room_has_a_level():
    assert {room_of(module_name(file)) for file in rooms} <= set(LEVELS)


@each_file
def test_imports_go_down_or_stay_in_the_room(file):
    assert trespasses(parsed(file), module_name(file), package_of(file)) == []


def test_no_import_cycles():
    graph = {module_name(file): imports_within(parsed(file), module_name(file), package_of(file)) for file in rooms}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import surefit.text.packing", ["surefit.text.packing"]),
        ("def f():\n    from surefit.text import packing", ["surefit.text.packing"]),
        ("from surefit import load", ["surefit.inference.classifier"]),
        ("from ..text.packing import pack", ["surefit.text.packing"]),
        ("import_module('surefit.text.packing')", ["surefit.text.packing"]),
        ("from surefit import __version__", []),
        ("from surefit.types import Examples", []),
        ("from surefit.data.clean import clean\nimport numpy", []),
    ],
)
def test_walk_finds_imports_of_a_neighbour_however_they_are_written(source, found):
    assert trespasses(ast.parse(source), "surefit.data.split", "surefit.data") == found


def test_top_package_imports_lazily():
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    for_checkers = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    eager = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and node not in for_checkers]
    assert {name.split(".")[0] for node in eager for name in imported_names(node, "surefit")} <= sys.stdlib_module_names


@each_file
def test_torch_begins_in_model(file):
    if LEVELS[room_of(module_name(file))] < TORCH_BEGINS:
        loaded = {name.split(".")[0] for name in imported_names(parsed(file), package_of(file))}
        assert not loaded & {"torch", "transformers"}


@pytest.mark.parametrize("module", ["surefit", "surefit.__main__", "surefit.cli.main"])
def test_importing_the_door_loads_nothing_heavy(module):
    show = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "", "")


def test_public_list_is_what_resolves():
    assert set(surefit.__all__) == {*surefit._HOMES, "__version__"} == set(dir(surefit))
    assert len(set(surefit.__all__)) == len(surefit.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        surefit.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", surefit.__all__)
def test_public_name_resolves_and_is_documented(name):
    value = getattr(surefit, name)
    if name == "__version__":
        assert value[0].isdigit()
    else:
        assert value.__name__ == name
        assert inspect.cleandoc(value.__doc__ or "")


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_nothing_runs_code_from_files(file):
    assert list(unsafe_uses(parsed(file))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "eval(text)",
        "exec(text)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=flag)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_unsafe_uses_are_found(source):
    assert len(list(unsafe_uses(ast.parse(source)))) == 1


def test_harmless_look_alikes_are_not_found():
    source = "model.eval()\nAutoModel.from_pretrained(name, trust_remote_code=False)\nsafetensors.torch.load_file(path)"
    assert list(unsafe_uses(ast.parse(source))) == []


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_files_stay_readable_in_length(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
