"""``polypath tasks``: lists the tasks, and checks that their gold answers verify."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polypath.cli.command import command
from polypath.cli.examples import examples
from polypath.cli.runs import JsonOption, TaskOptionsOption, console_beside, write_json
from polypath.errors import PolypathError
from polypath.settings import setting
from polypath.tasks.options import key_values
from polypath.terminal import Terminal

if TYPE_CHECKING:
    from polypath.tasks import Problem, Task
    from polypath.tasks.checking import GoldCheck

SHOWN = 20  # failed golds printed in the terminal; --json has all

tasks = typer.Typer(
    help="List tasks, show one, or check its gold answers.\n\nWithout a command, all tasks are listed.",
    invoke_without_command=True,
    add_completion=False,
)


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """A task named on the command line."""

    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Task: a name from polypath tasks, or your own as file.py:function or a YAML file.",
        ),
    ]
    task_option: TaskOptionsOption = None
    split: str | None = setting(None, "Split of the task; its last one by default.")

    def load(self) -> "tuple[Task, str]":
        """Return the task and the name of the split."""
        from polypath.tasks import get_task

        task = get_task(self.name, key_values(self.task_option or ()))
        return task, self.split or task.splits[-1]


@tasks.callback()
@command
def list_tasks(context: typer.Context, json_file: JsonOption = None) -> None:
    """List every task: its splits, source, verifier and evaluation protocol."""
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
    console.out(
        "polypath tasks show NAME lists the options of a task. Give them as --task-option "
        "KEY=VALUE, or under task_options in a recipe."
    )
    write_json(json_file, records)


@tasks.command(epilog=examples("tasks show"))
@command
def show(options: NamedTask) -> None:
    """Show the options and the first problem of a task.

    The problem and the fields are shown if the task's data can be read.
    """
    console = Terminal()
    task, split = options.load()
    record = _record(task)
    console.out(f"{task.name}: {record['what']}")
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
        # The options are useful even without data, unless the user named data or a split.
        if options.task_option or split not in task.splits:
            raise
        console.out(f"Not read: {error}")
        return
    fields = getattr(task, "fields", {})
    if fields:
        console.out(f"Fields: {', '.join(f'{what} in {name!r}' for what, name in fields.items())}")
    console.out(f"Split {split}: {len(problems)} problems")
    _print_problem(console, problems[0])


@tasks.command(epilog=examples("tasks check"))
@command
def check(
    options: NamedTask,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Check at most this many problems, from the first on.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Check that gold answers pass the verifier of a task.

    Verifies each gold answer against itself, and lists those that fail. Also verifies it against another
    problem's gold answer: nearly all of these must be wrong. Mathematics needs polypath[math], and SQL
    polypath[sql].
    """
    from polypath.sampling.progress import ProgressReport
    from polypath.tasks.checking import check_golds

    console, errors = console_beside(json_file), Terminal(stderr=True)
    task, split = options.load()
    problems = task.problems(split, limit)
    label, shown = f"Checking {task.name} {split}", errors if errors.is_terminal else None
    with ProgressReport(label, 2 * len(problems), console=shown) as progress:
        done = check_golds(task, split, problems, progress=progress.advance)
    _print_check(console, done)
    record = {**asdict(done), "share_wrong_when_shuffled": done.share_wrong_when_shuffled}
    write_json(json_file, record)


def _print_check(console: Console, done: "GoldCheck") -> None:
    if done.failed:
        table = Table(title="Gold answers that fail against themselves", title_justify="left")
        for column in ("problem", "gold", "status"):
            table.add_column(column, overflow="fold")
        for failed in done.failed[:SHOWN]:
            table.add_row(*map(Text, (failed.problem_id, failed.gold, failed.status)))
        console.print(table)
        _print_rest(console, len(done.failed))
    right = done.num_problems - len(done.failed)
    console.out(
        f"{done.task} {done.split}: {right} of {done.num_problems} gold answers are right against "
        f"themselves; {len(done.failed)} are not."
    )
    share = done.share_wrong_when_shuffled
    if share is not None:
        console.out(
            f"Against another problem's gold answer: {done.num_shuffled - len(done.accepted)} of "
            f"{done.num_shuffled} are wrong ({share:.1%})."
        )
    for pair in done.accepted[:SHOWN]:
        console.out(f"  still right: {pair.answer} for {pair.gold}")
    _print_rest(console, len(done.accepted))


def _print_rest(console: Console, total: int) -> None:
    if total > SHOWN:
        console.out(f"... and {total - SHOWN} more; --json has all.")


def _record(task: "Task") -> dict[str, Any]:
    """Describe a task, even if it has only the members that the interface requires."""
    from polypath.tasks import task_options

    lines = (inspect.getdoc(inspect.getmodule(type(task))) or "").splitlines()
    return {
        "name": task.name,
        "what": getattr(task, "what", None) or (lines[0] if lines else ""),
        "splits": list(task.splits),
        "hub": getattr(task, "hub", None),
        "verifier": getattr(task, "verifier", None) or "its own",
        "evaluation": asdict(task.evaluation),
        "options": dict(task_options(task.name)),
    }


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
        console.print(line, soft_wrap=True)
