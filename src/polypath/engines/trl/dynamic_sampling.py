"""Dynamic sampling in TRL: generate again for groups without a gradient, before the batch is used."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import IterableDataset

from polypath.core.dynamic_sampling import draw_prompts, groups_with_gradient, replace_groups
from polypath.core.processes import Processes
from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.engines.trl.forward import counted_tokens
from polypath.errors import ConfigError

Batch = dict[str, Any]


def check(config: DiversityGRPOConfig, dataset: Any, *, processes: int, images: bool) -> None:
    """Check that groups can be replaced.

    Args:
        config: the trainer's, with dynamic sampling on.
        dataset: the training data.
        processes: those that share a generation.
        images: whether the model reads images.

    Raises:
        ConfigError: a group is spread over processes, the data is a stream, or a setting does not fit.
    """
    rows, group = config.generation_batch_size // processes, config.num_generations
    if rows % group:
        raise ConfigError(
            f"dynamic_sampling_rounds replaces whole groups on each process, and a generation has {rows} "
            f"completions on each of {processes} in groups of {group}. Make per_device_train_batch_size "
            "times steps_per_generation a multiple of num_generations."
        )
    if config.scale_rewards == "batch":
        raise ConfigError(
            "dynamic_sampling_rounds replaces groups after their advantages are computed, and with "
            "scale_rewards 'batch' these depend on the replaced ones. Set scale_rewards to group or none."
        )
    if images:
        raise ConfigError(
            "dynamic_sampling_rounds works with models for text only. Set dynamic_sampling_rounds to 0."
        )
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise ConfigError(
            "dynamic_sampling_rounds draws further prompts at random, which a streamed data set does not "
            "allow. Load it without streaming, or set dynamic_sampling_rounds to 0."
        )


def fill(
    trainer: Any,
    batch: Batch,
    generate: Callable[[list[Any]], Batch],
    processes: Processes,
) -> tuple[Batch, dict[str, float]]:
    """Return the batch with groups of equal rewards replaced where that could be done, and what to log.

    Args:
        trainer: TRL's.
        batch: the batch that was generated, of whole groups.
        generate: generates and scores completions of rows of the data, one for each row.
        processes: those that share the step; each replaces its own groups, in equally many rounds.
    """
    group, data = int(trainer.num_generations), trainer.train_dataset
    # TRL's own count of micro-steps starts at 0 in a resumed run.
    micro_steps = int(trainer.args.gradient_accumulation_steps)
    step = int(trainer.state.global_step) * micro_steps + int(trainer._step) % micro_steps
    alive_P = groups_with_gradient(batch["advantages"], group)
    groups, drawn, replaced = len(alive_P), 0, 0
    for attempt in range(int(trainer.args.dynamic_sampling_rounds)):
        missing = int((~alive_P).sum())
        count = int(processes.gather(torch.tensor([missing])).max())
        if count == 0:
            break
        numbers = draw_prompts(
            len(data),
            count * processes.world,
            seed=int(trainer.args.seed),
            step=step,
            attempt=attempt,
        )
        mine = numbers[processes.rank * count : (processes.rank + 1) * count]
        fresh = generate([data[number] for number in mine for _ in range(group)])
        drawn += count
        useful = groups_with_gradient(fresh["advantages"], group).nonzero().flatten().tolist()
        places = (~alive_P).nonzero().flatten().tolist()[: len(useful)]
        batch = replace_groups(
            batch,
            fresh,
            places,
            useful[: len(places)],
            group=group,
            pad_token_id=trainer._tokenizer.pad_token_id,
        )
        alive_P[places] = True
        replaced += len(places)
    # TRL counts the tokens of the loss over the whole generation and all processes.
    batch["num_items_in_batch"] = processes.gather(counted_tokens(batch).sum().reshape(1)).sum()
    totals = torch.tensor([groups, drawn, replaced, int((~alive_P).sum())], dtype=torch.float64)
    groups_, drawn_, replaced_, left_ = processes.gather(totals.reshape(1, -1)).sum(dim=0).tolist()
    return batch, {
        "dynamic_sampling/generated": 1 + drawn_ / groups_,
        "dynamic_sampling/replaced": replaced_ / groups_,
        "dynamic_sampling/left": left_ / groups_,
    }
