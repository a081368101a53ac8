"""What docs/read.md and docs/trouble.md say is what the code says."""

import ast
import re
from pathlib import Path

import pytest

from polypath.report.measures import EXPLAINED

ROOT = Path(__file__).parent.parent
READ = (ROOT / "docs" / "read.md").read_text()
TROUBLE = (ROOT / "docs" / "trouble.md").read_text()
GAP = "…"


def flat(text: str) -> str:
    return " ".join(text.split())


def template(node: ast.expr) -> str:
    """Return a text of the code, with a gap for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else GAP


def templates() -> set[str]:
    """Return all texts of the code but docstrings."""
    nodes = [n for p in (ROOT / "src").rglob("*.py") for n in ast.walk(ast.parse(p.read_text()))]
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (n for n in nodes if isinstance(n, ast.JoinedStr | ast.Constant) and id(n) not in alone)
    return {flat(template(node)) for node in texts}


TEMPLATES = templates()
SECTIONS = re.findall(r"^### `([^\n]+)`\n(.*?)(?=^##|\Z)", TROUBLE, re.MULTILINE | re.DOTALL)


def test_the_page_has_the_messages_that_a_user_is_likely_to_see():
    assert len(SECTIONS) >= 40


@pytest.mark.parametrize(("heading", "body"), SECTIONS, ids=[heading for heading, _ in SECTIONS])
def test_a_message_on_the_page_is_one_of_the_code(heading: str, body: str):
    found = [text for text in TEMPLATES if flat(heading) in text]
    assert found, "no message of src holds this heading"
    patterns = [".*".join(map(re.escape, text.split(GAP))) for text in found]
    for quote in re.findall(r"```text\n(.*?)```", body, re.DOTALL):
        told = flat(quote).removeprefix("polypath: ")
        assert any(re.fullmatch(pattern, told) for pattern in patterns), told


@pytest.mark.parametrize("key", EXPLAINED)
def test_a_measure_is_explained_as_in_the_glossary_of_the_report(key: str):
    about = EXPLAINED[key]
    assert about.name.removeprefix("Keep at k = ") in flat(READ)
    assert about.meaning in flat(READ)


def test_every_logged_key_is_read():
    text = (ROOT / "docs" / "metrics.md").read_text()
    families = re.findall(r"^\| (`[a-z_]+/[^|]+)\|", text, re.MULTILINE)
    assert len(families) >= 10
    for cell in families:
        names = re.findall(r"`([^`]+)`", cell)
        prefix = names[0].rpartition("/")[0]
        for name in names:
            full = name if "/" in name else f"{prefix}/{name}"
            if name.startswith("_"):
                full = re.sub(r"_[a-z]+$", name, names[0])
            assert f"`{full}`" in READ, full


@pytest.mark.parametrize("page", ["read.md", "trouble.md"])
def test_links_lead_to_pages_and_headings(page: str):
    text = (ROOT / "docs" / page).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = ROOT / "docs" / (path or page)
        assert file.is_file(), target
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
        slugs = {
            re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in headings
        }
        assert not anchor or anchor in slugs, target
