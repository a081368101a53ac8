"""``polypath quickstart``: from nothing to a table and a picture."""

import json
from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder of everything; run again to resume.")] = Path(
        "runs/quickstart"
    ),
    methods: Annotated[
        str,
        typer.Option(help="Comma-separated: grpo, dra, positive_entropy, rehearsal, combined."),
    ] = "",
    steps: Annotated[int, typer.Option(help="Rounds of 512 completions per method.")] = 200,
    problems: Annotated[int, typer.Option(help="Held-out problems to evaluate on.")] = 400,
    samples: Annotated[int, typer.Option(help="Samples of each problem, at least 64.")] = 128,
    seed: Annotated[int, typer.Option(help="Of training and evaluation.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes, of one thread each.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the table there, one object a row.")
    ] = None,
) -> None:
    """Train small models with GRPO and with each diversity method, and compare them.

    Trains from the shipped Countdown base, evaluates on held-out and out-of-domain problems, prints
    the tables and draws the picture. Interrupted, the same command goes on where it was.
    """
    from polypath.studies.quickstart import METHODS, QuickstartSettings
    from polypath.studies.quickstart import quickstart as run

    names = tuple(name.strip() for name in methods.split(",") if name.strip()) or tuple(METHODS)
    settings = QuickstartSettings(
        out=out,
        methods=names,
        steps=steps,
        num_problems=problems,
        num_samples=samples,
        seed=seed,
        workers=workers,
    )
    rows = run(settings)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps([row.record() for row in rows], indent=2) + "\n")
