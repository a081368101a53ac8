"""Train with a real vLLM: ``python -m tests.engines.trl.real_vllm MODEL OUT colocate|server [URL]``.

The build for CPU cannot take weights as TRL sends them: NCCL needs a GPU, and in the trainer's own process
its packed weights cannot be loaded into. There, and there alone, weights go through vLLM's
``reload_weights`` instead; all else is TRL's and vLLM's own.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

MODEL = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


def save_untied(folder: Path) -> None:
    """Save a tiny model that vLLM's build for CPU can run and reload.

    Heads of 32 numbers are the smallest it knows, and on a reload it forgets the output layer of a
    model that has one with its embeddings.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.tiny import save_tiny_model

    save_tiny_model(folder, hidden=64)
    tied = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = False
    model = AutoModelForCausalLM.from_config(config).float()
    weights = tied.state_dict()
    model.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]})
    model.generation_config = tied.generation_config
    model.save_pretrained(folder)


def reload_on_cpu() -> None:
    """Replace how TRL sends weights, in both modes."""
    from trl.generation.vllm_client import VLLMClient
    from trl.generation.vllm_generation import VLLMGeneration

    send = VLLMGeneration.sync_weights

    def sync_weights(self: Any) -> None:
        if self.mode == "server":
            send(self)
            return
        worker = self.llm.llm_engine.model_executor.driver_worker
        worker.reload_weights(weights_iterator=self._iter_named_params())
        self.llm.reset_prefix_cache()

    def update_named_params(
        self: Any, metadata: Any, named: Iterator[tuple[str, torch.Tensor]]
    ) -> None:
        del metadata
        folder = MODEL.parent / "sent"
        folder.mkdir(exist_ok=True)
        shutil.copy(MODEL / "config.json", folder)
        save_file({n: t.clone() for n, t in named}, folder / "model.safetensors", {"format": "pt"})
        order = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        response = self.session.post(f"{self.base_url}/collective_rpc", json=order)
        assert response.status_code == 200, response.text

    def no_communicator(*_: Any, **__: Any) -> None:
        pass

    VLLMGeneration.sync_weights = sync_weights
    VLLMClient.update_named_params = update_named_params
    VLLMClient.init_communicator = no_communicator


def main() -> None:
    from vllm.platforms import current_platform  # type: ignore[import-not-found, unused-ignore]

    from tests.engines.trl.helpers import train

    out, mode = Path(sys.argv[2]), sys.argv[3]
    if current_platform.is_cpu():
        reload_on_cpu()
    trainer = train(
        MODEL,
        out,
        use_vllm=True,
        vllm_mode=mode,
        vllm_server_base_url=sys.argv[4] if mode == "server" else None,
        vllm_server_timeout=240.0,
        vllm_gpu_memory_utilization=0.3,
        max_completion_length=8,
        max_steps=4,
        dra=True,
        positive_entropy_coef=0.1,
        model_init_kwargs={"dtype": "float32"},
        use_cpu=current_platform.is_cpu(),
    )
    (out / "log.json").write_text(json.dumps(trainer.state.log_history))


if __name__ == "__main__":
    main()
