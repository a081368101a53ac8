"""``polypath score`` and ``polypath export``: samples verified again, and given to other tools."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from polypath.cli.runs import ShardOption, TaskOptionsOption, key_mapping, status_line, write_json
from polypath.credentials import HIDDEN, hidden
from polypath.errors import ConfigError
from polypath.tasks.options import key_values
from polypath.terminal import Terminal

if TYPE_CHECKING:
    from polypath.rollouts.reverify import ReverifySummary
    from polypath.rollouts.sources import SampleSource
    from polypath.sampling.ranks import Ranks

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the summary there as JSON.")]


def score(
    run: Annotated[
        Path, typer.Argument(help="Run folder or sample store; or a file, with --task.")
    ],
    task: Annotated[
        str | None, typer.Option(help="Verify with this task; the one sampled by default.")
    ] = None,
    task_option: TaskOptionsOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write; RUN-verified by default.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Take prompts and gold answers a file lacks from this split."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="What a file calls something: OURS=THEIRS. Repeatable."),
    ] = None,
    shard: ShardOption = None,
    json_file: JsonOption = None,
) -> None:
    """Verify samples again, or for the first time, into a new run folder.

    The run itself is only read. Stopped, the same command resumes. Under torchrun, or with --shard,
    several processes share the work on a run. A file of samples may be JSONL, Parquet, or of TRL,
    verl or lighteval.
    """
    from polypath.rollouts.sources import find_source
    from polypath.sampling.ranks import find_ranks

    console = Terminal()
    options = key_values(task_option or ())
    ranks = find_ranks(shard)
    source = find_source(run, {})
    out = out or source.sibling("-verified")
    if source.store is None:
        if not ranks.part.is_whole:
            raise ConfigError(
                f"{run} is a file, which one process verifies, with as many workers as it has "
                "cores; start it without --shard and torchrun."
            )
        record = _verify_file(console, run, task, options, out, split, key or ())
    elif split is not None or key:
        raise ConfigError(f"{run} is a sample store; --split and --key are for files.")
    else:
        record = _verify_run(console, source, task, options, out, ranks)
    if record:
        write_json(json_file, record)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder or sample store.")],
    out: Annotated[Path, typer.Option(help="The JSONL file to write.")],
    token_ids: Annotated[bool, typer.Option(help="With the tokens themselves.")] = True,
) -> None:
    """Write all samples of a run as JSON lines."""
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
) -> dict[str, object]:
    """Verify a run and return what changed; nothing while other parts are at work."""
    from polypath.rollouts import RolloutStore
    from polypath.rollouts.reverify import compare_verdicts, count_shards, reverify_run
    from polypath.sampling.ranks import wait_for
    from polypath.tasks import get_task
    from polypath.tasks.own_file import HASH, absolute_place

    run = source.path
    recorded = RolloutStore.open(source.store or run).manifest
    name = task or recorded.task
    if name is None:
        raise ConfigError(f"{run} does not say which task verifies it; name it with --task.")
    if absolute_place(name) == recorded.task:
        kept = {k: v for k, v in recorded.task_options.items() if HIDDEN not in v}
        if task is not None:
            kept.pop(HASH, None)  # named again: as its file is now
        options = {**kept, **options}
    verifier = get_task(name, options)
    new = reverify_run(
        run,
        out,
        verifier.verify_batch,
        task=verifier.name,
        task_options=hidden(verifier.options),
        part=ranks.part,
    )
    if not ranks.leads:
        return {}
    done, total = count_shards(run, out)
    if ranks.waits:
        wait_for(lambda: count_shards(run, out)[0], total, label="shards", console=console)
    elif done < total:
        console.out(
            f"{out}: {done} of {total} shards are verified. The other parts verify the rest, or "
            "polypath score without --shard.",
        )
        return {}
    elif not new:
        console.out(f"{out} was complete already; to verify again, delete it or name another.")
    changed = compare_verdicts(run, out)
    _print_changes(console, name, changed)
    console.out(f"Written to {out}; {run} is as it was.")
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
    run: Path,
    task: str | None,
    options: Mapping[str, str],
    out: Path,
    split: str | None,
    keys: Sequence[str],
) -> dict[str, object]:
    from polypath.rollouts import RolloutManifest, encode_prompt
    from polypath.rollouts.left_out import tell_left_out
    from polypath.rollouts.transfer import import_run
    from polypath.tasks import get_task

    if task is None:
        raise ConfigError(f"{run} is a file of samples; to verify it, --task is needed as well.")
    verifier = get_task(task, options)
    asked = () if split is None else verifier.problems(split)
    done = import_run(
        run,
        out,
        RolloutManifest(
            model=f"imported from {run.name}",
            task=task,
            split=split,
            task_options=hidden(verifier.options),
        ),
        keys=key_mapping(keys),
        verify_batch=verifier.verify_batch,
        problems={p.problem_id: (encode_prompt(p.prompt), p.gold) for p in asked},
    )
    greedy = f", {done.num_greedy} greedy samples" if done.num_greedy else ""
    console.out(f"{out}: {done.num_rows} samples verified, {done.new_rows} new{greedy}")
    line = status_line(done.statuses)
    if line is not None:
        console.out(line)
    if done.left_out:
        console.out(f"Left out: {tell_left_out(done.left_out, done.left_out_at)}")
    return asdict(done)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
