"""The README as a package index shows it, with links that work there. All else is in pyproject.toml."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
_LINK = re.compile(r"(?P<picture>!?)(?P<text>\[[^\]]*\])\((?P<target>(?![a-z]+:|#)[^)\s]+)\)")


def readme(text: str, repository: str | None, version: str) -> str:
    """Return the README with links into a version of the repository, if that is known."""
    if repository is None:
        return text

    def absolute(match: re.Match[str]) -> str:
        kind = "raw" if match["picture"] else "blob"
        target = f"{repository}/{kind}/v{version}/{match['target']}"
        return f"{match['picture']}{match['text']}({target})"

    return _LINK.sub(absolute, text)


def main() -> None:
    """Build the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    source = (ROOT / "src" / "polypath" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert version is not None
    repository = project.get("urls", {}).get("Repository")
    setup(
        long_description=readme((ROOT / "README.md").read_text("utf-8"), repository, version[1]),
        long_description_content_type="text/markdown",
    )


if __name__ == "__main__":
    main()
