"""``polypath train``: trains a model from a recipe, or with ``--plan`` prints what that would take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from polypath.cli.command import command
from polypath.cli.methods import default_of, settings_by_owner
from polypath.errors import ConfigError
from polypath.settings import setting


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of ``polypath train`` besides the settings of the recipe."""

    config: Path | None = setting(
        None,
        "Recipe: a YAML file of 'key: value' lines, with settings of TRL's GRPO and of polypath.",
    )
    plan: bool = setting(False, "Print what the run would do and what it needs, and exit.")
    gpus: Annotated[int | None, typer.Option(min=1)] = setting(
        None, "With --plan: number of training GPUs; the recipe's by default."
    )
    throughput: float | None = setting(
        None,
        "With --plan: generated tokens per second and GPU, over the whole run (sampling and training).",
    )
    price: float | None = setting(
        None, "With --plan: price of one GPU hour, in any currency. Needs --throughput."
    )
    json_file: Annotated[Path | None, typer.Option("--json")] = setting(
        None, "With --plan: write the plan to this JSON file; - prints it."
    )
    convert: Path | None = setting(
        None,
        "Convert --config, a recipe for an older TRL, for open-r1 or for DRA-GRPO's script, into one that "
        "polypath runs. Write it to this new file (- prints it), list the changes, and exit.",
    )


class TrainCommand(TyperCommand):
    """``polypath train``, whose help also lists the settings of the methods."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the settings by method, then the examples."""
        from polypath.core.objectives import BUILT_IN

        for owner, settings in settings_by_owner(BUILT_IN):
            with formatter.section(f"Settings of {owner}"):
                formatter.write_dl(
                    [
                        (f"--{one.key}", f"{one.help}  [default: {default_of(one)}]")
                        for one in settings
                    ]
                )
        super().format_epilog(ctx, formatter)


@command
def train(context: typer.Context, options: TrainOptions) -> None:
    """Train a model with GRPO and any combination of the methods.

    Settings come from the recipe (--config) and from the command line, as --key value; the command line
    overrides it. A key is a setting of TRL's GRPO script, such as learning_rate, or one of polypath's, listed
    below with its default. Rerun the command to resume from the last complete checkpoint. Works under
    torchrun and accelerate launch. Needs polypath[trl].
    """
    config, overrides = options.config, context.args
    if options.convert is not None:
        _convert(options, overrides)
        return
    if options.plan:
        _plan(options, overrides)
        return
    for name in ("gpus", "throughput", "price", "json_file"):
        if getattr(options, name) is not None:
            flag = f"--{name.removesuffix('_file')}"
            raise ConfigError(f"{flag} belongs to --plan. Add --plan, or leave {flag} out.")
    from polypath.plan.needs import check_rehearsal_set
    from polypath.plan.settings import read_settings

    settings = read_settings(config, overrides)
    # Before the imports below, which take seconds.
    check_rehearsal_set(settings, config.parent if config is not None else Path())
    from polypath.train.config import load_recipe
    from polypath.train.run import leave_process_group, run

    run(load_recipe(config, overrides, values=settings.file.values))
    leave_process_group()


def _convert(options: TrainOptions, overrides: Sequence[str]) -> None:
    from polypath.cli.runs import console_beside, write_text
    from polypath.plan.convert import convert

    config, out = options.config, options.convert
    if config is None or out is None or overrides or options.plan:
        raise ConfigError("--convert takes --config RECIPE.yaml and no other option.")
    if out.exists():
        raise ConfigError(f"--convert writes a new file, but {out} exists. Name another.")
    made = convert(config)
    write_text(out, made.text)
    console = console_beside(out)
    for line in (*(f"{key} {told}" for key, told in made.changes.items()), *made.notes):
        console.out(line)
    if made.missing:
        told = "; ".join(f"{name}: {why}" for name, why in made.missing.items())
        raise ConfigError(f"{out} is written, but it does not run yet. Missing here: {told}.")
    if str(out) != "-":
        console.out(f"{out} is written. Next: polypath train --config {out} --plan")


def _plan(options: TrainOptions, overrides: Sequence[str]) -> None:
    from polypath.cli.runs import console_beside, write_json
    from polypath.plan.make_plan import Price, make_plan
    from polypath.plan.print_plan import print_plan

    price = Price(throughput=options.throughput, price=options.price)
    made = make_plan(options.config, overrides, gpus=options.gpus, price=price)
    print_plan(console_beside(options.json_file), made)
    write_json(options.json_file, made.as_dict())
