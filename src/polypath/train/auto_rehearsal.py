"""``rehearsal_set: auto``: a run that makes its rehearsal set itself before it trains."""

from pathlib import Path

import torch
from accelerate import PartialState

from polypath.engines.trl import completion_logps
from polypath.engines.trl.setup import whole_models
from polypath.errors import ConfigError
from polypath.rehearsal.presample import presample
from polypath.rehearsal.settings import AUTO, PresampleSettings
from polypath.sampling.ranks import find_ranks
from polypath.terminal import Terminal
from polypath.train.config import Recipe
from polypath.train.sources import recipe_task

FOLDER = "rehearsal"  # in the run's output folder
SAMPLES, SOLUTIONS = 64, 16  # samples of each problem, and most different right ones that are kept
LEAST_BATCH = 64  # completions sampled together: the default of `polypath presample`


def make_rehearsal_set(recipe: Recipe, model: str) -> None:
    """If the recipe says ``auto``, make the set in its ``output_dir`` and set ``rehearsal_set`` to it.

    This samples every training problem ``SAMPLES`` times with the initial policy and stores up to
    ``SOLUTIONS`` different right answers of each problem that was solved at all: rehearsal weighted by
    coverage. It is ours, not the paper's, which stores one answer of problems that are nearly always
    solved. A finished set is used, and one that was begun is completed. A launcher's processes share it.

    Raises:
        ConfigError: nothing says which problems to sample, or none would remain to train on.
    """
    config, task = recipe.trainer, recipe.task
    if config.rehearsal_set != AUTO or not config.rehearsal.on:
        return
    if task.task is None:
        raise ConfigError(
            "rehearsal_set: auto samples the problems of a task, and the recipe names none. Make a set "
            "with 'polypath presample --problems FILE' and name its folder."
        )
    if config.rehearsal_explore_only:
        raise ConfigError(
            "rehearsal_set: auto rehearses every problem that the model solves at all, and with "
            "rehearsal_explore_only none of them would be trained on. Set rehearsal_explore_only: false."
        )
    folder = Path(config.output_dir) / FOLDER
    ranks = find_ranks()
    settings = PresampleSettings(
        k=SAMPLES,
        threshold=1,
        confirm=0,
        answers_per_problem=SOLUTIONS,
        repeated_answers="drop",
        temperature=config.temperature,
        max_new_tokens=config.max_completion_length,
        batch_size=max(config.generation_batch_size // config.world_size, LEAST_BATCH),
        seed=config.seed,
        precision=_precision(recipe),
    )
    with whole_models():
        presample(
            model,
            recipe_task(task),
            out=folder,
            completion_logps=completion_logps,
            split=task.task_split,
            limit=task.task_limit or None,
            settings=settings,
            device="cpu" if config.use_cpu else None,
            trust_remote_code=bool(config.trust_remote_code),
            ranks=ranks,
            console=ranks.console(Terminal()),
        )
    PartialState().wait_for_everyone()  # rank 0 makes the set when all parts are drawn
    config.rehearsal_set = str(folder)


def _precision(recipe: Recipe) -> str:
    """Return the precision of training's forward pass, in the words of pre-sampling."""
    dtype = str(recipe.model.dtype or "float32").removeprefix("torch.")
    if dtype in ("auto", "bfloat16"):
        return dtype
    on_gpu = torch.cuda.is_available() and not recipe.trainer.use_cpu
    return "bf16-mixed" if recipe.trainer.bf16 and on_gpu else "float32"
