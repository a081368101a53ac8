"""Sections of docstrings hold what the code has: parameters, fields, errors raised."""

import ast
import re
from pathlib import Path

import pytest

import polypath

ROOT = Path(polypath.__file__).parent
FILES = [path for name in ("report", "studies") for path in (ROOT / name).glob("*.py")]


def public(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """Return the public functions, classes and methods of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    found = [n for owner in (tree, *classes) for n in owner.body]
    return [
        node
        for node in found
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def section(node: ast.FunctionDef | ast.ClassDef, title: str) -> list[str]:
    """Return the names that a section of a docstring explains."""
    text = ast.get_docstring(node) or ""
    body = re.search(rf"^{title}:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    names = re.findall(r"^    (\*{0,2}\w[\w, ]*):", body[1], re.MULTILINE) if body else []
    return [name for joined in names for name in joined.split(", ")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sections_hold_what_the_code_has(path: Path) -> None:
    wrong: list[tuple[str, str, list[str]]] = []
    for node in public(path):
        assert ast.get_docstring(node), node.name
        if isinstance(node, ast.ClassDef):
            lines = [n for n in node.body if isinstance(n, ast.AnnAssign)]
            fields = {n.target.id for n in lines if isinstance(n.target, ast.Name)}
            told = section(node, "Attributes")
            if not fields <= set(told):
                wrong.append((node.name, "Attributes", sorted(fields - set(told))))
            continue
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [one.arg for one in given if one.arg not in ("self", "cls")]
        names += [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
        told = section(node, "Args")
        if told and told != names:
            wrong.append((node.name, "Args", told))
        raised = {
            ast.unparse(n.exc).partition("(")[0]
            for n in ast.walk(node)
            if isinstance(n, ast.Raise) and n.exc is not None
        }
        if raised and not section(node, "Raises"):
            wrong.append((node.name, "Raises", sorted(raised)))
    assert wrong == []
