"""Token by token, as transformers' ``generate`` with ``do_sample=False``, in about half of its time.

A prompt is read once for all of its samples, and rows that have ended leave the batch. ``generate`` reads
every row's prompt and carries ended rows on.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.integrations.fsdp import is_fsdp_managed_module

# (logits (B, V), the rows' numbers, place of the token) -> the next token of each row
Choose = Callable[[Tensor, Tensor, int], Tensor]
ENDED_SHARE = 0.125  # of the rows; fewer are not worth copying the cache for


@contextlib.contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """Set eval mode, and put the model back into its own."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def can_decode(model: Any) -> bool:
    """Return whether ``decode`` works with a model; ``generate`` does with any.

    It does not where the processes wait for each other's forwards (FSDP, ZeRO-3), where the model takes no
    positions or has its own for images, or where a cache cannot be divided by rows (recurrent layers).
    """
    shared = torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1
    split = is_deepspeed_zero3_enabled() or is_fsdp_managed_module(model)  # type: ignore[no-untyped-call]
    if shared and split:
        return False
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    simple = kinds <= {"full_attention", "sliding_attention", "chunked_attention"}
    stateful = bool(getattr(model, "_is_stateful", False)) or config.is_encoder_decoder
    text_only = config is model.config
    return simple and text_only and not stateful and "position_ids" in _arguments(model)


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    end_ids: Sequence[int],
    pad_token_id: int,
    choose: Choose,
) -> Tensor:
    """Return the tokens of each row, ``(B, max_new_tokens)``, padded after the end; on the CPU.

    Args:
        model: a causal language model for which ``can_decode`` holds; put into eval mode, and back.
        prompts: tokens of each row's prompt; equal ones are read once.
        max_new_tokens: the most tokens of a row.
        end_ids: tokens that end a row; they are part of it.
        pad_token_id: pads prompts on the left and completions on the right.
        choose: takes the logits of the rows that are left, in float32 or the model's own type.
    """
    device = model.device
    numbers: dict[tuple[int, ...], int] = {}
    which_B = torch.tensor([numbers.setdefault(tuple(ids), len(numbers)) for ids in prompts])
    width = max(map(len, numbers))
    ids_P_T = torch.tensor([[pad_token_id] * (width - len(ids)) + list(ids) for ids in numbers])
    mask_P_T = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in numbers])
    position_P_T = (mask_P_T.cumsum(dim=1) - 1).clamp(min=0)
    ends = torch.tensor(list(end_ids), device=device)
    optional = {"logits_to_keep": 1} if "logits_to_keep" in _arguments(model) else {}
    cache = DynamicCache(config=model.config.get_text_config())

    def forward(ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        logits: Tensor = model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            **optional,
        ).logits
        return logits[:, -1].to(device)  # the last layer may be on another

    made_B_T = torch.full((len(prompts), max_new_tokens), pad_token_id)
    rows = torch.arange(len(prompts))
    ended = torch.zeros(len(prompts), dtype=torch.bool)  # of the rows that are still in the batch
    with torch.no_grad(), eval_mode(model):
        logits = forward(ids_P_T, mask_P_T, position_P_T)[which_B.to(device)]
        cache.batch_select_indices(which_B)
        mask, position = mask_P_T[which_B], position_P_T[which_B, -1]
        for place in range(max_new_tokens):
            tokens = choose(logits, rows, place)
            made_B_T[rows[~ended], place] = tokens.cpu()[~ended]
            ended = ended | torch.isin(tokens, ends).cpu()
            if place + 1 == max_new_tokens or bool(ended.all()):
                break
            if ended.float().mean() >= ENDED_SHARE:
                left = (~ended).nonzero().flatten()
                cache.batch_select_indices(left)
                rows, mask, position = rows[left], mask[left], position[left]
                tokens, ended = tokens[left.to(device)], ended[left]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            position = position + 1
            logits = forward(tokens.unsqueeze(1), mask, position.unsqueeze(1))
    return made_B_T


def _arguments(model: Any) -> Any:
    """Return the parameters of the forward, of the model inside an adapter."""
    inside = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inspect.signature(inside.forward).parameters
