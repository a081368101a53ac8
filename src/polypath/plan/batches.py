"""How much a recipe samples and trains on: TRL 1.16's batches, computed from the settings."""

import math
from dataclasses import dataclass

from polypath.core.batches import check_enough_prompts
from polypath.core.rehearsal_settings import rows_per_step
from polypath.errors import ConfigError
from polypath.plan.methods import banks, rehearses
from polypath.plan.settings import Settings

# Numbers of problems as published with the data (Cobbe 2021, Dang 2025, Li 2023, Yu 2018); they were not
# counted here. A recipe with max_steps does not need them.
PROBLEMS = {
    ("gsm8k", "train"): 7473,
    ("open_rs", "train"): 7000,
    ("bird", "train"): 9428,
    ("spider", "train"): 7000,
}


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How much a run samples and trains on.

    A *generation* samples completions for ``prompts_per_generation`` prompts, which are used in
    ``steps_per_generation`` optimizer steps (a fraction if one step uses several generations).

    Attributes:
        processes: number of training GPUs.
        completions_per_step, prompts_per_step: numbers for an optimizer step; prompts counted with repeats.
        rehearsed_per_step: number of stored rows of an optimizer step: of the rehearsal set and of the bank.
        steps, prompts, completions, tokens_generated, tokens_trained: totals of the run; ``None`` if the
            number of problems is unknown. Tokens are upper bounds.
        problems: problems of the split; ``problems_from`` says where the number comes from.
    """

    processes: int
    num_generations: int
    completions_per_step: int
    prompts_per_step: float
    completions_per_generation: int
    prompts_per_generation: int
    steps_per_generation: float
    rehearsed_per_step: int
    problems: int | None
    problems_from: str
    steps: int | None
    prompts: int | None
    completions: int | None
    tokens_generated: int | None
    tokens_trained: int | None


def plan_batches(settings: Settings, processes: int) -> Batches:
    """Compute batches, steps and tokens, as TRL 1.16 does.

    Raises:
        ConfigError: a value is not a number, a generation does not consist of whole groups, or a method
            that is on cannot work with such batches.
        DataError: there are fewer problems than one generation needs.
    """
    if processes < 1:
        raise ConfigError(f"gpus must be at least 1, got {processes}.")
    group = settings.count("num_generations", 2)
    per_device = settings.count("per_device_train_batch_size")
    accumulation = settings.count("gradient_accumulation_steps")
    micro_steps = _micro_steps(settings, per_device * processes, accumulation)
    sampled = per_device * processes * micro_steps
    if sampled % group:
        raise ConfigError(
            f"A generation of {per_device} x {processes} processes x {micro_steps} micro-steps = "
            f"{sampled} completions must hold whole groups of {group}. Change "
            "per_device_train_batch_size, gradient_accumulation_steps or the number of GPUs."
        )
    prompts = sampled // group
    iterations = settings.count("num_iterations")
    objectives = settings.objectives
    objectives.check_groups(group, settings.text("multi_objective_aggregation"))
    objectives.check_updates(accumulation % (micro_steps * iterations) == 0)
    problems, source = _problems(settings)
    if problems is not None:
        check_enough_prompts(problems, sampled, group)
    steps = _steps(settings, problems, prompts, micro_steps * iterations, accumulation)
    rehearsed = _rehearsed(settings, processes * accumulation, per_device)
    generations = (
        None if steps is None else math.ceil(steps * accumulation / (micro_steps * iterations))
    )
    longest = settings.count("max_completion_length")
    per_step = per_device * processes * accumulation
    return Batches(
        processes=processes,
        num_generations=group,
        completions_per_step=per_step,
        prompts_per_step=per_step / group,
        completions_per_generation=sampled,
        prompts_per_generation=prompts,
        steps_per_generation=micro_steps * iterations / accumulation,
        rehearsed_per_step=rehearsed,
        problems=problems,
        problems_from=source,
        steps=steps,
        prompts=None if generations is None else generations * prompts,
        completions=None if generations is None else generations * sampled,
        tokens_generated=None if generations is None else generations * sampled * longest,
        tokens_trained=None if steps is None else steps * (per_step + rehearsed) * longest,
    )


def _micro_steps(settings: Settings, per_micro_step: int, accumulation: int) -> int:
    """Return the number of micro-steps that share a generation. TRL's two keys for it exclude each other."""
    size, steps = (settings.get(n) for n in ("generation_batch_size", "steps_per_generation"))
    if size is not None and steps is not None:
        raise ConfigError(
            "generation_batch_size and steps_per_generation set the same thing. Leave one of them out."
        )
    if steps is not None:
        return settings.count("steps_per_generation")
    if size is None:
        return accumulation
    count = settings.count("generation_batch_size")
    if count % per_micro_step:
        raise ConfigError(
            f"generation_batch_size must be a multiple of per_device_train_batch_size x processes = "
            f"{per_micro_step}, got {count}."
        )
    return count // per_micro_step


def _steps(
    settings: Settings, problems: int | None, prompts: int, cycle: int, accumulation: int
) -> int | None:
    """Return the number of optimizer steps: ``max_steps``, or those of the epochs, rounded down."""
    if settings.number("max_steps") > 0:
        return settings.count("max_steps")
    if problems is None:
        return None
    per_epoch = math.ceil(problems // prompts * cycle / accumulation)
    return math.ceil(settings.number("num_train_epochs") * per_epoch)


def _problems(settings: Settings) -> tuple[int | None, str]:
    task, split = settings.text("task"), settings.text("task_split") or "train"
    limit = settings.count("task_limit", 0)
    count = PROBLEMS.get((task, split))
    if count is None:
        return (limit, "task_limit") if limit else (None, "not known before the data is read")
    source = f"assumed: the published size of {task} {split}"
    if rehearses(settings) and settings.flag("rehearsal_explore_only"):
        source += "; rehearsed problems are subtracted"
    return (min(count, limit) if limit else count), source


def _rehearsed(settings: Settings, pieces: int, per_device: int) -> int:
    terms = (("rehearsal_share", rehearses(settings)), ("bank_share", banks(settings)))
    return sum(rows_per_step(settings.number(key), per_device, pieces) for key, on in terms if on)
