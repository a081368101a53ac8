"""How completions are drawn, and by what: a server, or vLLM. Light: commands make their options from it."""

import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from polypath.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How completions are drawn from a model.

    Attributes:
        temperature: divides the logits, at least 0; 0 takes the most likely token.
        top_p: probability mass of nucleus sampling, in (0, 1]; 1 keeps all tokens. Below 1 the
            samples no longer come from the model's own distribution.
        top_k: most likely tokens to sample from, at least 1; all by default, or with 0.
        max_new_tokens: maximum length of a completion in tokens, at least 1.
        batch_size: completions generated and stored together, at least 1. It changes speed and
            memory; results only by floating-point rounding.
        seed: random seed, at least 0. Every sample is a function of it, of the problem's id and
            of the sample's number.
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
        _require_at_least(self, max_new_tokens=1, batch_size=1, seed=0)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """An OpenAI-compatible server, and how requests are sent to it.

    Attributes:
        base_url: with the API's prefix, as in ``http://localhost:8000/v1``.
        model: its name on the server.
        api_key_env: environment variable that holds the server's API key. No key is sent if it is unset.
        chat: send plain prompts to the server as one user message. Chat prompts always go to
            ``chat/completions``; plain ones go to ``completions``, unchanged, unless this is set.
        concurrency: simultaneous requests to the server, at least 1.
        choices_per_request: samples per request (``n``), at least 1.
        logprobs: request the log-probability of every token.
        retries: further attempts of a failed request, at least 0.
        timeout: seconds after which a request without an answer from the server has failed,
            above 0.
        first_wait: seconds before the first retry, above 0; doubled for each further one.
        longest_wait: upper limit of these waits in seconds, above 0.
    """

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    chat: bool = False
    concurrency: int = 16
    choices_per_request: int = 16
    logprobs: bool = False
    retries: int = 6
    timeout: float = 600.0
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        _require_at_least(self, concurrency=1, choices_per_request=1, retries=0)
        for name in ("timeout", "first_wait", "longest_wait"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}.")
        server_host(self.base_url)


@dataclass(frozen=True, kw_only=True)
class VllmSettings:
    """How vLLM's engine is run.

    Attributes:
        tensor_parallel_size: GPUs that share one model, at least 1.
        gpu_memory_utilization: share of each GPU's memory the engine takes, in (0, 1]; of main
            memory, all of it, in the build for CPU.
        max_model_len: maximum length of a prompt with its completion in tokens; the model's own
            by default, for which the engine needs room in its cache.
        dtype: of weights and activations: ``"auto"`` is the checkpoint's.
        enforce_eager: do without CUDA graphs: starts faster, samples slower.
        logprobs: whether completions hold log-probabilities. vLLM's are by default those before
            temperature, top-k and top-p, and by other kernels than training's.
    """

    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    dtype: str = "auto"
    enforce_eager: bool = False
    logprobs: bool = False

    def __post_init__(self) -> None:
        _require_at_least(self, tensor_parallel_size=1, max_model_len=1)
        if not 0 < self.gpu_memory_utilization <= 1:
            raise ConfigError(
                f"gpu_memory_utilization must be in (0, 1], got {self.gpu_memory_utilization}."
            )


def server_host(base_url: str) -> str:
    """Return the host of a server's address.

    Raises:
        ConfigError: it is no address, or holds a password or a query, which would be printed.

    >>> server_host("http://localhost:8000/v1")
    'localhost'
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"base_url must be like http://localhost:8000/v1, got {parts.scheme}:{parts.path}."
        )
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"base_url {parts.scheme}://{parts.hostname} must not hold a password or a query; "
            "put the API key into an environment variable."
        )
    return parts.hostname


def _require_at_least(settings: object, **limits: int) -> None:
    for name, least in limits.items():
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}.")
