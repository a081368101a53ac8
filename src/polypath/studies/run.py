"""From a study to its runs, tables, figures and page."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from polypath.errors import ConfigError
from polypath.executor.cluster import RayCluster
from polypath.report.analysis import compare_measured
from polypath.report.figure_style import MOST_BANDS
from polypath.report.page import PagePicture, write_page
from polypath.report.records import plain
from polypath.report.table import ReportTable, print_tables
from polypath.rollouts.files import write_file, write_json
from polypath.studies.accuracy_diversity_figure import draw_front
from polypath.studies.config import Study
from polypath.studies.figures import draw_overview, draw_pass_curves, draw_relations, draw_training
from polypath.studies.jobs import run_jobs
from polypath.studies.plan import StudyPlan
from polypath.studies.results import StudyResult, record
from polypath.studies.tables import main_tables, markdown, relation_tables, tables
from polypath.terminal import Terminal

try:
    import fcntl
except ImportError:  # Windows: two studies in one folder are not detected there
    fcntl = None  # type: ignore[assignment]

RESULTS, TABLE, PAGE = "results.json", "table.md", "report.html"
TIMINGS, LOG = "seconds.json", "workers.log"
FRONT, RELATION = "front", "relation"
DEFAULT_WORKERS = 2


def run_study(
    study: Study,
    out: str | Path,
    *,
    workers: int = DEFAULT_WORKERS,
    console: Console | None = None,
    cluster: RayCluster | None = None,
    gpus: int = 0,
) -> dict[str, Any]:
    """Run the unfinished jobs of a study, and write and print its results.

    If it is interrupted or killed, the same call resumes. All files are in ``out``: ``runs/`` with the
    config, log, model and samples of each training run, ``base/``, ``presample/``, and the results
    (``results.json``, ``table.md``, PNG figures, ``report.html``).

    Args:
        study: study from ``load_study``.
        out: folder for everything.
        workers: number of processes of this machine, with one thread each.
        console: where progress and tables are printed; ``None`` is standard output.
        cluster: cluster that trains and samples, on as many workers as it has room for. Its nodes must
            share ``out``. Tables and figures are made in this process.
        gpus: GPUs of each job on a cluster, >= 0. With 0, jobs compute on CPUs.

    Returns:
        The content of ``results.json``.

    Raises:
        ConfigError: ``workers`` is below 1, ``out`` is a file, a method's settings do not fit, the
            study breaks a rule of its splits, another process uses ``out``, the cluster cannot be used, or
            there are ``gpus`` and no cluster.
        JobFailed: some jobs failed. The others are finished and stay so.
    """
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}.")
    if gpus < 0 or (gpus and cluster is None):
        raise ConfigError(
            f"--gpus-per-job must be 0, or at least 1 with --ray, got {gpus}. On one machine start Ray "
            "first: ray start --head, then --ray auto."
        )
    console = console or Terminal()
    started = time.monotonic()
    plan = StudyPlan(study, out, device=None if gpus else "cpu")
    plan.out.mkdir(parents=True, exist_ok=True)
    with _alone(plan.out):
        _write_settings(plan)
        seconds = run_jobs(
            plan.jobs(),
            workers=workers,
            log=plan.out / LOG,
            timings=plan.out / TIMINGS,
            console=console,
            cluster=cluster,
            gpus=gpus,
        )
        ran = time.monotonic()
        result = StudyResult(plan, seconds, workers=workers)
        files = _write(result)
        content = record(result, started=started, ran=ran)
        write_json(plan.out / RESULTS, content)
        _tell(console, result, [plan.out / TABLE, plan.out / RESULTS, *files])
        console.print(f"{content['seconds']['this call']:.0f} s in this call.")
        return content


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, so that two processes do not train the same runs. It ends with its owner."""
    with (folder / ".lock").open("ab") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"Another study is running in {folder}. Wait for it, or use another --out."
                ) from None
        yield


def plan_record(plan: StudyPlan) -> list[dict[str, Any]]:
    """Return every job of a study and whether it is done."""
    return [
        {
            "job": job.name,
            "done": job.result.exists(),
            "after": list(job.after),
            "result": str(job.result),
        }
        for job in plan.jobs()
    ]


def _write_settings(plan: StudyPlan) -> None:
    """Write the study as run, and next to each method's runs the settings behind its folder's hash."""
    write_file(plan.out / "study.yaml", plan.study.text.encode())
    for name in {plan.study.trained(name).name: None for name in plan.study.methods}:
        folder = plan.method_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "settings.json", plain(plan.method_identity(name)))


def _write(result: StudyResult) -> list[Path]:
    """Write the tables, figures and page, and return the files except the tables."""
    plan, files = result.plan, []
    parts: list[str | ReportTable] = [*result.notes(), *tables(result), result.closing()]
    write_file(plan.out / TABLE, markdown(plan.study, parts).encode())
    for name, draw in _figures(result):
        files.append(plan.out / f"{name}.png")
        draw(files[-1])
    if plan.study.page:
        files.append(plan.out / PAGE)
        _write_page(result, files[-1])
    return files


def _figures(result: StudyResult) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield the name of each figure, and the function that draws it into a file."""
    study, names = result.plan.study, list(result.plan.study.methods)
    for split in result.splits:
        trails = result.trails if split is result.main else {}
        yield f"pass_at_k-{split.evaluation.split}", partial(draw_pass_curves, split)
        yield f"{FRONT}-{split.evaluation.split}", partial(draw_front, split, trails=trails)
    several = ""
    if len(study.seeds) > 1:
        several = f", mean of {len(study.seeds)} seeds"
        if len(names) <= MOST_BANDS:
            several += " (bands from the lowest to the highest)"
    if result.logged:
        yield "overview", partial(draw_overview, result.main, result.logged, several=several)
        title = f"samples drawn in training{several}"
        yield "training", partial(draw_training, result.logged, names, title=title)
    if result.checkpoints:
        title = f"checkpoints on {study.main.split}{several}"
        yield "checkpoints", partial(draw_training, result.checkpoints, names, title=title)
    if result.relations:
        yield f"{RELATION}-{study.main.split}", partial(draw_relations, study, result.relations)


def _write_page(result: StudyResult, path: Path) -> None:
    plan, main = result.plan, result.main
    more: list[ReportTable | PagePicture] = [*main_tables(result), *relation_tables(result)]
    titles = {FRONT: "Accuracy and diversity", RELATION: "Relations of metrics"}
    for name in (FRONT, RELATION) if plan.study.relations else (FRONT,):
        picture = plan.out / f"{name}-{main.evaluation.split}.png"
        more.append(PagePicture(title=titles[name], png=picture.read_bytes()))
    base, *runs = result.measured.values()
    comparison = compare_measured(base, runs)
    write_page(comparison, path, more=more)


def _tell(console: Console, result: StudyResult, files: Sequence[Path]) -> None:
    if result.plan.study.question:
        console.print(Text(result.plan.study.question))
    for note in (*result.notes(), result.closing()):
        console.print(Text(note))
    print_tables(console, tables(result))
    console.print(Text(f"Written: {', '.join(map(str, files))}"), soft_wrap=True)
