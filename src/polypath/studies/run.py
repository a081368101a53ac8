"""From a study file to its runs, tables, figures and page."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

import polypath
from polypath.errors import ConfigError
from polypath.report.analysis import AnalysisSettings, compare
from polypath.report.page import write_page
from polypath.report.page_extra import PagePicture, PageTable
from polypath.report.runs import Seeds, shared_problems
from polypath.report.tables import plain
from polypath.rollouts.files import atomic_write, write_json
from polypath.studies import figures
from polypath.studies.arguments import budgets
from polypath.studies.config import BASE, Study
from polypath.studies.cost import cost_sentence, costs
from polypath.studies.front import draw_front
from polypath.studies.jobs import run_jobs
from polypath.studies.main_tables import main_tables
from polypath.studies.measure import Row, SplitResult, measure
from polypath.studies.plan import Plan
from polypath.studies.relation_figure import draw_relations
from polypath.studies.relations import relate, relation_record, relation_tables
from polypath.studies.sources import (
    best_temperature,
    by_folder,
    load,
    row_sources,
    temperature_sources,
)
from polypath.studies.stopped import match
from polypath.studies.tables import (
    Table,
    markdown,
    notes_of,
    print_tables,
    tables,
)
from polypath.studies.trails import Trail, read_trails
from polypath.studies.training import checkpoint_curves, logged_curves

try:
    import fcntl
except ImportError:  # Windows: two studies in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

RESULTS, TABLE, PAGE = "results.json", "table.md", "report.html"
TIMINGS, LOG = "seconds.json", "workers.log"
FRONT, RELATION = "front", "relation"


def run_study(
    study: Study, out: str | Path, *, workers: int = 2, console: Console | None = None
) -> dict[str, Any]:
    """Make what is missing of a study, and write and print its results.

    Interrupted or killed, the same call goes on. Everything lies in ``out``: ``runs/`` with the
    config, log, model and samples of each training run, ``base/``, ``presample/``, and the results
    (``results.json``, ``table.md``, PNG figures, ``report.html``).

    Args:
        study: from ``load_study``.
        out: folder of everything.
        workers: processes, of one thread each.
        console: where progress and tables go; ``None`` is standard output.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a method's settings do not fit, the study breaks a rule of its splits, or
            another process is at work in ``out``.
        JobFailed: jobs failed; the others are done, and stay done.
    """
    console = console or Console()
    started = time.monotonic()
    plan = Plan(study, out)
    plan.out.mkdir(parents=True, exist_ok=True)
    with _alone(plan.out):
        _write_settings(plan)
        timings = run_jobs(
            plan.jobs(),
            workers=workers,
            log=plan.out / LOG,
            timings=plan.out / TIMINGS,
            console=console,
            keep_going=True,
        )
        return _report(plan, timings, started, console, workers)


def _report(
    plan: Plan, timings: Mapping[str, float], started: float, console: Console, workers: int
) -> dict[str, Any]:
    """Measure all samples; write and print the results."""
    study = plan.study
    ran = time.monotonic()
    best, accuracy = best_temperature(plan)
    results: list[SplitResult] = []
    loaded: dict[str, Seeds] = {}
    for evaluation in reversed(study.evaluations):  # the main one last: its samples make the page
        sources = row_sources(plan, evaluation, best) + temperature_sources(plan, evaluation)
        loaded = load(sources)
        results.insert(0, measure(plan, evaluation, best, samples=loaded))
    rows = results[0].rows
    shared = shared_problems([loaded[row.name] for row in rows])
    trails = read_trails(plan, loaded, shared)
    all_rows = [(row.name, study.against) for row in rows[1:] if row.name != study.against]
    matched = match(plan, all_rows, rows, trails, loaded, shared)
    matched_pairs = match(plan, study.pairs, rows, trails, loaded, shared)
    related = relate(plan, shared, by_folder(sources, loaded))
    of_main = main_tables(study, results[0], matched, matched_pairs, trails)
    about = relation_tables(study.main.split, related)
    notes = notes_of(study, best, budgets(study, plan.recipes))
    checkpoints = checkpoint_curves(trails, study.main)
    pictures = _draw(plan, results, checkpoints, trails)
    if related:
        pictures.append(plan.out / f"{RELATION}-{study.main.split}.png")
        draw_relations(study, related, pictures[-1])
    if study.page:
        _write_page(plan, results[0], loaded, of_main + about, workers)
    cost = costs(plan, timings)
    record = _record(plan, results, notes, timings)
    main = record["splits"][study.main.split]
    main["matched"] = plain([asdict(row) for row in matched])
    main["matched_pairs"] = plain([asdict(row) for row in matched_pairs])
    main["relations"] = plain([relation_record(result) for result in related])
    record["checkpoints"] = plain([asdict(curve) for curve in checkpoints])
    record["cost"] = plain(asdict(cost))
    record["temperature"] = {"best": best, "pass@1": accuracy}
    record["seconds"] = {
        "jobs": sum(timings.get(job.name, 0.0) for job in plan.jobs()),
        "this call": time.monotonic() - started,
        "of it measuring": time.monotonic() - ran,
    }
    write_json(plan.out / RESULTS, record)
    end = cost_sentence(cost.total, study.command)
    found = tables(study, results, of_main) + about
    _write_text(plan.out / TABLE, markdown(study, found, notes, end))
    _tell(console, plan, found, [*notes, end], pictures, record["seconds"]["this call"])
    return record


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder; the system drops it when the process dies.

    Raises:
        ConfigError: another process holds it. Two would train into the same runs.
    """
    with (folder / ".lock").open("ab") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"Another study is at work in {folder}. Wait for it, or use another --out."
                ) from None
        yield


