"""How completions are drawn, and by what: a server, or vLLM. Quick to import, for the commands."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from polypath.credentials import remember
from polypath.errors import ConfigError
from polypath.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How completions are drawn from a model.

    With ``top_p`` below 1 or ``top_k`` the samples no longer come from the model's own distribution.
    Every sample is a function of ``seed``, the problem's id and the sample's number.
    ``batch_size`` changes speed and memory, and results only by floating-point rounding.
    """

    temperature: float = setting(
        1.0, "Sampling temperature, at least 0; 0 is greedy.", within="[0, inf)"
    )
    top_p: float = setting(1.0, "Probability mass of nucleus sampling, in (0, 1].", within="(0, 1]")
    top_k: int | None = setting(
        None, "Sample from this many most likely tokens; 0, the default, is all.", within="[0, inf)"
    )
    max_new_tokens: int = setting(
        256, "Maximum length of a completion in tokens, at least 1.", within="[1, inf)"
    )
    batch_size: int = setting(
        64, "Completions generated and stored together, at least 1.", within="[1, inf)"
    )
    seed: int = setting(0, "Random seed of the samples, at least 0.", within="[0, inf)")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.top_k == 0:
            object.__setattr__(self, "top_k", None)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """An OpenAI-compatible server, and how requests are sent to it.

    Attributes:
        base_url: address with the API's prefix, as in ``http://localhost:8000/v1``.
        model: its name on the server.
    """

    base_url: str
    model: str
    api_key_env: str = setting(
        "OPENAI_API_KEY",
        "Environment variable that holds the server's API key. If it is unset, no key is sent.",
    )
    chat: bool = setting(
        False,
        "Send each plain-text prompt to chat/completions, as one user message. Without this it goes to "
        "completions, unchanged. Prompts that are chats always go to chat/completions.",
    )
    concurrency: int = setting(
        16, "Simultaneous requests to the server, at least 1.", within="[1, inf)"
    )
    choices_per_request: int = setting(
        16, "Samples per request (n), at least 1.", within="[1, inf)"
    )
    retries: int = setting(
        6, "Further attempts of a failed request, at least 0.", within="[0, inf)"
    )
    timeout: float = setting(
        600.0, "Seconds to wait for a complete answer of the server, above 0.", within="(0, 1e9]"
    )
    first_wait: float = setting(
        1.0, "Seconds before the first retry, above 0; then doubled.", within="(0, 1e9]"
    )
    longest_wait: float = setting(
        60.0, "Upper limit of these waits in seconds, above 0.", within="(0, 1e9]"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        server_host(self.base_url)
        server_key(self.api_key_env)


@dataclass(frozen=True, kw_only=True)
class VllmSettings:
    """How vLLM's engine runs."""

    tensor_parallel_size: int = setting(
        1, "GPUs that share one model, at least 1.", within="[1, inf)"
    )
    gpu_memory_utilization: float = setting(
        0.9,
        "Share of each GPU's memory that the engine takes, in (0, 1]. In the build for CPU, share of all "
        "main memory.",
        within="(0, 1]",
    )
    max_model_len: int | None = setting(
        None,
        "Maximum length of a prompt with its completion in tokens; by default the model's own, for "
        "which the engine needs space in its cache.",
        within="[1, inf)",
    )
    dtype: str = setting("auto", "Data type of weights and activations; auto is the checkpoint's.")
    enforce_eager: bool = setting(False, "Use no CUDA graphs: starts faster, samples slower.")

    def __post_init__(self) -> None:
        check_settings(self)


def server_host(base_url: str) -> str:
    """Return the host of a server's address.

    Raises:
        ConfigError: it is not an address, or contains a password, a query or a fragment, which would show.

    >>> server_host("http://localhost:8000/v1")
    'localhost'
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port  # reading them also checks them
    except ValueError:
        host = None
    plain = base_url.isascii() and base_url.isprintable() and " " not in base_url
    if not host or not plain or parts.scheme not in ("http", "https"):
        got = base_url.partition("?")[0].partition("#")[0]
        raise ConfigError(f"base_url must be like http://localhost:8000/v1, got {got!r}.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"base_url {parts.scheme}://{host} must not hold a password or a query; "
            "put the API key into an environment variable."
        )
    return host


def server_key(variable: str) -> str:
    """Return the API key in an environment variable, empty if it is unset. No message shows the key.

    Raises:
        ConfigError: it contains characters that cannot be sent in a header.
    """
    key = os.environ.get(variable, "").strip()
    remember(key)
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"The API key in the environment variable {variable} contains a control character or one outside "
            "ASCII, and cannot be sent. Copy it again."
        )
    return key
