"""Completions from a model in this process, on any device."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from polypath.errors import ConfigError, DataError
from polypath.sampling.completion import Completion, complete
from polypath.sampling.decode import can_decode, decode, eval_mode
from polypath.sampling.draw import StreamSampler
from polypath.sampling.plan import PlannedSample, plan_batches
from polypath.sampling.prompts import tokenize_prompts
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings

__all__ = ["Completion", "context_of", "draw_batch", "end_token_ids", "pad_token_id", "sample"]


def sample(model: Any, tokenizer: Any, request: DrawRequest) -> Iterator[list[Completion]]:
    """Draw the samples of a request.

    Every sample has its own random stream (``sampling.draw``), and the plan of batches depends on the
    problems and settings only, never on ``done`` or ``part``. Therefore a run that was interrupted and
    resumed, or shared by several processes, draws exactly the samples of
    an uninterrupted one. Another batch size or
    device changes the logits' rounding, and so, rarely, a token.

    Sampling options in the model's own ``generation_config`` (many checkpoints ship a top_p or a
    repetition penalty) are not applied; its end-of-sequence tokens are.

    Args:
        model: a causal language model; put into eval mode while sampling, and back.
        tokenizer: its tokenizer.
        request: what to draw. Its ``part`` is a part of the batches.

    Yields:
        The completions of one batch, as soon as it is finished.

    Raises:
        ConfigError: a prompt and its completion do not fit the model's context, or there is no
            end-of-sequence token.
        DataError: the chat template fails, or the tokenizer is not the model's.
    """
    end_token_ids(model, tokenizer)  # refuses a model without one before anything is drawn
    prompt_ids = tokenize_prompts(tokenizer, request.prompts)
    for batch in plan_batches(request, prompt_ids, context_of(model)):
        yield draw_batch(model, tokenizer, batch, request.settings)


def context_of(model: Any) -> int | None:
    """Return how many tokens a prompt and its completion may have, where the model tells."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def draw_batch(
    model: Any, tokenizer: Any, batch: list[PlannedSample], settings: SamplingSettings
) -> list[Completion]:
    """Draw one batch of the plan; see ``sample``.

    Raises:
        ConfigError: there is no end-of-sequence token.
        DataError: the tokenizer is not the model's.
    """
    eos_ids = end_token_ids(model, tokenizer)
    known = model.config.get_text_config().vocab_size
    most = max(max(planned.prompt_ids) for planned in batch)
    if most >= known:
        raise DataError(
            f"The tokenizer {tokenizer.name_or_path} gives the token id {most}, but its model knows "
            f"0..{known - 1}. Use the model's own tokenizer."
        )
    rows = _generate(model, tokenizer, batch, settings, eos_ids)
    return complete(batch, rows, tokenizer, eos_ids)


def end_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return every token that ends a completion: the model's own and the tokenizer's.

    Raises:
        ConfigError: neither names one.
    """
    declared = getattr(model.generation_config, "eos_token_id", None)
    ids = [declared] if isinstance(declared, int) else list(declared or [])
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.insert(0, tokenizer.eos_token_id)
    if not ids:
        raise ConfigError("Neither model nor tokenizer has an end-of-sequence token; set one.")
    return ids


def pad_token_id(model: Any, tokenizer: Any) -> int:
    """Return the padding token, or an end-of-sequence token if there is none."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id)
    return end_token_ids(model, tokenizer)[0]


def _generate(
    model: Any,
    tokenizer: Any,
    batch: list[PlannedSample],
    settings: SamplingSettings,
    eos_ids: list[int],
) -> list[list[int]]:
    """Return the generated tokens of every row, including those after the end."""
    pad = pad_token_id(model, tokenizer)
    prompts = [planned.prompt_ids for planned in batch]
    width = max(len(prompt) for prompt in prompts)
    keys = [planned.key for planned in batch]
    chooser = StreamSampler(keys, prompt_length=width, settings=settings, device=model.device)
    if can_decode(model):
        made = decode(
            model,
            prompts,
            max_new_tokens=settings.max_new_tokens,
            end_ids=eos_ids,
            pad_token_id=pad,
            choose=chooser.tokens,
        )
        decoded: list[list[int]] = made.tolist()
        return decoded
    ids = [[pad] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    device = model.device
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=settings.max_new_tokens,
        do_sample=False,
        num_beams=1,
        pad_token_id=pad,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=eos_ids,
        disable_compile=True,
    )
    with _sampling_mode(model, config), torch.no_grad():
        output = model.generate(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.tensor(mask, device=device),
            generation_config=config,
            logits_processor=LogitsProcessorList([chooser]),
        )
    rows: list[list[int]] = output[:, width:].tolist()
    return rows


@contextlib.contextmanager
def _sampling_mode(model: Any, config: GenerationConfig) -> Iterator[None]:
    """Set eval mode, and hide the model's own generation config from ``generate``.

    ``generate`` fills options that ``config`` leaves open from the model's own, such as a repetition
    penalty. Samples would then not come from the model's distribution.
    """
    own = model.generation_config
    model.generation_config = config
    try:
        with eval_mode(model):
            yield
    finally:
        model.generation_config = own
