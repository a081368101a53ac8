"""The ``polypath`` command: parse, one library call, print.

Exit codes: 0 done; 2 a mistake of the user or a place that cannot be written to, reported in one line; 130
interrupted; 1 a bug, with a traceback.
Nothing here imports torch; a command imports what it needs when it runs.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer

import polypath
from polypath.cli.diversity import compare, diversity
from polypath.cli.examples import examples
from polypath.cli.methods import methods
from polypath.cli.presample import presample
from polypath.cli.quickstart import quickstart
from polypath.cli.recipes import recipes
from polypath.cli.report import report
from polypath.cli.sample import evaluate, sample
from polypath.cli.score import export, score
from polypath.cli.similarity import similarity
from polypath.cli.study import study
from polypath.cli.tasks import tasks
from polypath.cli.train import TrainCommand, train
from polypath.credentials import one_line
from polypath.errors import PolypathError
from polypath.terminal import Terminal, visible

# Packages that a base install lacks -> the extra that installs them.
EXTRAS = {
    **dict.fromkeys(
        ("torch", "transformers", "trl", "accelerate", "datasets", "safetensors"), "trl"
    ),
    **{
        "math_verify": "math",
        "sqlglot": "sql",
        "sentence_transformers": "embedding",
        "peft": "peft",
    },
}
HELP = """Diversity-aware reinforcement learning for LLM reasoning.

Train a model with GRPO and diversity methods, sample it, verify the samples, and measure what changed.
Commands that train or load a model need more packages: pip install 'polypath[trl]'.
"""
app = typer.Typer(
    name="polypath",
    help=HELP,
    epilog=examples(""),
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # brackets in help texts are ranges and defaults, not markup
    context_settings={"max_content_width": 100},
)
app.command(epilog=examples("quickstart"))(quickstart)
app.command(
    cls=TrainCommand,
    epilog=examples("train"),
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(train)
app.command(epilog=examples("sample"))(sample)
app.command(epilog=examples("score"))(score)
app.command("eval", epilog=examples("eval"))(evaluate)
app.command(epilog=examples("export"))(export)
app.command(epilog=examples("presample"))(presample)
app.command(epilog=examples("diversity"))(diversity)
app.command(epilog=examples("compare"))(compare)
app.command(epilog=examples("similarity"))(similarity)
app.command(epilog=examples("report"))(report)
app.command(epilog=examples("study"))(study)
app.command(epilog=examples("methods"))(methods)
app.command(epilog=examples("recipes"))(recipes)
app.add_typer(tasks, name="tasks", epilog=examples("tasks"))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"polypath {polypath.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    del version  # handled by its callback
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    # Transformers deprecates what TRL 1.16 still sets; users cannot do anything about it.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.formatwarning = _warning
    errors = Terminal(stderr=True)
    try:
        result = app(args=arguments, prog_name="polypath", standalone_mode=False)
        sys.stdout.flush()
    except PolypathError as error:
        errors.out(f"polypath: {one_line(error)}")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        errors.out("polypath: interrupted. Rerun the command to resume.")
        return 130
    except OSError as error:  # a full disk, a folder without write permission, and similar
        _leave_stdout()
        reason = error.strerror or " ".join(str(error.args[0] if error.args else error).split())
        place = error.filename or "the output"
        errors.out(
            f"polypath: Cannot use {place}: {reason}. Name another place, or free some space."
        )
        return 2
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise  # a bug, or a user's own module
        errors.out(
            f"polypath: this command needs {error.name}, which is not installed. Run: pip install "
            f"'polypath[{extra}]'"
        )
        return 2
    except Exception as error:
        # A usage error: of click's class or of typer's own copy, depending on typer's version.
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
            raise
        errors.out(one_line(_usage_line(error)))
        return int(error.exit_code)
    return result if isinstance(result, int) else 0


_format_warning = warnings.formatwarning


def _warning(*parts: Any, **named: Any) -> str:
    return visible(_format_warning(*parts, **named))


def _leave_stdout() -> None:
    """Drop the output that stdout cannot take, or the interpreter would fail on it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_line(error: Any) -> str:
    """Return a usage error as one line, with the value that was refused."""
    message = " ".join(error.format_message().split()).rstrip(".")
    refused: list[dict[str, Any]] = getattr(
        error.__cause__, "errors", list
    )()  # pydantic's, where typer leaves it out
    if refused:
        message += f", got {refused[0].get('input')!r}"
    command = error.ctx.command_path if getattr(error, "ctx", None) is not None else "polypath"
    return f"polypath: {message}{'' if message.endswith('?') else '.'} See {command} --help."
