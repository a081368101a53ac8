"""How completions are drawn."""

import math
from dataclasses import dataclass

from polypath.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How completions are drawn from a model.

    Attributes:
        temperature: what logits are divided by, at least 0; 0 takes the likeliest token.
        top_p: probability mass kept, in (0, 1]; 1 keeps all. Below 1 the samples no longer come
            from the model's own distribution.
        top_k: number of tokens kept; ``None`` or 0 keeps all.
        max_new_tokens: limit on the tokens of a completion, at least 1.
        batch_size: completions generated together, at least 1. It moves speed and memory; results
            only by floating-point rounding.
        seed: every sample is a function of it, of the problem's id and of the sample's number.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_new_tokens: int = 256
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature must be at least 0, got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], got {self.top_p}.")
        if self.top_k == 0:
            object.__setattr__(self, "top_k", None)
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, or 0 for all, got {self.top_k}.")
        for name in ("max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}.")
