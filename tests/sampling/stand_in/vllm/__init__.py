"""A stand-in for vLLM where it is not installed: its offline interface over transformers, slow and exact.

Signatures, defaults, checks and results follow vLLM 0.8 to 0.31 as far as polypath uses them, and what
it does not use is refused: a request is one row with a generator of its own, generated token ids hold
the end token, and text is empty without detokenizing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

STARTED: list["LLM"] = []


@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    seed: int | None = None
    stop_token_ids: list[int] = field(default_factory=list)
    max_tokens: int | None = 16
    detokenize: bool = True
    skip_special_tokens: bool = True

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.n < 1:
            raise ValueError("temperature, top_p or n is out of range")
        if self.top_k < -1 or self.top_k == 0:  # as before 0.9
            raise ValueError(f"top_k must be -1 (disable), or at least 1, got {self.top_k}.")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must fit a signed 64-bit integer, got {self.seed}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class RequestOutput:
    request_id: str
    prompt: str | None
    prompt_token_ids: list[int] | None
    outputs: list[CompletionOutput]
    finished: bool


class LLM:
    def __init__(
        self,
        model: str,
        *,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        seed: int | None = None,
        gpu_memory_utilization: float = 0.9,
        max_model_len: int | None = None,
        enforce_eager: bool = False,
        generation_config: str = "auto",
    ) -> None:
        self.given = {name: value for name, value in locals().items() if name != "self"}
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_USE_AGENT_STORE"):
            if name in os.environ:
                raise RuntimeError(f"{name} is set: the engine would wait for other ranks for ever")
        self.devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        weights = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=weights).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        own = self.model.config.max_position_embeddings
        config = SimpleNamespace(max_model_len=min(own, max_model_len or own))
        self.llm_engine = SimpleNamespace(model_config=config)
        self.requests: list[SamplingParams] = []
        self.sizes: list[int] = []
        STARTED.append(self)

    def generate(
        self,
        prompts: Sequence[Mapping[str, Any]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        del use_tqdm
        assert isinstance(sampling_params, Sequence), "here each request has its own"
        if len(prompts) != len(sampling_params):
            raise ValueError("The lengths of prompts and params must be the same.")
        self.requests += sampling_params
        self.sizes.append(len(prompts))
        return [
            self._one(str(number), list(prompt["prompt_token_ids"]), params)
            for number, (prompt, params) in enumerate(zip(prompts, sampling_params, strict=True))
        ]

    @torch.no_grad()
    def _one(self, request_id: str, prompt: list[int], params: SamplingParams) -> RequestOutput:
        assert params.n == 1
        room = self.llm_engine.model_config.max_model_len - len(prompt)
        generator = torch.Generator().manual_seed(params.seed) if params.seed is not None else None
        ends = {self.tokenizer.eos_token_id, *params.stop_token_ids}
        ids, cache, step = [], None, torch.tensor([prompt])
        reason = "length"
        while len(ids) < min(params.max_tokens or room, room):
            output = self.model(input_ids=step, past_key_values=cache, use_cache=True)
            cache, logits = output.past_key_values, output.logits[0, -1].float()
            token = _draw(logits, params, generator)
            ids.append(token)
            step = torch.tensor([[token]])
            if token in ends:
                reason = "stop"
                break
        text = ""
        if params.detokenize:
            text = self.tokenizer.decode(ids, skip_special_tokens=params.skip_special_tokens)
        completion = CompletionOutput(0, text, ids, None, reason)
        return RequestOutput(request_id, None, prompt, [completion], True)


def _draw(logits: torch.Tensor, params: SamplingParams, generator: torch.Generator | None) -> int:
    if params.temperature < 1e-5:
        return int(logits.argmax())
    logits = logits / params.temperature
    if params.top_k > 0:
        least = logits.topk(min(params.top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if params.top_p < 1:
        values, order = logits.sort()
        drop = values.softmax(-1).cumsum(-1) <= 1 - params.top_p
        drop[-1] = False
        logits = logits.index_fill(0, order[drop], -torch.inf)
    noise = torch.empty_like(logits).exponential_(generator=generator)
    return int((logits.softmax(-1) / noise).argmax())
