"""``polypath quickstart``: from nothing to a table and a picture."""

from pathlib import Path
from typing import Annotated

import typer

from polypath.cli.runs import console_beside, names, write_json


def quickstart(
    out: Annotated[Path, typer.Option(help="Output folder. Rerun the command to resume.")] = Path(
        "runs/quickstart"
    ),
    methods: Annotated[
        str,
        typer.Option(
            help="Comma-separated methods: grpo, dra, positive_entropy, rehearsal, combined; all by default."
        ),
    ] = "",
    steps: Annotated[
        int, typer.Option(help="Training rounds per method, of 512 completions each.")
    ] = 200,
    problems: Annotated[int, typer.Option(help="Held-out problems to evaluate on.")] = 400,
    samples: Annotated[int, typer.Option(help="Samples per problem, at least 64.")] = 128,
    seed: Annotated[int, typer.Option(help="Random seed of training and evaluation.")] = 0,
    workers: Annotated[int, typer.Option(help="Parallel processes, one thread each.")] = 2,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write the table to this JSON file; - prints it. One object per row."
        ),
    ] = None,
) -> None:
    """Train a small model with each method and compare the results.

    Each method starts from the Countdown model that ships with polypath. Evaluation uses held-out and
    out-of-domain problems. The tables are printed, and tables and figures are written to --out. Rerun
    the command to resume; finished jobs are skipped. Needs polypath[trl].
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
