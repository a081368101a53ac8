"""What is done once, when the trainer is built: checks, mostly."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transformers.integrations import deepspeed as zero

from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.errors import unknown_name
from polypath.rehearsal import RehearsalSet
from polypath.sampling.fingerprint import (
    model_fingerprint,
    template_fingerprint,
    tokenizer_fingerprint,
)

if TYPE_CHECKING:
    from polypath.engines.trl.trainer import DiversityGRPOTrainer


def correctness_column(config: DiversityGRPOConfig, names: Sequence[str]) -> int:
    """Return which reward function says what is correct.

    Raises:
        ConfigError: ``correctness_reward`` names none of them.
    """
    if config.correctness_reward is None:
        return 0
    if config.correctness_reward not in names:
        raise unknown_name("correctness_reward", config.correctness_reward, names)
    return list(names).index(config.correctness_reward)


def check_rehearsal_set(stored: RehearsalSet, trainer: "DiversityGRPOTrainer") -> None:
    """Refuse a rehearsal set made by another model, tokenizer, template or temperature.

    Raises:
        ConfigError: naming the field that differs and both values.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    stored.check(
        model_fingerprint=model_fingerprint(model),
        tokenizer_fingerprint=tokenizer_fingerprint(trainer._tokenizer),
        template_fingerprint=template_fingerprint(trainer._tokenizer),
        temperature=trainer.args.temperature,
    )


@contextmanager
def whole_models() -> Iterator[None]:
    """Load models whole inside, which the trainer will not wrap.

    While DeepSpeed's ZeRO-3 is on, transformers splits every model it loads over the processes, and
    only those that DeepSpeed wraps are ever gathered for a forward.
    """
    reference = zero._hf_deepspeed_config_weak_ref
    config = None if reference is None else reference()
    if config is None:
        yield
        return
    zero.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        zero.set_hf_deepspeed_config(config)


def warn_inexact_resume(config: DiversityGRPOConfig) -> None:
    """Warn when checkpoints fall inside a generation cycle.

    TRL does not save completions that it generated and has not used up yet, so a run resumed from
    such a checkpoint generates them again, from the newer policy.
    """
    cycle = config.steps_per_generation * config.num_iterations
    if config.save_strategy != "steps" or config.save_steps < 1:
        return
    if (config.save_steps * config.gradient_accumulation_steps) % cycle:
        steps = -(-cycle // config.gradient_accumulation_steps)
        warnings.warn(
            f"save_steps={int(config.save_steps)} ends inside a generation cycle of {cycle} "
            f"micro-steps: a resumed run will not be bit for bit the uninterrupted one. Use a "
            f"multiple of {steps} for save_steps to make it exact.",
            stacklevel=3,
        )
