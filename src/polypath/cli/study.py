"""``polypath study``: a grid of methods and seeds from one base model, from a file to its tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polypath.cli.runs import (
    JsonOption,
    RayOption,
    console_beside,
    names,
    numbers,
    write_json,
)

if TYPE_CHECKING:
    from polypath.studies.plan import StudyPlan


def study(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Study: a YAML file. polypath recipes lists those that ship with polypath.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder; runs/studies/NAME by default, with the study's name."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Parallel processes, one thread each: 2 on this machine by default, and as many as it "
            "has room for on a Ray cluster."
        ),
    ] = None,
    ray: RayOption = None,
    gpus_per_job: Annotated[
        int, typer.Option(help="With --ray: GPUs of each job. Without, jobs compute on CPUs.")
    ] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(help="Comma-separated training seeds, in place of those in the file."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Comma-separated methods to run; by default all in the file.")
    ] = None,
    join: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with further methods, as under 'methods' of a study; repeatable. They are "
            "trained and compared with those of the study, whose finished jobs are not run again.",
        ),
    ] = None,
    unpack: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Go on from a file that --pack wrote: its jobs are not run again.",
        ),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the measurements of all jobs that are done in --out to this zip file, and exit: "
            "counts of right solutions, logs and costs, without texts and models.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="List the jobs and say which are done, and exit.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Train methods with several seeds, evaluate and compare them.

    A study names a base model, methods and seeds. Tables, figures and pages are written to --out. Rerun
    the command to resume; finished jobs are skipped. On a Ray cluster all nodes must see --out. Needs
    polypath[trl].
    """
    from polypath.errors import ConfigError
    from polypath.executor.cluster import find_cluster
    from polypath.studies.load import load_study
    from polypath.studies.pack import pack as write_pack
    from polypath.studies.pack import read_pack
    from polypath.studies.run import DEFAULT_WORKERS, plan_record, run_study, stages

    console = console_beside(json_file)
    chosen = load_study(file, joined=join or ()).only(
        None if only is None else list(names(only)),
        None if seeds is None else list(numbers("--seeds", seeds)),
    )
    folder = out if out is not None else Path("runs") / "studies" / chosen.name
    if pack is not None and (plan or unpack is not None):
        given = "--plan" if plan else "--unpack"
        raise ConfigError(
            f"--pack writes a file and exits, so {given} has no effect. Leave one out."
        )
    if plan and unpack is not None:
        raise ConfigError("--plan lists jobs and exits, so --unpack has no effect. Leave one out.")
    if pack is not None:
        number = write_pack(stages(chosen, folder), pack)
        console.print(Text(f"Packed {number:,} jobs of {folder}: {pack}"), soft_wrap=True)
        record: object = {"jobs": number, "file": str(pack)}
    elif plan:
        planned = stages(chosen, folder)
        for one in planned:
            _print_plan(console, one)
        if chosen.tuned and len(planned) == 1:
            console.print("The jobs of the reported splits follow when strengths are picked.")
        record = [entry for one in planned for entry in plan_record(one)]
    else:
        cluster = find_cluster(ray, workers)
        record = run_study(
            chosen,
            folder,
            workers=workers if workers is not None and cluster is None else DEFAULT_WORKERS,
            console=console,
            cluster=cluster,
            gpus=gpus_per_job,
            packed=None if unpack is None else read_pack(unpack),
        )
    write_json(json_file, record)


def _print_plan(console: Console, plan: "StudyPlan") -> None:
    jobs = plan.jobs()
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("job")
    table.add_column("done")
    for job in jobs:
        table.add_row(Text(job.name), "yes" if job.result.exists() else "")
    console.print(table)
    done = sum(job.result.exists() for job in jobs)
    console.print(Text(f"{len(jobs)} jobs in {plan.out}, {done} done."), soft_wrap=True)
