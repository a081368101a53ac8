"""``polypath tasks``: what there is to train and to evaluate on, and whether its golds can be verified."""

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from polypath.cli.runs import TaskOptionsOption, console_beside, write_text
from polypath.errors import unknown_name
from polypath.tasks.options import key_values

if TYPE_CHECKING:
    from polypath.tasks import Problem, Task
    from polypath.tasks.checking import GoldCheck

SHOWN = 20  # failed golds in the terminal; --json has all

tasks = typer.Typer(
    help="List tasks, show one, or check its golds.",
    invoke_without_command=True,
    add_completion=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The task.")]
SplitOption = Annotated[str | None, typer.Option(help="Split; the last one by default.")]


@tasks.callback()
def list_tasks(
    context: typer.Context,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the list there as JSON; - prints it.")
    ] = None,
) -> None:
    """List every task: what it is, its splits, where it comes from, how it is verified and evaluated."""
    if context.invoked_subcommand is not None:
        return
    from polypath.tasks import TASKS, get_task

    console = console_beside(json_file)
    records = [_record(get_task(name)) for name in TASKS]
    table = Table(title="Tasks", title_justify="left")
    for column in ("task", "what", "splits", "from", "verifier", "sample and eval by default"):
        table.add_column(column, overflow="fold")
    for record in records:
        table.add_row(
            record["name"],
            record["what"],
            ", ".join(record["splits"]),
            record["hub"] or "-",
            record["verifier"],
            _protocol(record["evaluation"]),
        )
    console.print(table)
    console.print("polypath tasks show NAME tells the options of one; they are given with")
    console.print("--task-option KEY=VALUE, or under task_options in a recipe.")
    if json_file is not None:
        write_text(json_file, json.dumps(records, indent=2) + "\n")


@tasks.command()
def show(
    name: NameArgument,
    task_option: TaskOptionsOption = None,
    split: SplitOption = None,
) -> None:
    """Show one task: its options, and, where its data can be read, its fields and first problem."""
    from polypath.errors import PolypathError
    from polypath.tasks import get_task

    console = Console(highlight=False)
    task = get_task(name, key_values(task_option or ()))
    record = _record(task)
    split = split or task.splits[-1]
    console.print(f"{name}: {record['what']}", markup=False, soft_wrap=True)
    table = Table(show_header=False)
    for label, text in (
        ("splits", ", ".join(record["splits"])),
        ("hub", record["hub"] or "-"),
        ("verifier", record["verifier"]),
        ("evaluation", _protocol(record["evaluation"])),
        ("source", record["evaluation"]["source"]),
        *((f"option {key}", text) for key, text in record["options"].items()),
    ):
        table.add_row(label, text)
    console.print(table)
    try:
        problems = task.problems(split)
    except PolypathError as error:
        if task_option or split not in task.splits:
            raise
        console.print(f"Not read: {error}", markup=False, soft_wrap=True)
        return
    fields = getattr(task, "fields", {})
    if fields:
        listing = ", ".join(f"{what} in {field!r}" for what, field in fields.items())
        console.print(f"Fields: {listing}", markup=False, soft_wrap=True)
    console.print(f"Split {split}: {len(problems)} problems", markup=False)
    _print_problem(console, problems[0])


@tasks.command()
def check(
    name: NameArgument,
    task_option: TaskOptionsOption = None,
    split: SplitOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Check the first so many only.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything there as JSON; - prints it.")
    ] = None,
) -> None:
    """Verify every gold against itself, and list those that are not right.

    Also verifies each gold against another problem's: nearly all of these must be wrong.
    """
    from polypath.tasks import get_task
    from polypath.tasks.checking import check_golds

    console = console_beside(json_file)
    task = get_task(name, key_values(task_option or ()))
    split = split or task.splits[-1]
    problems = task.problems(split, limit)
    with _counting(f"Checking {name} {split}", 2 * len(problems)) as advance:
        done = check_golds(task, split, problems, progress=advance)
    _print_check(console, done)
    if json_file is not None:
        record = {**asdict(done), "share_wrong_when_shuffled": done.share_wrong_when_shuffled}
        write_text(json_file, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _print_check(console: Console, done: "GoldCheck") -> None:
    if done.failed:
        table = Table(title="Golds their own verifier does not find right", title_justify="left")
        for column in ("problem", "gold", "status"):
            table.add_column(column, overflow="fold")
        for failed in done.failed[:SHOWN]:
            table.add_row(*(_plain(t) for t in (failed.problem_id, failed.gold, failed.status)))
        console.print(table)
        if len(done.failed) > SHOWN:
            console.print(f"... and {len(done.failed) - SHOWN} more; --json lists all.")
    right = done.num_problems - len(done.failed)
    console.print(
        f"{done.task} {done.split}: {right} of {done.num_problems} golds are right by themselves; "
        f"{len(done.failed)} are not.",
        markup=False,
        soft_wrap=True,
    )
    share = done.share_wrong_when_shuffled
    if share is not None:
        console.print(
            f"Verified against another problem's gold: {done.num_shuffled - len(done.accepted)} of "
            f"{done.num_shuffled} are wrong ({share:.1%}).",
            markup=False,
            soft_wrap=True,
        )
    for pair in done.accepted[:SHOWN]:
        console.print(
            f"  right all the same: {pair.answer} for {pair.gold}",
            markup=False,
            soft_wrap=True,
        )
    if len(done.accepted) > SHOWN:
        console.print(f"  ... and {len(done.accepted) - SHOWN} more; --json lists all.")


def _record(task: "Task") -> dict[str, Any]:
    """Describe a task, whether or not it says more of itself than the interface asks for."""
    lines = (inspect.getdoc(inspect.getmodule(type(task))) or "").splitlines()
    return {
        "name": task.name,
        "what": getattr(task, "what", None) or (lines[0] if lines else ""),
        "splits": list(task.splits),
        "hub": getattr(task, "hub", None),
        "verifier": getattr(task, "verifier", None) or "its own",
        "evaluation": asdict(task.evaluation),
        "options": _options(task.name),
    }


def _options(name: str) -> dict[str, str]:
    from polypath.tasks import TASKS
    from polypath.tasks.record_task import OPTION_HELP

    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    known = [key for key in inspect.signature(TASKS[name]).parameters if key != "name"]
    return {key: OPTION_HELP.get(key, "") for key in known}


def _protocol(evaluation: Mapping[str, Any]) -> str:
    return (
        f"n {evaluation['num_samples']}, T {evaluation['temperature']:g}, top_p "
        f"{evaluation['top_p']:g}, {evaluation['max_completion_length']} tokens"
    )


def _print_problem(console: Console, problem: "Problem") -> None:
    prompt = problem.prompt
    lines = (
        [prompt] if isinstance(prompt, str) else [f"[{m['role']}] {m['content']}" for m in prompt]
    )
    for line in (f"First problem: {problem.problem_id}", *lines, f"Gold: {problem.gold}"):
        console.print(line, markup=False, soft_wrap=True)


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


@contextmanager
def _counting(what: str, total: int) -> Iterator[Any]:
    """Show progress on stderr; yield what advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        task_id = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task_id, count)
