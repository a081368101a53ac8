"""``polypath train``: a recipe in, a trained model out."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of 'key: value' lines: any key of TRL's GRPO recipes, and ours."
        ),
    ] = None,
) -> None:
    """Train with any mix of the methods. Any key of the recipe can be set as --key value.

    Run the same command again after an interruption: it goes on from the last complete checkpoint.
    Works under torchrun and accelerate launch.
    """
    from polypath.recipes.config import load_recipe
    from polypath.recipes.run import run

    run(load_recipe(config, context.args))
