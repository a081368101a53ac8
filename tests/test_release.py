"""What a release ships says the same version and points to files that exist."""

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

import polypath

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_files_of_a_release_say_its_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == polypath.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    heading = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert heading is not None
    assert heading[1] == polypath.__version__
    assert heading[2] == "unreleased" or date.fromisoformat(heading[2])


@pytest.mark.skipif(not TEMPLATES, reason="the sdist has no issue templates")
def test_issue_templates_are_forms():
    assert {path.stem for path in TEMPLATES} == {"bug", "method", "question"}
    for path in TEMPLATES:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        ids = [part["id"] for part in form["body"]]
        assert len(set(ids)) == len(ids)
        assert all(part["type"] in {"textarea", "input", "dropdown"} for part in form["body"])
        assert any(part.get("validations", {}).get("required") for part in form["body"])


@pytest.mark.parametrize("page", ["docs/not_supported.md", "SECURITY.md"])
def test_links_of_the_page_lead_to_files(page: str):
    place = ROOT / page
    targets = re.findall(r"\]\(([^)#:]+)[^)]*\)", place.read_text(encoding="utf-8"))
    assert [target for target in targets if not (place.parent / target).exists()] == []
