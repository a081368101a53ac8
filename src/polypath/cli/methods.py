"""``polypath methods``: what can be switched on, with its source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from polypath.cli.runs import console_beside
from polypath.settings import Setting, settings_of

if TYPE_CHECKING:
    from polypath.core.objectives import Registry

ObjectivesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Also list a method of your own: path/to/file.py:entry or module:entry. Repeatable."
    ),
]


def methods(
    objectives: ObjectivesOption = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Also list every setting with its default.")
    ] = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print methods and settings as Markdown, as in docs/settings.md."
        ),
    ] = False,
) -> None:
    """List the methods and the settings that switch them on.

    Also lists divergences, presets, similarities and tasks. Use the settings in a recipe, or as --key value
    of polypath train.
    """
    from polypath.core.objectives import BUILT_IN, load_entries
    from polypath.presets import PRESETS
    from polypath.similarity import SIMILARITIES
    from polypath.tasks import TASKS

    registry = BUILT_IN.plus(load_entries(objectives))
    if markdown:
        typer.echo(_markdown(registry), nl=False)
        return
    console = console_beside()
    for table in (_METHODS, _DIVERGENCES, *([_SETTINGS] if settings else [])):
        printed = Table(title=table.title, title_justify="left")
        for column in table.columns:
            printed.add_column(
                column, overflow="fold"
            )  # names are copied from here: never cut them
        for row in table.rows(registry):
            printed.add_row(*row)
        console.print(printed)
        if table is _METHODS:
            for name, values in PRESETS.items():
                lines = ", ".join(f"{key}: {str(value).lower()}" for key, value in values.items())
                console.print(f"preset: {name} is {lines}")
    console.print(f"similarity: {', '.join(SIMILARITIES)}, or module:function")
    console.print(f"task: {', '.join(TASKS)}")


def _method_rows(registry: "Registry") -> Iterator[tuple[str, ...]]:
    for adjustment in registry.adjustments.values():
        switch = f"{adjustment.switch.key}: true"
        yield adjustment.name, switch, "rewards of a group", adjustment.line, adjustment.paper
    for rule in registry.advantages.values():
        yield rule.name, f"advantage: {rule.name}", "advantages of a group", rule.line, rule.paper
    for term in registry.terms.values():
        switch = f"{term.switch.key}: {term.usual_coef:g}"
        yield term.name, switch, "tokens of the policy loss", term.line, term.paper
    yield (
        "rehearsal",
        "rehearsal_set: FOLDER",
        "stored samples of mastered problems",
        "Keeps solutions of the initial policy likely, by a divergence on stored samples.",
        next(iter(registry.divergences.values())).paper,
    )
    yield (
        "bank",
        "bank: true",
        "correct samples of training",
        "Replays the different correct solutions that training found, rare ones as often as frequent ones.",
        "d'Aliberti 2026, Re:Max, github.com/liv-daliberti/remax",
    )
    yield (
        "weight averaging",
        "average_weights_from: 0.5",
        "the trained weights",
        "Ends with the mean of the later weights.",
        "Izmailov 2018, Averaging Weights Leads to Wider Optima, arXiv:1803.05407",
    )


def _divergence_rows(registry: "Registry") -> Iterator[tuple[str, ...]]:
    for name, member in registry.divergences.items():
        yield name, member.formula, f"{member.curvature:g}", member.lost_mode


def _setting_rows(registry: "Registry") -> Iterator[tuple[str, ...]]:
    for _, settings in settings_by_owner(registry):
        for one in settings:
            yield one.key, default_of(one), one.help


def settings_by_owner(registry: "Registry") -> Iterator[tuple[str, list[Setting]]]:
    """Yield each owner of settings, such as a method, with its settings. Each setting occurs once."""
    from polypath.train.task_settings import TaskSettings

    shown: set[str] = set()
    for owner, settings in (("task and data", settings_of(TaskSettings, "")), *registry.groups):
        new = [one for one in settings if one.key not in shown]
        shown.update(one.key for one in new)
        if new:
            yield owner, new


def default_of(setting: Setting) -> str:
    """Return a default as a recipe writes it; ``unset`` for none."""
    if setting.default is None:
        return "unset"
    return (
        str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default)
    )


@dataclass(frozen=True)
class _Listing:
    title: str
    columns: tuple[str, ...]
    rows: Callable[["Registry"], Iterator[tuple[str, ...]]]


_METHODS = _Listing(
    "Methods (any subset, with any TRL loss type)",
    ("method", "switch on with", "acts on", "what it does", "source"),
    _method_rows,
)
_DIVERGENCES = _Listing(
    "Rehearsal divergences",
    ("rehearsal_divergence", "f(u), u = policy / reference", "f''(1)", "lost mode"),
    _divergence_rows,
)
_SETTINGS = _Listing("Settings", ("setting", "default", "what it does"), _setting_rows)


def _markdown(registry: "Registry") -> str:
    lines = [
        "# Every method and every setting",
        "",
        "This page lists every method with the setting that switches it on, and every setting with its",
        "default. [Methods](methods.md) explains them. `polypath methods --markdown` writes this page.",
    ]
    for table in (_METHODS, _DIVERGENCES, _SETTINGS):
        lines += ["", f"## {table.title}", ""]
        lines += [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
        for name, *rest in table.rows(registry):
            cells = [f"`{name}`" if "_" in name else name, *rest]
            lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"
