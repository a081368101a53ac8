"""Hashes that show whether two runs use the same model, tokenizer and chat template.

Each is a hexadecimal SHA-256. They identify, but do not protect against a forger.
"""

import hashlib
import json
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from polypath.errors import ConfigError
from polypath.rollouts.files import sha256_of

_VALUES_PER_TENSOR = 4096
# Wrappers of DDP, torch.compile and PEFT put these before a parameter's name ...
_PREFIXES = re.compile(r"^(?:module\.|_orig_mod\.|base_model\.model\.)+")
# ... and PEFT moves the frozen weight one level down, next to the adapter's own.
_PEFT_INFIXES = re.compile(r"\.(?:base_layer|original_module)")
_ADAPTER_MARKS = ("lora_", "modules_to_save.", "prompt_encoder.", "ia3_", ".oft_", ".vera_")


def model_fingerprint(model: torch.nn.Module) -> str:
    """Hash a model's base weights: names, shapes and up to 4096 values of every parameter.

    The values are evenly spaced over the flattened tensor and first rounded to bfloat16. So
    loading one checkpoint in float32 or in bfloat16 gives one fingerprint. Adapter parameters
    (such as LoRA's) do not count, and the names that PEFT, DDP and ``torch.compile`` give are undone:
    a model has the same fingerprint with and without an adapter. Tied weights count once.

    A change that leaves all sampled values as they were is not detected. A training step changes
    nearly all of them.

    Args:
        model: must not be sharded by FSDP (compute it before the model is wrapped) and not quantised
            (quantised weights have their own fingerprint). Parameters that DeepSpeed's ZeRO-3
            has split while loading are gathered one at a time: all processes must call this.

    Raises:
        ConfigError: a parameter is sharded or on the meta device.
    """
    digest = hashlib.sha256()
    named = {_plain_name(name): p for name, p in model.named_parameters() if not _is_adapter(name)}
    for name in sorted(named):
        with _gathered(named[name]):
            tensor = named[name].detach()
            if tensor.is_meta or hasattr(tensor, "full_tensor"):
                raise ConfigError(
                    f"Parameter {name} is sharded or has no values yet, so the model has no "
                    "fingerprint; compute it before the model is wrapped for training."
                )
            digest.update(f"{name}|{tuple(tensor.shape)}|".encode())
            flat = tensor.reshape(-1)
            count = min(flat.numel(), _VALUES_PER_TENSOR)
            # Integer arithmetic: linspace in float32 misses exact positions in large tensors.
            places = torch.arange(count, device=flat.device) * flat.numel() // max(count, 1)
            values = flat[places].to(torch.bfloat16).view(torch.int16)
            digest.update(values.cpu().numpy().astype("<i2").tobytes())
    return digest.hexdigest()


def weight_hashes(model: str | Path) -> dict[str, str]:
    """Return the SHA-256 of the weight files in a model's folder; empty for a name on the hub.

    They detect any change of a file. ``model_fingerprint`` shows that a model is the same, in
    whatever file.
    """
    names = ("*.safetensors", "pytorch_model*.bin", "adapter_model.bin")
    paths = sorted(path for name in names for path in Path(model).glob(name))
    return {path.name: sha256_of(path) for path in paths}


def _gathered(parameter: torch.nn.Parameter) -> AbstractContextManager[Any]:
    """Gather a parameter that DeepSpeed's ZeRO-3 has split (it marks such a parameter with an id)."""
    if not hasattr(parameter, "ds_id"):
        return nullcontext()
    import deepspeed  # type: ignore[import-not-found, unused-ignore]

    gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters([parameter])
    return gathered


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Hash everything of a tokenizer that decides which ids a text becomes.

    That is the vocabulary, the special tokens and the backend's own serialisation. The padding
    token, the padding side and the state of padding and truncation are left out: trainers set
    them freely, and they do not change the ids of a prompt.
    """
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items() if k != "pad_token"}
    content: dict[str, Any] = {"vocab": tokenizer.get_vocab(), "special": special}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        state = json.loads(backend.to_str())
        state.pop("padding", None)
        state.pop("truncation", None)
        content["backend"] = state
    else:
        content["class"] = type(tokenizer).__name__
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def template_fingerprint(tokenizer: Any) -> str:
    """Hash the chat template's text; ``""`` stands for a tokenizer without one."""
    template = getattr(tokenizer, "chat_template", None) or ""
    if not isinstance(template, str):
        template = json.dumps(template, sort_keys=True)
    return hashlib.sha256(template.encode()).hexdigest()


def _plain_name(name: str) -> str:
    return _PEFT_INFIXES.sub("", _PREFIXES.sub("", name))


def _is_adapter(name: str) -> bool:
    return any(mark in name for mark in _ADAPTER_MARKS)
