"""From prompts to token ids, the way TRL's GRPOTrainer does it."""

from collections.abc import Sequence
from typing import Any

from polypath.errors import ConfigError

Prompt = str | list[dict[str, str]]


def tokenize_prompts(tokenizer: Any, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Turn prompts into token ids, unpadded.

    Chat messages go through the chat template with ``add_generation_prompt=True``; plain text
    through the tokenizer with its own special tokens. These are the calls of TRL 1.16's
    ``GRPOTrainer`` (without tools or chat-template arguments), so ids agree with training.

    Raises:
        ConfigError: a chat prompt meets a tokenizer without a chat template, or a prompt has no
            tokens.
    """
    plain = [prompt for prompt in prompts if isinstance(prompt, str)]
    chats = [prompt for prompt in prompts if not isinstance(prompt, str)]
    if chats and not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            "The prompts are chat messages, but the tokenizer has no chat template. "
            "Use an instruction-tuned model, set a template, or give plain-text prompts."
        )
    plain_ids = iter(tokenizer(text=plain)["input_ids"] if plain else [])
    chat_ids = iter(
        tokenizer.apply_chat_template(
            conversation=chats, add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
        if chats
        else []
    )
    ids = [list(next(plain_ids if isinstance(prompt, str) else chat_ids)) for prompt in prompts]
    for prompt, row in zip(prompts, ids, strict=True):
        if not row:
            raise ConfigError(f"The prompt {prompt!r:.60} has no tokens.")
    return ids
