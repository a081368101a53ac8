"""Checks and choices that are made once, when the trainer is constructed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate.utils import DistributedType
from transformers.integrations import deepspeed as zero
from transformers.training_args import OptimizerNames

from polypath.core.rehearsal import Rehearsal
from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.objectives import Active, Divergence
from polypath.rehearsal import RehearsalSet
from polypath.sampling import fingerprint


def make_rehearsal(
    config: DiversityGRPOConfig,
    stored: RehearsalSet,
    member: Active[Divergence],
    *,
    model: Any,
    tokenizer: Any,
    processes: int,
) -> Rehearsal:
    """Return the rehearsal term of a run.

    Raises:
        ConfigError: the set was made by another model, tokenizer, template or temperature; the field
            that differs is named, with both values.
    """
    stored.check(
        model_fingerprint=fingerprint.model_fingerprint(model),
        tokenizer_fingerprint=fingerprint.tokenizer_fingerprint(tokenizer),
        template_fingerprint=fingerprint.template_fingerprint(tokenizer),
        temperature=config.temperature,
        vocab_size=model.config.get_text_config().vocab_size,
    )
    pieces = processes * int(config.gradient_accumulation_steps)
    return Rehearsal(
        config=config.rehearsal,
        member=member,
        stored=stored,
        rows_per_step=config.rehearsal.rows_per_step(
            int(config.per_device_train_batch_size), pieces
        ),
        pad_token_id=tokenizer.pad_token_id,
        seed=config.seed,
    )


def two_backwards(config: DiversityGRPOConfig, kind: DistributedType) -> bool:
    """Return whether the policy's gradients may be computed before the rehearsal forward.

    The sum of the gradients is the same, and only one forward's activations are in memory. Not
    allowed with FSDP, which would gather and scatter the parameters' gradients twice, nor where a
    backward already updates parameters (LOMO) or counts as a step (DeepSpeed).
    """
    plain = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    return (
        kind in plain
        and config.n_gpu <= 1
        and config.optim not in (OptimizerNames.LOMO, OptimizerNames.ADALOMO)
    )


@contextmanager
def whole_models() -> Iterator[None]:
    """Load models unsplit within this context, for models that the trainer will not wrap.

    While DeepSpeed's ZeRO-3 is on, transformers splits every model it loads over the processes, and
    only models that DeepSpeed wraps are gathered for a forward.
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
