"""One command writes the public address everywhere, and then the package's page has links that work."""

import email
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = (
    "pyproject.toml",
    "CITATION.cff",
    "README.md",
    "SECURITY.md",
    "mkdocs.yml",
    "setup.py",
    "LICENSE",
)
NEEDED = (*FILES, "scripts/set_address.py", "src/polypath/__init__.py")
ADDRESS = "https://example.org/someone/polypath"

pytestmark = pytest.mark.skipif(
    not all((ROOT / name).exists() for name in NEEDED), reason="not a clone of the repository"
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def set_address(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "scripts" / "set_address.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def package_page(folder: Path) -> "email.message.Message[str, str]":
    build = "from setuptools.build_meta import prepare_metadata_for_build_wheel as p; p('.')"
    command = [sys.executable, "-c", build]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    (metadata,) = folder.glob("*.dist-info/METADATA")
    return email.message_from_string(metadata.read_text(encoding="utf-8"))


def relative_links(text: str) -> list[str]:
    return re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)


def test_every_file_names_the_address(copy: Path):
    site = "https://polypath.example.org"
    done = set_address(copy, ADDRESS + "/", "--site", site, "--security", "safe@example.org")
    assert done.returncode == 0, done.stderr
    urls = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Repository"] == ADDRESS
    assert urls["Documentation"] == site
    assert set(urls) == {"Homepage", "Documentation", "Repository", "Issues", "Changelog"}
    cited = yaml.safe_load((copy / "CITATION.cff").read_text("utf-8"))
    assert (cited["repository-code"], cited["url"]) == (ADDRESS, site)
    assert "safe@example.org" in (copy / "SECURITY.md").read_text("utf-8")
    assert ADDRESS in (copy / "README.md").read_text("utf-8")
    configured = (copy / "mkdocs.yml").read_text("utf-8")
    assert re.search(f'^site_url: "{site}"$', configured, re.M)
    assert re.search(f'^repo_url: "{ADDRESS}"$', configured, re.M)


def test_another_address_replaces_the_first(copy: Path):
    set_address(copy, ADDRESS, "--security", "safe@example.org")
    first = {name: (copy / name).read_text("utf-8") for name in FILES}
    set_address(copy, "https://elsewhere.org/polypath", "--security", "other@example.org")
    set_address(copy, ADDRESS, "--security", "safe@example.org")
    assert {name: (copy / name).read_text("utf-8") for name in FILES} == first


@pytest.mark.parametrize(
    "address", ["http://example.org/x", "example.org", "https://", 'https://a.org/"']
)
def test_what_is_no_address_changes_nothing(copy: Path, address: str):
    before = {name: (copy / name).read_text("utf-8") for name in FILES}
    done = set_address(copy, address, "--security", "x@example.org")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert {name: (copy / name).read_text("utf-8") for name in FILES} == before


def test_the_package_page_has_links_that_lead_into_the_repository(copy: Path):
    set_address(copy, ADDRESS, "--security", "safe@example.org")
    page = package_page(copy)
    assert relative_links(page.get_payload()) == []
    assert f"]({ADDRESS}/blob/v{page['Version']}/docs/methods.md)" in page.get_payload()
    assert "![pass@k of" in page.get_payload()
    assert f"({ADDRESS}/raw/v{page['Version']}/docs/pass_at_k.png)" in page.get_payload()
    assert f"Repository, {ADDRESS}" in page.get_all("Project-URL")


def test_without_an_address_the_package_page_is_the_readme(copy: Path):
    page = package_page(copy)
    assert page.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert page["Description-Content-Type"] == "text/markdown"