def plan_record(plan: Plan) -> list[dict[str, Any]]:
    """Return every job of a study with whether it is done."""
    return [
        {
            "job": job.name,
            "done": job.result.exists(),
            "after": list(job.after),
            "result": str(job.result),
        }
        for job in plan.jobs()
    ]


def _write_settings(plan: Plan) -> None:
    """Write the study as run, and beside each method's runs what its folder's hash stands for."""
    _write_text(plan.out / "study.yaml", plan.study.text)
    for name in {plan.study.trained(name).name: None for name in plan.study.methods}:
        folder = plan.method_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "settings.json", plain(plan.method_identity(name)))


def _draw(
    plan: Plan,
    results: Sequence[SplitResult],
    checkpoints: Sequence[figures.TrainingCurve],
    trails: Mapping[str, Trail],
) -> list[Path]:
    pictures = []
    for result in results:
        paths = [
            plan.out / f"{name}-{result.evaluation.split}.png" for name in ("pass_at_k", FRONT)
        ]
        figures.draw_pass_curves(result, paths[0])
        draw_front(result, paths[1], trails=trails if result is results[0] else {})
        pictures += paths
    names = list(plan.study.methods)
    for name, title, curves in (
        ("training", "samples drawn in training", logged_curves(plan)),
        ("checkpoints", f"checkpoints on {plan.study.main.split}", checkpoints),
    ):
        if curves:
            path = plan.out / f"{name}.png"
            if len(plan.study.seeds) > 1:
                title += f", mean of {len(plan.study.seeds)} seeds"
                if len(names) <= figures.MOST_BANDS:
                    title += " (bands from the lowest to the highest)"
            figures.draw_training(curves, names, path, title=title)
            pictures.append(path)
    return pictures


def _write_page(
    plan: Plan,
    result: SplitResult,
    loaded: Mapping[str, Seeds],
    extra: Sequence[Table],
    workers: int,
) -> None:
    runs = [loaded[row.name] for row in result.rows if row.name != BASE]
    settings = AnalysisSettings(ks=result.evaluation.ks)
    more: list[PageTable | PagePicture] = [
        PageTable(title=t.title, columns=t.columns, rows=t.rows, notes=t.notes) for t in extra
    ]
    titles = {FRONT: "Accuracy and diversity", RELATION: "Relations of metrics"}
    for name in (FRONT, RELATION) if plan.study.relations else (FRONT,):
        picture = plan.out / f"{name}-{result.evaluation.split}.png"
        more.append(PagePicture(title=titles[name], png=picture.read_bytes()))
    comparison = compare(loaded[BASE], runs, settings=settings, workers=workers)
    write_page(comparison, plan.out / PAGE, more=more)


def _record(
    plan: Plan, results: Sequence[SplitResult], notes: Sequence[str], timings: Mapping[str, float]
) -> dict[str, Any]:
    study = plan.study
    described = {k: v for k, v in asdict(study).items() if k != "text"}
    record: dict[str, Any] = plain(
        {
            "study": {**described, "recipe": str(study.recipe)},
            "polypath": polypath.__version__,
            "notes": list(notes),
            "splits": {
                result.evaluation.split: {
                    "num_problems": result.num_problems,
                    "not_judged": result.not_judged,
                    "keep_by_luck": result.keep_by_luck,
                    "explore_by_luck": result.explore_by_luck,
                    "rows": [_row_record(row) for row in result.rows],
                    "pairs": [
                        {"method": one, "against": other, "differences": differences}
                        for (one, other), differences in result.pairs.items()
                    ],
                    "temperatures": [_row_record(row) for row in result.cooled],
                    "method_temperatures": {
                        name: [_row_record(row) for row in rows]
                        for name, rows in result.method_temperatures.items()
                    },
                }
                for result in results
            },
            "training": {
                name: [
                    {
                        "folder": str(plan.run_folder(name, seed)),
                        "last": (plan.log(name, seed) or [{}])[-1],
                    }
                    for seed in study.seeds
                ]
                for name in study.methods
            },
            "job_seconds": {job.name: timings.get(job.name) for job in plan.jobs()},
        }
    )
    return record


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "label": row.label,
        "seeds": row.seeds,
        "temperature": row.temperature,
        "training_seconds": row.seconds,
        "folders": [str(folder) for folder in row.folders],
        "metrics": row.metrics,
        "against_base": row.against_base,
        "against": row.against,
        "pass_curve": row.pass_curve,
    }


def _tell(
    console: Console,
    plan: Plan,
    found: Sequence[Table],
    notes: Sequence[str],
    pictures: Sequence[Path],
    seconds: float,
) -> None:
    if plan.study.question:
        console.print(Text(plan.study.question))
    for note in notes:
        console.print(Text(note))
    print_tables(console, found)
    files = [plan.out / TABLE, plan.out / RESULTS, *pictures]
    files += [plan.out / PAGE] if plan.study.page else []
    console.print(Text(f"Written: {', '.join(map(str, files))}"), soft_wrap=True)
    console.print(f"{seconds:.0f} s in this call.")


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
