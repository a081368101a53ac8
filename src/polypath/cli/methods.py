"""``polypath methods``: what can be switched on, with its source."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from polypath.cli.runs import console_beside

if TYPE_CHECKING:
    from polypath.core.objectives import Registry

ObjectivesOption = Annotated[
    list[str] | None,
    typer.Option(help="List your own too: path/to/file.py:entry or module:entry. Repeatable."),
]


def methods(
    objectives: ObjectivesOption = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Also list every setting with its default.")
    ] = False,
) -> None:
    """List the methods, divergences and similarities with the settings that switch them on."""
    from polypath.core.objectives import BUILT_IN, load_entries
    from polypath.presets import PRESETS
    from polypath.similarity import SIMILARITIES
    from polypath.tasks import TASKS

    registry = BUILT_IN.plus(load_entries(objectives))
    console = console_beside()
    table = _table(
        "Methods (any subset, with any TRL loss type)",
        ("method", "switch on with", "acts on", "what it does", "source"),
    )
    for row in method_rows(registry):
        table.add_row(*row)
    console.print(table)
    for name, values in PRESETS.items():
        lines = ", ".join(f"{key}: {str(value).lower()}" for key, value in values.items())
        console.print(f"preset: {name} is {lines}", highlight=False)
    table = _table(
        "Rehearsal divergences",
        ("rehearsal_divergence", "f(u), u = policy / reference", "f''(1)", "lost mode"),
    )
    for name, member in registry.divergences.items():
        table.add_row(name, member.formula, f"{member.curvature:g}", member.lost_mode)
    console.print(table)
    console.print(f"similarity: {', '.join(SIMILARITIES)}, or module:function")
    console.print(f"task: {', '.join(TASKS)}")
    if settings:
        table = _table("Settings", ("setting", "default", "what it does"))
        for one in registry.settings.values():
            default = "unset" if one.default is None else str(one.default).lower()
            table.add_row(one.key, default, one.help)
        console.print(table)


def method_rows(registry: "Registry") -> Iterator[tuple[str, str, str, str, str]]:
    """Yield name, switch, place, description and source of every method."""
    for adjustment in registry.adjustments.values():
        switch = f"{adjustment.switch.key}: true"
        yield adjustment.name, switch, "rewards of a group", adjustment.line, adjustment.paper
    for rule in registry.advantages.values():
        yield rule.name, f"advantage: {rule.name}", "advantages of a group", rule.line, rule.paper
    for term in registry.terms.values():
        switch = f"{term.switch.key}: 0.01"
        yield term.name, switch, "tokens of the policy loss", term.line, term.paper
    yield (
        "rehearsal",
        "rehearsal_set: FOLDER",
        "stored samples of mastered problems",
        "Keeps what the initial policy solved likely, by a divergence on stored samples.",
        next(iter(registry.divergences.values())).paper,
    )
    yield (
        "weight averaging",
        "average_weights_from: 0.5",
        "the trained weights",
        "Ends with the mean of the later weights.",
        "Izmailov 2018, Averaging Weights Leads to Wider Optima, arXiv:1803.05407",
    )


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")  # names are to be copied: never cut
    return table
