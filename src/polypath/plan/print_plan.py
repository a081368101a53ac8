"""Prints a plan for people."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polypath.plan.batches import Batches
from polypath.plan.make_plan import Plan
from polypath.plan.memory import Memory

PRESENT = {True: "here", False: "not here", None: "not checked"}


def print_plan(console: Console, plan: Plan) -> None:
    """Print a plan: methods, sizes, needs, and the source of every setting."""
    table = _table(f"Plan of {plan.recipe}; nothing was started")
    for line in plan.methods:
        table.add_row("method", line)
    table.add_row("rewards", ", ".join(plan.rewards) or "none named")
    size = "" if plan.parameters is None else f", {_short(plan.parameters)} parameters"
    table.add_row("model", f"{plan.model or '(not named)'}{size} ({plan.architecture})")
    for name, text in _batch_lines(plan.batches):
        table.add_row(name, text)
    table.add_row("GPUs", _gpus(plan))
    if plan.memory is not None:
        for name, text in _memory_lines(plan, plan.memory):
            table.add_row(name, text)
    if plan.gpu_hours is not None:
        hours = plan.gpu_hours
        table.add_row(
            "GPU hours at most", f"{hours:,.1f} ({hours / plan.gpus:,.1f} h on {plan.gpus})"
        )
    if plan.cost is not None:
        table.add_row("cost at most", f"{plan.cost:,.2f}")
    console.print(table)
    _print_needs(console, plan)
    _print_sources(console, plan)
    for note in plan.notes:
        console.print(Text(f"Note: {note}"))


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def _batch_lines(batches: Batches) -> list[tuple[str, str]]:
    step = (
        f"{batches.prompts_per_step:g} prompts x {batches.num_generations} = "
        f"{batches.completions_per_step} completions"
    )
    if batches.rehearsed_per_step:
        step += f", and {batches.rehearsed_per_step} rehearsed"
    lines = [("a step", step)]
    if batches.steps_per_generation != 1:
        lines.append(
            (
                "a generation",
                f"{batches.prompts_per_generation} prompts x {batches.num_generations} = "
                f"{batches.completions_per_generation} completions, used in "
                f"{batches.steps_per_generation:g} steps",
            )
        )
    count = "?" if batches.problems is None else f"{batches.problems:,}"
    lines.append(("problems", f"{count} ({batches.problems_from})"))
    if batches.steps is None:
        lines.append(("steps", "not known before the data is read"))
        return lines
    lines += [
        ("steps", f"{batches.steps:,}"),
        ("prompts visited", f"{batches.prompts:,}"),
        ("completions", f"{batches.completions:,}"),
        ("tokens at most", f"{_short(batches.tokens_generated)} generated, "
         f"{_short(batches.tokens_trained)} trained on"),
    ]  # fmt: skip
    return lines


def _short(count: int | None) -> str:
    if count is None:
        return "?"
    for size, name in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return f"{count:,}"


def _gpus(plan: Plan) -> str:
    servers = plan.gpus - plan.batches.processes
    server = f" + {servers} for the vLLM server" if servers else ""
    size = "" if plan.gpu_gb is None else f", of {plan.gpu_gb:g} GB"
    return f"{plan.batches.processes} for training{server}{size}; sharding: {plan.sharding}"


def _memory_lines(plan: Plan, memory: Memory) -> list[tuple[str, str]]:
    parts = ", ".join(f"{name} {size:.1f}" for name, size in memory.parts.items() if size)
    lines = [
        ("memory a GPU", f"about {memory.peak:.1f} GB at its peak: {parts}"),
        ("", f"for {plan.prompt_tokens:,} prompt tokens and the longest completion; CUDA's own, buffers "
         "and the embedder come on top"),
    ]  # fmt: skip
    if memory.host:
        lines.append(("memory of the host", f"{memory.host:.0f} GB"))
    return lines


def _print_needs(console: Console, plan: Plan) -> None:
    table = Table(title="Needs", title_justify="left", show_header=False)
    for need in plan.needs:
        hint = f" ({need.hint})" if need.hint else ""
        table.add_row(need.what, need.name, f"{PRESENT[need.present]}{hint}")
    console.print(table)


def _print_sources(console: Console, plan: Plan) -> None:
    table = Table(title="Source of each setting", title_justify="left")
    for column in ("setting", "value", "source"):
        table.add_column(column)
    for setting in plan.settings:
        table.add_row(setting.key, str(setting.value), setting.note or setting.source)
    console.print(table)
