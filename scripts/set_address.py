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


def _put(text: str, pattern: str, new: str) -> str:
    """Put a text in place of the pattern's group ``at``."""
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        sys.exit(f"No line matches {pattern!r}: a file was reworded, so reword it here, too.")
    return text[: found.start("at")] + new + text[found.end("at") :]


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
        return _put(text, r"from a clone of (?P<at>.*):$", f"[this repository]({repository})")

    def private(text: str) -> str:
        return _put(text, r"^Report it in private(?P<at>(?: \(.*?\))?),", f" ({security})")

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
    changed, after = [], {}
    for name, change in changes.items():
        before = (root / name).read_text(encoding="utf-8")
        after[name] = change(before)
        if after[name] != before:
            changed.append(name)
    for name in changed:  # when all could be changed
        (root / name).write_text(after[name], encoding="utf-8")
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
