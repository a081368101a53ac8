"""What the site is built from: generated pages are up to date, and the reference is complete.

`make docs` builds the site and fails at a dead link, a page outside the navigation, or a name that is gone.
"""

import re
from importlib import import_module
from pathlib import Path

import pytest

from polypath.rollouts import SCHEMA

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference"
METHODS = sorted((DOCS / "methods").glob("*.md"))
# Every module with names for users, as far as it says so in ``__all__``.
MODULES = {
    "polypath": "polypath",
    **{
        f"polypath.{name}": name
        for name in (
            *("objectives", "similarity", "metrics", "rollouts"),
            *("tasks", "verify", "rehearsal"),
        )
    },
}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference_with_a_docstring(module: str) -> None:
    page = (REFERENCE / f"{MODULES[module]}.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: (\S+)", page, re.MULTILINE))
    names = set(import_module(module).__all__) - {"__version__"}
    if module not in shown:  # else the page shows all of them
        elsewhere = set(
            re.findall(r"^::: (\S+)", (REFERENCE / "errors.md").read_text(), re.MULTILINE)
        )
        for name in names:
            value = getattr(import_module(module), name)
            assert {f"{module}.{name}", value.__module__} & (shown | elsewhere), name
    for name in names:
        value = getattr(import_module(module), name)
        if callable(value):
            written = value.__doc__ or f"{name}("  # what a dataclass gets without a docstring
            assert not written.startswith(f"{name}("), name


def test_every_package_with_public_names_has_a_page() -> None:
    source = Path(import_module("polypath").__file__ or "").parent
    public = {
        f"polypath.{path.parent.name}"
        for path in source.glob("*/__init__.py")
        if "__all__" in path.read_text(encoding="utf-8")
    }
    assert public <= set(MODULES)


def test_the_columns_of_a_store_are_those_of_the_page() -> None:
    text = (REFERENCE / "files.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE)
    words = {"string": "text", "int64": "integer", "double": "number", "bool": "boolean"}
    assert rows == [
        (
            field.name,
            words.get(str(field.type), "list of integers") + (" or null" if field.nullable else ""),
        )
        for field in SCHEMA
    ]


@pytest.mark.parametrize("page", ["choose", *(f"methods/{p.stem}" for p in METHODS)])
def test_a_number_with_an_interval_is_that_of_a_study(page: str) -> None:
    studies = " ".join(path.read_text("utf-8") for path in (DOCS / "studies").glob("*.md"))
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    for number in re.findall(r"[-+]?\d*\.\d+ (?:±\d*\.\d+|\[[^\]]*\])", text):
        assert number in studies, number


# Rows of choose.md -> those of performance.md, whose range they show.
COSTS = {
    "monitoring only": ["monitoring"],
    "DRA, `answer`": ["dra, answer"],
    "DRA, `ngram`": ["dra, ngram"],
    "DRA, `policy`": ["dra, policy"],
    "DRA, `embedding` (MiniLM)": ["dra, MiniLM"],
    "positive entropy, `paper` or `detached`": [
        "positive entropy, paper",
        "positive entropy, detached",
    ],
    "positive entropy, `exact`": ["positive entropy, exact"],
    "rehearsal": ["rehearsal"],
    "all three": ["all three"],
    "*TRL's `beta`, for comparison*": ["TRL beta"],
}


def test_the_costs_of_the_methods_are_those_that_were_measured() -> None:
    measured = (DOCS / "performance.md").read_text(encoding="utf-8")
    measured = measured.split("<!-- begin training -->")[1].split("<!-- end training -->")[0]
    shown = (DOCS / "choose.md").read_text(encoding="utf-8")
    for row, names in COSTS.items():
        (cells,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|(.*)\|$", shown, re.MULTILINE)
        found = [
            line.split("|")
            for name in names
            for line in re.findall(rf"^\| {re.escape(name)} \|.*", measured, re.MULTILINE)
            if "(" in line  # not the table of embeddings
        ]
        assert len(found) == 2 * len(names)
        for cell, column in zip(cells, (3, 6), strict=True):
            values = [f"{float(line[column].split()[0]):.2f}" for line in found]
            ends = dict.fromkeys((min(values), max(values)))
            assert re.match(rf" {' to '.join(ends)}\b(?! to)", cell), (row, cell, values)


def test_the_page_of_commands_is_what_the_script_prints() -> None:
    pytest.importorskip("commands_page", reason="scripts/ is not here")
    from commands_page import page

    assert (REFERENCE / "commands.md").read_text(encoding="utf-8") == page(), (
        "run: python scripts/commands_page.py > docs/reference/commands.md"
    )


def test_the_picture_of_the_readme_has_the_numbers_of_the_study() -> None:
    pytest.importorskip("draw_pass_at_k", reason="scripts/ is not here")
    from draw_pass_at_k import curves

    base, grpo, balanced, diverse = curves()
    assert list(base.estimate) == [0.138, 0.547, 0.720, 0.949]
    assert grpo.estimate[-1] < base.estimate[-1] < diverse.estimate[-1]
    assert list(balanced.high - balanced.estimate) == pytest.approx([0.027, 0.028, 0.026, 0.022])
