"""``polypath methods``: what can be switched on, with its source."""

from rich.table import Table

from polypath.cli.runs import console_beside


def methods() -> None:
    """List the methods, divergences and similarities with the settings that switch them on."""
    from polypath.objectives.divergences import DIVERGENCES
    from polypath.objectives.dra import MUTUAL_INFORMATION
    from polypath.presets import PRESETS
    from polypath.similarity import SIMILARITIES
    from polypath.tasks import TASKS

    console = console_beside()
    table = Table(title="Methods (any subset, with any TRL loss type)", title_justify="left")
    for column in ("method", "switch on with", "acts on", "source"):
        table.add_column(column, overflow="fold")  # names are to be copied: never cut
    table.add_row("dra", "dra: true", "rewards of a group", "DRA-GRPO, arXiv:2505.09655")
    table.add_row(
        "positive entropy",
        "positive_entropy_coef: 0.01",
        "tokens of correct completions",
        "R1-zero-Div, arXiv:2505.23433",
    )
    table.add_row(
        "rehearsal",
        "rehearsal_set: FOLDER",
        "stored samples of mastered problems",
        "DPH-RL, arXiv:2509.07430",
    )
    table.add_row(
        "weight averaging",
        "average_weights_from: 0.5",
        "the trained weights",
        "Izmailov et al. 2018",
    )
    console.print(table)
    for name, settings in PRESETS.items():
        lines = ", ".join(f"{key}: {str(value).lower()}" for key, value in settings.items())
        console.print(f"preset: {name} is {lines}", highlight=False)
    table = Table(title="Rehearsal divergences", title_justify="left")
    for column in ("rehearsal_divergence", "f(u), u = policy / reference", "f''(1)", "lost mode"):
        table.add_column(column)
    for name, member in DIVERGENCES.items():
        table.add_row(name, member.formula, f"{member.curvature:g}", member.lost_mode)
    console.print(table)
    console.print(f"dra_mutual_information: {', '.join(MUTUAL_INFORMATION)}")
    console.print(f"similarity: {', '.join(SIMILARITIES)}, or module:function")
    console.print(f"task: {', '.join(TASKS)}")
