"""The OpenAI API's words: what a request for samples says, and what the choices of an answer mean."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from polypath.sampling.completion import Completion
from polypath.sampling.settings import SamplingSettings
from polypath.tasks.base import Problem


def request(
    settings: SamplingSettings,
    problem: Problem,
    sample_ids: Sequence[int],
    *,
    model: str,
    chat: bool,
    logprobs: bool,
) -> tuple[str, dict[str, Any]]:
    """Return the endpoint and the body that ask for some samples of a problem."""
    body: dict[str, Any] = {
        "model": model,
        "n": len(sample_ids),
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_new_tokens,
        "seed": request_seed(settings.seed, problem.problem_id, sample_ids[0]),
    }
    if settings.top_k is not None:
        body["top_k"] = settings.top_k  # not OpenAI's, but vLLM's and SGLang's
    prompt = problem.prompt
    if isinstance(prompt, str) and chat:
        prompt = [{"role": "user", "content": prompt}]
    if isinstance(prompt, str):
        extra: dict[str, Any] = {"logprobs": 0} if logprobs else {}
        return "completions", {**body, "prompt": prompt, **extra}
    return "chat/completions", {
        **body,
        "messages": prompt,
        **({"logprobs": True} if logprobs else {}),
    }


def request_seed(seed: int, problem_id: str, sample_id: int) -> int:
    """Return the seed of a request, in 0..2^31 - 1: two requests with one seed would agree."""
    digest = hashlib.blake2b(f"{seed}\0{problem_id}\0{sample_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") & 0x7FFF_FFFF


def completion(
    problem: Problem, sample_id: int, choice: Mapping[str, Any], n_tokens: Any
) -> Completion:
    """Read one choice of an answer; ``n_tokens`` is what the answer's usage tells of it."""
    said = choice.get("text")
    if said is None:
        said = (choice.get("message") or {}).get("content")
    logprobs = _logprobs(choice.get("logprobs"))
    reason = choice.get("finish_reason")
    if logprobs is not None:
        n_tokens = len(logprobs)
    return Completion(
        problem=problem,
        sample_id=sample_id,
        text=said if isinstance(said, str) else "",
        token_ids=(),
        finish_reason=reason if reason in ("stop", "length") else None,
        n_tokens=n_tokens if isinstance(n_tokens, int) else None,
        logprobs=logprobs,
    )


def _logprobs(told: Any) -> tuple[float, ...] | None:
    """Read log-probabilities in either endpoint's form."""
    if not isinstance(told, dict):
        return None
    if isinstance(told.get("token_logprobs"), list):
        return tuple(float(v) for v in told["token_logprobs"] if v is not None)
    if isinstance(told.get("content"), list):
        return tuple(float(entry["logprob"]) for entry in told["content"])
    return None
