"""One random number per token, known in advance, so that sampling does not depend on the batch.

``generate`` usually takes its randomness from one global stream, so a completion depends on
its neighbours in the batch and on everything drawn before it. Here each sample has its own stream, a
pure function of (seed, problem, sample). The n-th uniform number of the stream picks the
n-th token by inverting the cumulative distribution.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from polypath.sampling.request import sample_digest
from polypath.sampling.settings import SamplingSettings


def uniforms(seed: int, keys: Sequence[tuple[str, int]], count: int) -> np.ndarray:
    """Return ``(B, count)`` numbers in [0, 1), in float64: the start of each sample's stream.

    Philox is counter-based and numpy guarantees its raw stream, so the numbers are the same on
    every machine and in every version. A longer stream starts with the shorter one.

    Args:
        seed: seed of all streams.
        keys: (problem id, sample number) of every row.
        count: how many numbers for each row.
    """
    raw = np.empty((len(keys), count), dtype=np.uint64)
    generator = np.random.Philox(
        key=0
    )  # one for all, because a new one first asks the system for entropy
    state = generator.state
    for row, key in zip(raw, keys, strict=True):
        state["state"]["key"] = np.frombuffer(sample_digest(seed, *key, size=16), dtype="<u8")
        generator.state = state
        row[:] = generator.random_raw(count)
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53)


def warper(
    temperature: float, top_k: int | None, top_p: float | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what applies temperature, top-k and top-p to logits, in that order, as transformers does.

    Args:
        temperature: above 0.
        top_k: how many of the likeliest tokens are left; ``None`` or 0 for all.
        top_p: their summed probability; ``None`` or 1 for all.
    """
    cuts: list[LogitsProcessor] = [TopKLogitsWarper(top_k)] if top_k else []
    cuts += [TopPLogitsWarper(top_p)] if top_p is not None and top_p < 1 else []

    def warp(logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float() / temperature
        for cut in cuts:  # neither looks at the tokens before
            logits = cut(None, logits)  # type: ignore[arg-type, unused-ignore]
        return logits

    return warp


class StreamSampler(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Draws every token from the sample's own stream, and leaves ``generate`` no other choice.

    It is meant for ``generate(do_sample=False)``. It applies temperature, top-k and top-p itself
    (in that order, as transformers does), because greedy decoding skips them.

    Args:
        keys: (problem id, sample number) of every row.
        prompt_length: padded length of the prompts.
        settings: how to draw; at temperature 0 the most likely token is taken.
        device: device of the logits.
    """

    def __init__(
        self,
        keys: Sequence[tuple[str, int]],
        *,
        prompt_length: int,
        settings: SamplingSettings,
        device: torch.device,
    ) -> None:
        uniform_B_T = uniforms(settings.seed, keys, settings.max_new_tokens)
        # float64, because a float32 cumulative sum over a large vocabulary loses rare tokens.
        self._dtype = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
        self._uniform_B_T = torch.from_numpy(uniform_B_T).to(device, self._dtype)
        self._prompt_length = prompt_length
        self._temperature = settings.temperature
        self._warp = warper(settings.temperature, settings.top_k, settings.top_p)

    def tokens(self, scores: torch.Tensor, rows: torch.Tensor, place: int) -> torch.Tensor:
        """Return the token of each of some rows at a place of their completions.

        Args:
            scores: logits, ``(rows, V)``.
            rows: numbers of the rows.
            place: number of tokens before it.
        """
        if self._temperature == 0:
            return scores.float().argmax(dim=-1)
        cumulative = self._warp(scores).to(self._dtype).softmax(dim=-1).cumsum(dim=-1)
        total = cumulative[:, -1:]
        position = self._uniform_B_T[rows.to(scores.device), place, None]
        # Strictly below the total: rounding up to it would pick a token of probability zero.
        target = torch.minimum(position * total, torch.nextafter(total, torch.zeros_like(total)))
        return torch.searchsorted(cumulative, target, right=True)[:, 0]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return scores that are 0 at the drawn token and -inf elsewhere."""
        if self._temperature == 0:
            return scores
        rows, place = torch.arange(len(scores)), input_ids.shape[1] - self._prompt_length
        chosen = torch.full_like(scores, -torch.inf, dtype=torch.float32)
        token = self.tokens(scores, rows, place)
        return chosen.scatter_(1, token.unsqueeze(1), 0.0)  # type: ignore[return-value, unused-ignore]
