"""``polypath score`` and ``polypath export``: verify samples again, and pass them to other tools."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from polypath.cli.runs import (
    RayOption,
    RayWorkersOption,
    TaskOptionsOption,
    chosen_cluster,
    key_mapping,
    named_path,
    status_line,
    write_json,
)
from polypath.credentials import HIDDEN, hidden
from polypath.errors import ConfigError
from polypath.tasks.options import key_values
from polypath.terminal import Terminal

if TYPE_CHECKING:
    from polypath.executor.cluster import RayCluster
    from polypath.rollouts.reverify import ReverifySummary
    from polypath.rollouts.sources import SampleSource
    from polypath.sampling.ranks import Ranks
    from polypath.tasks.base import Task

JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the summary to this JSON file; - prints it.")
]


def score(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Run folder or sample store. Or a file of samples, which needs --task; with --run-key "
            "also NAME=FILE.",
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(help="Verify with this task; by default the one the run was sampled on."),
    ] = None,
    task_option: TaskOptionsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder to write; by default the name of the run with -verified after it."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of the task that supplies prompts and gold answers the file lacks."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="OURS=THEIRS",
            help="Column name in the file: completion=response reads completions from the column "
            "response. Repeatable.",
        ),
    ] = None,
    run_key: Annotated[
        str | None,
        typer.Option(
            help="Column that tells the runs of a file apart, such as model. Each run is written to a "
            "folder of its own inside --out; NAME=FILE verifies the run called NAME alone. none reads "
            "all rows as one run."
        ),
    ] = None,
    ray: RayOption = None,
    workers: RayWorkersOption = None,
    json_file: JsonOption = None,
) -> None:
    """Verify samples and write them to a new run folder.

    The samples come from a run folder, or from a file: JSONL, Parquet, or the output of TRL, verl or
    lighteval. They are only read. Rerun the command to resume. Several processes can share the work on
    a run folder, under torchrun or on a Ray cluster. Mathematics needs polypath[math], and SQL polypath[sql].
    """
    from polypath.rollouts.sources import TOGETHER, find_source
    from polypath.sampling.ranks import find_ranks
    from polypath.tasks import get_task

    console = Terminal()
    options = key_values(task_option or ())
    ranks = find_ranks()
    cluster = partial(chosen_cluster, ray, workers, console)
    apart = None if run_key == TOGETHER else run_key
    name, path = (None, Path(run)) if apart is None else named_path(run)
    source = find_source(path, {})
    out = out or source.sibling("-verified")
    if source.store is None:
        if not ranks.part.is_whole:
            raise ConfigError(
                f"{path} is a file, and one process verifies a file, with as many workers as it has "
                "cores. Start it without torchrun."
            )
        cluster(unless="a file is verified in one process")
        if task is None:
            raise ConfigError(f"{path} is a file of samples. To verify it, add --task.")
        keys, verifier = key_mapping(key or ()), get_task(task, options)
        verify = partial(_verify_file, console, path, task, verifier, split, keys)
        if apart is None:
            record = verify(out, run_key)
        else:
            record = {
                found: verify(out / _folder_name(found), apart, found)
                for found in _runs(path, name, apart, keys)
            }
    elif split is not None or key or apart is not None:
        raise ConfigError(f"{path} is a sample store; --split, --key and --run-key are for files.")
    else:
        shared = "" if ranks.part.is_whole else "several processes share the work already"
        record = _verify_run(console, source, task, options, out, ranks, cluster(unless=shared))
    if record:
        write_json(json_file, record)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or sample store.")],
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    token_ids: Annotated[
        bool, typer.Option(help="Write the token ids of each sample, too.")
    ] = True,
) -> None:
    """Write all samples of a run as JSON lines, one sample per line."""
    from polypath.rollouts.transfer import export_jsonl

    lines = export_jsonl(run, out, token_ids=token_ids)
    Terminal().out(f"{out}: {lines} lines")


def _verify_run(
    console: Terminal,
    source: "SampleSource",
    task: str | None,
    options: Mapping[str, str],
    out: Path,
    ranks: "Ranks",
    cluster: "RayCluster | None",
) -> dict[str, object]:
    """Verify a run and return what changed; return nothing in a process that does not lead."""
    from polypath.executor.open import open_executor
    from polypath.executor.protocol import WorkerSettings
    from polypath.rollouts import RolloutStore
    from polypath.rollouts.manifest import TASK_FILE_HASH
    from polypath.rollouts.reverify import compare_verdicts, count_shards, reverify_run
    from polypath.sampling.progress import ProgressReport
    from polypath.sampling.ranks import wait_for
    from polypath.tasks import get_task
    from polypath.tasks.own_file import absolute_place

    run = source.path
    recorded = RolloutStore.open(source.store or run).manifest
    name = task or recorded.task
    if name is None:
        raise ConfigError(f"{run} does not record the task that verifies it. Name it with --task.")
    if absolute_place(name) == recorded.task:
        kept = {k: v for k, v in recorded.task_options.items() if HIDDEN not in v}
        if task is not None:
            kept.pop(
                TASK_FILE_HASH, None
            )  # the user names the task again, so its file counts as it is now
        options = {**kept, **options}
    verifier = get_task(name, options)
    with contextlib.ExitStack() as stack:
        executor = None
        if cluster is not None:
            state = partial(get_task, verifier.name, dict(verifier.options))
            opening = open_executor(cluster, WorkerSettings(state=state), say=console.out)
            executor = stack.enter_context(opening)
        shards = sum(len(RolloutStore.open(s).shards()) for s in (source.store, source.greedy) if s)
        alone = console if ranks.part.is_whole else None  # others tell how many they wait for
        progress = ProgressReport("verifying shards", shards, console=alone)
        new = reverify_run(
            run,
            out,
            verifier.verify_batch,
            task=verifier.name,
            task_options=hidden(verifier.options),
            part=ranks.part,
            executor=executor,
            progress=stack.enter_context(progress).advance,
        )
    if not ranks.leads:
        return {}
    if not ranks.part.is_whole:
        _, total = count_shards(run, out)
        wait_for(lambda: count_shards(run, out)[0], total, label="shards", console=console)
    elif not new:
        console.out(
            f"{out} was already complete. To verify again, delete it or name another folder."
        )
    changed = compare_verdicts(run, out)
    _print_changes(console, name, changed)
    console.out(f"Written to {out}; {run} is unchanged.")
    return {store: asdict(summary) for store, summary in changed.items()}


def _print_changes(console: Terminal, task: str, changed: "Mapping[str, ReverifySummary]") -> None:
    table = Table(title=f"Verified by {task}", title_justify="left")
    for column in ("store", "rows", "now right", "now wrong", "other answer", "statuses"):
        table.add_column(column)
    for store, done in changed.items():
        numbers = (done.num_rows, done.now_right, done.now_wrong, done.new_answers)
        table.add_row(store, *map(str, numbers), _counts(done.statuses))
        if done.unreadable_shards:
            console.out(f"Left out of {store}: {done.unreadable_shards} unreadable shard(s)")
    console.print(table)


def _verify_file(
    console: Terminal,
    path: Path,
    task: str,
    verifier: "Task",
    split: str | None,
    keys: Mapping[str, str],
    out: Path,
    run_key: str | None,
    run: str | None = None,
) -> dict[str, object]:
    from polypath.rollouts import RolloutManifest, encode_prompt
    from polypath.rollouts.left_out import tell_left_out
    from polypath.rollouts.transfer import import_run

    asked = () if split is None else verifier.problems(split)
    of_run = "" if run is None else f"{run}, "
    out.mkdir(parents=True, exist_ok=True)
    done = import_run(
        path,
        out,
        RolloutManifest(
            model=f"{of_run}imported from {path.name}",
            task=task,
            split=split,
            task_options=hidden(verifier.options),
        ),
        keys=keys,
        verify_batch=verifier.verify_batch,
        problems={p.problem_id: (encode_prompt(p.prompt), p.gold) for p in asked},
        run_key=run_key,
        run=run,
    )
    greedy = f", {done.num_greedy} greedy samples" if done.num_greedy else ""
    console.out(f"{out}: {done.num_rows} samples verified, {done.new_rows} new{greedy}")
    line = status_line(done.statuses)
    if line is not None:
        console.out(line)
    if done.left_out:
        console.out(f"Left out: {tell_left_out(done.left_out, done.left_out_at)}")
    return asdict(done)


def _runs(path: Path, name: str | None, run_key: str, keys: Mapping[str, str]) -> Sequence[str]:
    """Return the runs of a file to verify: all, or the one called ``name``."""
    from polypath.rollouts.transfer import run_names

    found = run_names(path, run_key, keys=keys)
    if not found:
        raise ConfigError(f"--run-key {run_key}: {path} has no column of that name with a value.")
    if name is not None and name not in found:
        raise ConfigError(f"{path} has no {run_key} {name!r}; it has {', '.join(found)}.")
    return found if name is None else (name,)


def _folder_name(run: str) -> str:
    """Return a run's name as one part of a path that cannot lead to another folder."""
    name = quote(run.replace("/", "--"), safe=" ") or "%"
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
