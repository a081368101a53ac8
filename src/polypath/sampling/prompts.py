"""From prompts to token ids, in the same way as TRL's GRPOTrainer."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError, PolypathError

Prompt = str | list[dict[str, str]]


def tokenize_prompts(tokenizer: Any, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Turn prompts into token ids, unpadded.

    Chat messages go through the chat template with ``add_generation_prompt=True``. Plain text goes
    through the tokenizer with its own special tokens. These are the calls of TRL 1.16's
    ``GRPOTrainer`` (without tools or chat-template arguments), so ids agree with training.

    Raises:
        DataError: the chat template fails.
        ConfigError: a prompt is a chat and the tokenizer has no chat template, or a prompt has no
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
    chat_ids: Iterator[list[int]] = iter(())
    if chats:
        with template_errors(tokenizer):
            chat_ids = iter(
                tokenizer.apply_chat_template(
                    conversation=chats, add_generation_prompt=True, tokenize=True, return_dict=True
                )["input_ids"]
            )
    ids = [list(next(plain_ids if isinstance(prompt, str) else chat_ids)) for prompt in prompts]
    for prompt, row in zip(prompts, ids, strict=True):
        if not row:
            raise ConfigError(f"The prompt {one_line(repr(prompt), 60)} has no tokens.")
    return ids


@contextlib.contextmanager
def template_errors(tokenizer: Any) -> Iterator[None]:
    """Report any error of a chat template in this block as one line.

    Raises:
        DataError: names the template's file, if it has one.
    """
    try:
        yield
    except PolypathError:
        raise
    except Exception as error:
        folder, template = Path(str(tokenizer.name_or_path)), tokenizer.chat_template
        files = [folder / name for name in ("chat_template.jinja", "tokenizer_config.json")]
        texts = [json.dumps(template), json.dumps(template, ensure_ascii=False), str(template)]
        file = next((path for path in files if _holds(path, texts)), "given in its place")
        raise DataError(
            f"The chat template of the tokenizer ({file}) failed: {type(error).__name__}: "
            f"{one_line(error, 200)}. Correct the template, or use another model's."
        ) from error


def _holds(path: Path, texts: list[str]) -> bool:
    content = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return any(text in content for text in texts)
