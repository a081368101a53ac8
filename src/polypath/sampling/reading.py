"""A model as a reader of stored completions: their tokens, and its hidden states on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polypath.errors import ConfigError
from polypath.sampling.loading import (
    PRECISIONS,
    autocast,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)
from polypath.sampling.prompts import Prompt, tokenize_prompts
from polypath.sampling.transformers import context_of, end_token_ids, pad_token_id
from polypath.similarity.policy import mean_hidden_states


class CompletionReader:
    """Reads completions with a model, or with its tokenizer alone.

    A completion is tokenized again from its text, and ends with an end-of-sequence token, as a finished
    one does in training. Tokens of training can differ where a model spells a text in an unusual way.

    Args:
        name: a folder, a name on the Hugging Face hub, or the name of a model that ships.
        weights: whether to load the model itself, for hidden states.
        device: its device; a GPU by default, if there is one.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        MissingFileError, DataError, ConfigError: as ``load_model``.
    """

    def __init__(
        self,
        name: str | Path,
        *,
        weights: bool,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self._name = name
        self._device = resolve_device(device)
        self._precision = resolve_precision("auto", self._device)
        if weights:
            self._model, self._tokenizer = load_model(
                name,
                dtype=PRECISIONS[self._precision][0],
                device=self._device,
                trust_remote_code=trust_remote_code,
            )
        else:
            self._tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Token ids that are no content."""
        return tuple(self._tokenizer.all_special_ids)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, without special tokens."""
        if not texts:
            return []
        found = self._tokenizer(text=list(texts), add_special_tokens=False)["input_ids"]
        return [list(ids) for ids in found]

    def hidden_B_D(self, prompt: Prompt, token_ids: Sequence[Sequence[int]]) -> Tensor:
        """Return the model's mean hidden state on each of B completions of one prompt, ``(B, D)``.

        Args:
            prompt: plain text or chat messages.
            token_ids: tokens of the completions, as ``token_ids`` returns them.

        Raises:
            ConfigError: the prompt and a completion do not fit the model's context.
            DataError: the chat template fails.
        """
        (prompt_ids,) = tokenize_prompts(self._tokenizer, [prompt])
        end = end_token_ids(self._model, self._tokenizer)[0]
        rows = [[*ids, end] for ids in token_ids]
        longest, most = len(prompt_ids) + max(map(len, rows)), context_of(self._model)
        if most is not None and longest > most:
            raise ConfigError(
                f"A prompt with its completion has {longest} tokens, but the context of {self._name} has "
                f"{most}. Use the model that sampled them, or another similarity."
            )
        with autocast(self._precision, self._device):
            return mean_hidden_states(self._model, self._batch(prompt_ids, rows), len(rows))

    def _batch(self, prompt_ids: list[int], rows: list[list[int]]) -> dict[str, Tensor]:
        pad, width = pad_token_id(self._model, self._tokenizer), max(map(len, rows))
        batch: dict[str, Any] = {
            "prompt_ids": [prompt_ids] * len(rows),
            "prompt_mask": [[1] * len(prompt_ids)] * len(rows),
            "completion_ids": [ids + [pad] * (width - len(ids)) for ids in rows],
            "completion_mask": [[1] * len(ids) + [0] * (width - len(ids)) for ids in rows],
        }
        return {name: torch.tensor(part, device=self._device) for name, part in batch.items()}
