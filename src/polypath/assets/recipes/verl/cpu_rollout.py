"""A rollout without vLLM: one Ray actor samples with transformers on the CPU.

What is sampled does not depend on timing: the random stream of a request follows from the seed, the
version of the weights, the prompt, and how many requests had this prompt before it.
"""

import asyncio
import hashlib
from collections import Counter
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

SERVER = "cpu_rollout"  # one for all replicas, so that requests are counted in one place


class CPUServer:
    """Samples one completion after the other."""

    def __init__(self, path: str, max_tokens: int, seed: int) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.max_tokens, self.seed, self.step = max_tokens, seed, 0
        self.lock = asyncio.Lock()
        self.asked: Counter[str] = Counter()
        eos = self.model.generation_config.eos_token_id
        self.eos = set(eos if isinstance(eos, list) else [eos])

    async def generate(
        self, request_id: str, *, prompt_ids: Any, sampling_params: dict[str, Any], **others: Any
    ) -> TokenOutput:
        async with self.lock:
            ids, temperature = list(prompt_ids), float(sampling_params.get("temperature", 1.0))
            asked = f"{self.seed} {self.step} {temperature} {ids}"
            name = f"{asked} {self.asked[asked]}"
            self.asked[asked] += 1
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
            return self._sample(ids, temperature, torch.Generator().manual_seed(key))

    @torch.no_grad()
    def _sample(self, ids: list[int], temperature: float, stream: torch.Generator) -> TokenOutput:
        tokens: list[int] = []
        logps: list[float] = []
        past, feed = None, torch.tensor([ids])
        while len(tokens) < self.max_tokens and not (tokens and tokens[-1] in self.eos):
            output = self.model(input_ids=feed, past_key_values=past, use_cache=True)
            past, logits = output.past_key_values, output.logits[0, -1]
            logp = torch.log_softmax(logits / (temperature or 1.0), -1)
            token = (
                int(torch.multinomial(logp.exp(), 1, generator=stream))
                if temperature
                else int(logits.argmax())
            )
            tokens.append(token)
            logps.append(float(logp[token]))
            feed = torch.tensor([[token]])
        return TokenOutput(
            token_ids=tokens,
            log_probs=logps,
            stop_reason="completed",
            extra_fields={"global_steps": self.step},
        )

    def load(self, weights: dict[str, torch.Tensor], step: int) -> None:
        """Take new weights, and forget what was asked of the old ones."""
        self.model.load_state_dict(weights, strict=True)
        if step != self.step:
            self.asked.clear()
        self.step = step

    async def nothing(self, *args: Any, **named: Any) -> None:
        pass

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing
    abort_all_requests = resume_generation = start_profile = stop_profile = nothing


class CPUAdapter(BaseRollout):
    """Sends the trainer's weights to the server."""

    async def resume(self, tags: Any) -> None:
        pass

    async def release(self) -> None:
        pass

    async def update_weights(self, weights: Any, global_steps: int = 0, **others: Any) -> None:
        named = {name: tensor.detach().cpu().clone() for name, tensor in weights}
        await ray.get_actor(SERVER).load.remote(named, global_steps)


class CPUReplica(RolloutReplica):
    """A replica whose server is the one of all."""

    async def launch_servers(self) -> None:
        server = (
            ray.remote(CPUServer)
            .options(name=SERVER, get_if_exists=True, num_cpus=1, max_concurrency=256)
            .remote(self.model_config.path, self.config.response_length, self.config.seed)
        )
        await server.nothing.remote()
        self.servers = [server]
        self._server_handle, self._server_address = server, f"{SERVER}:{self.replica_rank}"
