"""Print docs/reference/commands.md from the ``polypath`` command itself.

python scripts/commands_page.py > docs/reference/commands.md
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from polypath.cli.main import app

HEAD = """# Every command

This page lists every command with its arguments, options and examples. `polypath COMMAND --help` prints
the same on the command line.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in polypath, with a traceback |
| 2 | a mistake in the input, reported in one line |
| 130 | interrupted |

`python scripts/commands_page.py` writes this page, and a test compares it with the commands."""


def page() -> str:
    """Return the page: a section for each command, with a table of its arguments and options."""
    return "\n\n".join([HEAD, *_sections(typer.main.get_command(app), "polypath", None)]) + "\n"


def _sections(command: Any, name: str, parent: Any) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    if parent is not None:
        yield f"## {context.command_path}"
        yield inspect.cleandoc(command.help or "")
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```text\n{context.command_path} {usage}\n```"
        rows = [record for one in command.params if (record := one.get_help_record(context))]
        yield "\n".join(
            [
                "| option | meaning |",
                "|---|---|",
                *(f"| `{_cell(a)}` | {_cell(b)} |" for a, b in rows),
            ]
        )
        if command.epilog:  # examples, each line indented
            lines = re.findall(r"^  +(.+)", command.epilog, re.MULTILINE)
            yield "\n".join(["```bash", *lines, "```"])
    for name, inner in getattr(command, "commands", {}).items():
        yield from _sections(inner, name, context)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
