"""Write the project's public address into every file that names it, before the first release.

    python scripts/set_address.py https://HOST/OWNER/polypath --security MAIL_OR_PAGE [--site URL]

It can be run again, with another address. What shows the README elsewhere (the package index) reads it too:
see setup.py.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
_HEADING = r"^\[project\.urls\]\n(?:.+\n)*\n?"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme != "https"
        or not parts.hostname
        or not re.fullmatch(r"[\w:/.~%-]+", text, re.ASCII)
    ):
        raise argparse.ArgumentTypeError(
            f"must be an address that begins with https://, got {text!r}"
        )
    return text.rstrip("/")


def _line(text: str, key: str, value: str, after: str) -> str:
    """Set a top-level YAML key, in its own line or in a new one after another key's."""
    line = f'{key}: "{value}"\n'
    found = re.compile(rf"^{key}: .*\n", re.MULTILINE)
    if found.search(text):
        return found.sub(lambda _: line, text, count=1)
    return re.sub(rf"^{after}: .*\n", lambda match: match[0] + line, text, count=1, flags=re.M)


def set_address(root: Path, repository: str, site: str, security: str) -> list[str]:
    """Write the addresses into the files below a folder.

    Args:
        root: folder of the project.
        repository: where it is cloned from.
        site: where its documentation is.
        security: mail address or page for private reports.

    Returns:
        The changed files.
    """
    urls = {
        "Homepage": site,
        "Documentation": site,
        "Repository": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    }
    table = "[project.urls]\n" + "".join(f'{name} = "{url}"\n' for name, url in urls.items()) + "\n"

    def pyproject(text: str) -> str:
        text = re.sub(_HEADING, "", text, flags=re.MULTILINE)
        return text.replace("[project.scripts]\n", table + "[project.scripts]\n", 1)

    def cited(text: str) -> str:
        return _line(_line(text, "url", site, "license"), "repository-code", repository, "license")

    def clone(text: str) -> str:
        return re.sub(
            r"^(Python 3\.11 to 3\.14, from a clone of )(?:this repository|\[this repository\]\(.*\)):",
            lambda match: f"{match[1]}[this repository]({repository}):",
            text,
            flags=re.MULTILINE,
        )

    def private(text: str) -> str:
        return re.sub(
            r"^Report it in private(?: \(.*?\))?,",
            lambda _: f"Report it in private ({security}),",
            text,
            flags=re.MULTILINE,
        )

    def configured(text: str) -> str:
        return _line(
            _line(text, "repo_url", repository, "site_name"), "site_url", site, "site_name"
        )

    changes = {
        "pyproject.toml": pyproject,
        "CITATION.cff": cited,
        "README.md": clone,
        "SECURITY.md": private,
        "mkdocs.yml": configured,
    }
    changed = []
    for name, change in changes.items():
        before = (root / name).read_text(encoding="utf-8")
        after = change(before)
        if after != before:
            (root / name).write_text(after, encoding="utf-8")
            changed.append(name)
    return changed


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("repository", type=_url, metavar="https://HOST/OWNER/polypath")
    parser.add_argument(
        "--site", type=_url, help="where the documentation is; by default the repository"
    )
    parser.add_argument(
        "--security", required=True, help="mail address or page for private reports"
    )
    given = parser.parse_args()
    changed = set_address(ROOT, given.repository, given.site or given.repository, given.security)
    print("changed " + ", ".join(changed) if changed else "nothing to change", file=sys.stderr)


if __name__ == "__main__":
    main()
