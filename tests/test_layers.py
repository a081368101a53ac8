"""Imports point one way: a file imports only from floors below its own, or from its own package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import polypath

ROOT = Path(polypath.__file__).parent
FLOORS = [
    {"credentials"},
    {"errors"},
    {
        "checks",
        "executor",
        "old_keys",
        "presets",
        "settings",
        "terminal",
        "torch_later",
        "user_code",
        "yaml_file",
    },
    {"objectives", "metrics", "verify", "similarity", "rollouts"},
    {"tasks"},
    {"sampling"},
    {"rehearsal"},
    {"core"},
    {"engines", "report"},
    {"train", "plan"},
    {"studies"},
    {"cli"},
    {"__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
TORCH_FREE = ["metrics", "report", "rollouts"]


def own_floor(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


# The package's own __init__ offers names of every floor, lazily; nothing imports from it (see below).
# What ships among the assets is copied and run by users, and is no part of the package.
FILES = [
    path for path in sorted(ROOT.rglob("*.py")) if own_floor(path) not in ("__init__", "assets")
]


def imported(source: str, package: list[str]) -> set[str]:
    """Full names of everything imported, anywhere in the source; ``package`` resolves dots.

    Of a plain ``import polypath`` it is the attributes used that count.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name != "polypath" or a.asname}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "polypath":
            names.add(f"polypath.{node.attr}")
    return names - {"polypath.__version__"}


def faults(source: str, path: Path) -> list[str]:
    here = own_floor(path)
    package = ["polypath", *path.relative_to(ROOT).parent.parts]
    found = []
    for name in sorted(imported(source, package)):
        parts = name.split(".")
        if parts[0] == "polypath" and parts[1:2] != [here]:
            there = FLOOR.get(parts[1]) if len(parts) > 1 else None
            if there is None or there >= FLOOR[here]:
                found.append(name)
    return found


def test_every_module_has_a_floor():
    assert {own_floor(path) for path in FILES} <= set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    assert faults(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ("from polypath.errors import ConfigError", True),
        ("from polypath.metrics.other import f", True),
        ("from . import other", True),
        ("from ..errors import ConfigError", True),
        ("import numpy as np", True),
        ("from polypath.verify import verdict", False),
        ("def f():\n    from polypath.engines import trl", False),
        ("import polypath.report.html", False),
        ("from polypath import objectives", False),
        ("from ..objectives import dra", False),
        ("import polypath\nprint(polypath.__version__)", True),
        ("import polypath\npolypath.tasks.get_task", False),
        ("import polypath as p", False),
        ("from polypath import DiversityGRPOConfig", False),
    ],
)
def test_the_test_itself_sees_imports_in_every_spelling(line, ok):
    assert (faults(line, ROOT / "metrics" / "example.py") == []) is ok


def test_the_package_and_its_numpy_parts_import_without_torch():
    modules = ["polypath"] + [
        ".".join(["polypath", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(
            ".__init__"
        )
        for path in FILES
        if own_floor(path) in TORCH_FREE and path.name != "__main__.py"
    ]
    assert {name.split(".")[1] for name in modules[1:]} == set(TORCH_FREE)
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name + ' imports torch'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def module_graph() -> dict[str, set[str]]:
    """Which modules of the package each one imports, for type checking only included."""
    files = {
        ".".join(["polypath", *p.relative_to(ROOT).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): p
        for p in [ROOT / "__init__.py", *FILES]
    }
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        package = ["polypath", *path.relative_to(ROOT).parent.parts]
        graph[name] = set()
        for found in imported(path.read_text(encoding="utf-8"), package):
            while found and found not in files:  # a name in a module, or in something foreign
                found = found.rpartition(".")[0]
            graph[name] |= {found} - {"", name}
    return graph


def in_cycles(graph: dict[str, set[str]]) -> set[str]:
    """What is left when all that imports nothing left, or is imported by nothing left, is taken away."""
    left = set(graph)
    while True:
        imported_by_left = {there for name in left for there in graph[name]}
        kept = {name for name in left & imported_by_left if graph[name] & left}
        if kept == left:
            return left
        left = kept


def test_no_modules_import_each_other_in_a_circle():
    assert sorted(in_cycles(module_graph())) == []


def test_no_two_classes_have_one_name():
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("graph", "cycles"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}, {"a", "b"}),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, {"a", "b", "c"}),
    ],
)
def test_circles_are_found(graph, cycles):
    assert in_cycles(graph) == cycles
