"""From a study to its runs, tables, figures and page."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from polypath.rollouts.files import copy_whole, write_file, write_json
from polypath.studies.accuracy_diversity_figure import draw_front
from polypath.studies.config import Study
from polypath.studies.figures import draw_overview, draw_pass_curves, draw_relations, draw_training
from polypath.studies.jobs import run_jobs
from polypath.studies.pack import Packed, require_texts
from polypath.studies.plan import TIMINGS, StudyPlan
from polypath.studies.results import StudyResult, record
from polypath.studies.tables import main_tables, markdown, relation_tables, tables
from polypath.studies.tuning import FOLDER, PICKED, choose, read_picked, tuning_plan
from polypath.terminal import Terminal

try:
    import fcntl
except ImportError:  # Windows: two studies in one folder are not detected there
    fcntl = None  # type: ignore[assignment]

RESULTS, TABLE, PAGE = "results.json", "table.md", "report.html"
LOG = "workers.log"
JOINED = "joined"  # folder of the files that methods were joined from
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
    packed: Packed | None = None,
) -> dict[str, Any]:
    """Run the unfinished jobs of a study, and write and print its results.

    A study with strengths first runs the candidates on its tuning split and chooses. If it is
    interrupted or killed, the same call resumes. All files are in ``out``: ``runs/`` with the config, log,
    model and samples of each training run, ``base/``, ``presample/``, the tables and the choice of tuning
    (``tuning/``), and the results (``results.json``, ``table.md``, PNG figures, ``report.html``).

    Args:
        study: study from ``load_study``.
        out: folder for everything.
        workers: number of processes of this machine, with one thread each.
        console: where progress and tables are printed; ``None`` is standard output.
        cluster: cluster that trains and samples, on as many workers as it has room for. Its nodes must
            share ``out``. Tables and figures are made in this process.
        gpus: GPUs of each job on a cluster, >= 0. With 0, jobs compute on CPUs.
        packed: finished jobs of the study that were run elsewhere; see ``read_pack``.

    Returns:
        The content of ``results.json``.

    Raises:
        ConfigError: ``workers`` is below 1, ``out`` is a file, a method's settings do not fit, the
            study breaks a rule of its splits, another process uses ``out``, the cluster cannot be used,
            there are ``gpus`` and no cluster, ``packed`` has no job of the study, or
            the study measures texts and has unpacked samples.
        JobFailed: some jobs failed. The others are finished and stay so.
    """
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}.")
    if gpus < 0 or (gpus and cluster is None):
        raise ConfigError(
            f"--gpus-per-job must be 0, or at least 1 with --ray, got {gpus}. On one machine start Ray "
            "first: ray start --head, then --ray auto."
        )
    console, folder, started = console or Terminal(), Path(out), time.monotonic()
    device = None if gpus else "cpu"
    first, *_ = stages(study, folder, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    run = partial(_run_plan, workers=workers, console=console, cluster=cluster, gpus=gpus)
    with _alone(folder):
        if packed is not None:
            packed.unpack(first)
        write_file(folder / "study.yaml", study.text.encode())
        for file in study.joined:
            copy_whole(file, folder / JOINED / file.name)
        plan = StudyPlan(_tuned(study, first, run, console), folder, device=device)
        require_texts(plan)
        seconds = run(plan)
        ran = time.monotonic()
        result = StudyResult(plan, seconds, workers=workers)
        content = _report(result, folder, console, started=started, ran=ran)
        console.print(f"{content['seconds']['this call']:.0f} s in this call.")
        return content


def stages(study: Study, out: Path, *, device: str | None = "cpu") -> list[StudyPlan]:
    """Return the plans of a study's stages, as far as they are known.

    Args:
        study: study from ``load_study``.
        out: folder of the study.
        device: as in ``StudyPlan``.

    Returns:
        The plan of the study; or of the candidates, if it has strengths, and after it that of the study
        once these are picked.

    Raises:
        ConfigError: as ``StudyPlan``.
    """
    if not study.tuned:
        return [StudyPlan(study, out, device=device)]
    first = tuning_plan(study, out, device)
    picked = read_picked(study, first)
    return [first] if picked is None else [first, StudyPlan(picked, out, device=device)]


def _run_plan(plan: StudyPlan, **settings: Any) -> dict[str, float]:
    """Run the unfinished jobs of a plan, and return the seconds of each job that is done."""
    _write_settings(plan)
    return run_jobs(plan.jobs(), log=plan.out / LOG, timings=plan.out / TIMINGS, **settings)


def _tuned(
    study: Study,
    plan: StudyPlan,
    run: Callable[[StudyPlan], Mapping[str, float]],
    console: Console,
) -> Study:
    """Return the study with a strength for each method that has several, chosen now or in an earlier call."""
    if not study.tuned:
        return study
    folder = plan.out / FOLDER
    found = read_picked(study, plan)
    if found is not None:
        console.print(Text(f"Strengths were picked before: {folder / PICKED}"), soft_wrap=True)
        return found
    started, seconds = time.monotonic(), run(plan)
    report = partial(_report, folder=folder, console=console, started=started, ran=time.monotonic())
    return choose(study, plan, seconds, report)


def _report(
    result: StudyResult, folder: Path, console: Console, *, started: float, ran: float
) -> dict[str, Any]:
    """Write the results of a stage into a folder, print them, and return the content of results.json."""
    files = _write(result, folder)
    content = record(result, started=started, ran=ran)
    write_json(folder / RESULTS, content)
    _tell(console, result, [folder / TABLE, folder / RESULTS, *files])
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
    """Write next to each method's runs the settings behind its folder's hash."""
    for name in {plan.study.trained(name).name: None for name in plan.study.methods}:
        folder = plan.method_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "settings.json", plain(plan.method_identity(name)))


def _write(result: StudyResult, folder: Path) -> list[Path]:
    """Write the tables, figures and page, and return the files except the tables."""
    plan, files = result.plan, []
    parts: list[str | ReportTable] = [*result.notes(), *tables(result), result.closing()]
    write_file(folder / TABLE, markdown(plan.study, parts).encode())
    for name, draw in _figures(result):
        files.append(folder / f"{name}.png")
        draw(files[-1])
    if plan.study.page:
        files.append(folder / PAGE)
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
        picture = path.parent / f"{name}-{main.evaluation.split}.png"
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
