"""Generation in training that reads a prompt once for its whole group, in place of ``model.generate``."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor
from transformers import GenerationConfig
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from polypath.errors import ConfigError
from polypath.sampling.decode import can_decode, decode
from polypath.sampling.draw import warper


def check(trainer: Any) -> None:
    """Check that the decoding loop can take the place of ``generate``.

    Args:
        trainer: TRL's, with the setting on.

    Raises:
        ConfigError: another way of generating is on, an option of sampling that the loop does not know, or a
            model that it cannot serve.
    """
    config = trainer.args
    zero3 = is_deepspeed_zero3_enabled()  # type: ignore[no-untyped-call]
    reasons = {
        "use_vllm": trainer.use_vllm,
        "use_transformers_continuous_batching": trainer.use_transformers_continuous_batching,
        "min_p": bool(config.min_p),
        "repetition_penalty": config.repetition_penalty != 1.0,
        "generation_kwargs": bool(config.generation_kwargs),
        "cache_implementation": config.cache_implementation is not None,
        "a model for images": trainer._is_vlm,
        "FSDP": trainer.accelerator.distributed_type == DistributedType.FSDP,
        "ZeRO-3": zero3,
    }
    reason = next((name for name, holds in reasons.items() if holds), None)
    if reason is None and not can_decode(trainer.model):
        reason = f"a model of type {trainer.model.config.model_type}"
    if reason is not None:
        raise ConfigError(
            "shared_prefill generates by temperature, top_k and top_p with models that keep keys and "
            f"values, and does not work with {reason}. Set shared_prefill to false."
        )


@contextlib.contextmanager
def in_place_of_generate(model: Any) -> Iterator[None]:
    """Let ``model.generate`` be the decoding loop within this context.

    Args:
        model: the policy, as TRL calls it.
    """

    def generate(
        *, input_ids: Tensor, attention_mask: Tensor, generation_config: GenerationConfig, **_: Any
    ) -> Tensor:
        return _generate(model, input_ids, attention_mask, generation_config)

    model.generate = generate
    try:
        yield
    finally:
        del model.generate


def _generate(
    model: Any, input_ids: Tensor, attention_mask: Tensor, options: GenerationConfig
) -> Tensor:
    """Return prompts and completions, ``(B, P + T)``, as ``model.generate`` does."""
    warp = warper(options.temperature, options.top_k, options.top_p)

    def choose(logits: Tensor, rows: Tensor, place: int) -> Tensor:
        del rows, place  # TRL's random numbers come from one stream
        return torch.multinomial(warp(logits).softmax(dim=-1), num_samples=1)[:, 0]

    prompts = [
        ids[mask.bool()].tolist() for ids, mask in zip(input_ids, attention_mask, strict=True)
    ]
    made = decode(
        model,
        prompts,
        max_new_tokens=int(options.max_new_tokens),
        end_ids=list(options.eos_token_id),
        pad_token_id=int(options.pad_token_id),
        choose=choose,
    )
    return torch.cat([input_ids, made.to(input_ids.device)], dim=1)
