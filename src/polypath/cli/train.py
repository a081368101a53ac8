"""``polypath train``: a recipe in, a trained model out; or, with ``--plan``, what that would take."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from polypath.errors import ConfigError


def train(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of 'key: value' lines: any key of TRL's GRPO recipes, and ours."
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it would do and take; start nothing.")
    ] = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="Plan: training GPUs; the recipe's by default.")
    ] = None,
    throughput: Annotated[
        float | None,
        typer.Option(help="Plan: tokens generated a second per GPU, training time included."),
    ] = None,
    price: Annotated[
        float | None, typer.Option(help="Plan: of one GPU for one hour, in any currency.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Plan: write it there as JSON.")
    ] = None,
) -> None:
    """Train with any mix of the methods. Any key of the recipe can be set as --key value.

    Run the same command again after an interruption: it goes on from the last complete checkpoint.
    Works under torchrun and accelerate launch.
    """
    if plan:
        _plan(config, context.args, gpus, throughput, price, json_file)
        return
    only_plan = {"gpus": gpus, "throughput": throughput, "price": price, "json": json_file}
    for name, value in only_plan.items():
        if value is not None:
            raise ConfigError(f"--{name} belongs to --plan. Add --plan, or leave --{name} out.")
    from polypath.plan.needs import check_rehearsal_set
    from polypath.plan.settings import read_settings

    settings = read_settings(config, context.args)
    # Before the imports below, which take seconds.
    check_rehearsal_set(settings, config.parent if config is not None else Path())
    from polypath.train.config import load_recipe
    from polypath.train.process_group import leave_process_group
    from polypath.train.run import run

    run(load_recipe(config, context.args, values=settings.file.values))
    leave_process_group()


def _plan(
    config: Path | None,
    overrides: Sequence[str],
    gpus: int | None,
    throughput: float | None,
    price: float | None,
    json_file: Path | None,
) -> None:
    from polypath.cli.runs import console_beside, write_text
    from polypath.plan.make_plan import Price, make_plan
    from polypath.plan.print_plan import print_plan

    made = make_plan(config, overrides, gpus=gpus, price=Price(throughput=throughput, price=price))
    print_plan(console_beside(json_file), made)
    if json_file is not None:
        write_text(json_file, json.dumps(made.as_dict(), indent=2, default=str) + "\n")
