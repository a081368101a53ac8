"""``polypath quickstart``: from nothing to a table and a picture."""

from pathlib import Path
from typing import Annotated

import typer

from polypath.cli.runs import console_beside, names, write_json


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
    the tables and draws the pictures. Rerun the command to resume; finished jobs are skipped. It is a
    study like any other: studies/quickstart.yaml in the repository.
    """
    from polypath.studies.quickstart import quickstart_study, table_rows
    from polypath.studies.run import run_study

    study = quickstart_study(
        methods=names(methods),
        steps=steps,
        problems=problems,
        samples=samples,
        seed=seed,
    )
    results = run_study(study, out, workers=workers, console=console_beside(json_file))
    write_json(json_file, table_rows(results))
