"""The memory of one training GPU, part by part: an estimate to choose hardware by.

    weights       parameters x bytes; with bf16 autocast on float32 weights also its bf16 copies
    gradients     parameters x bytes
    optimizer     two moments a parameter; DeepSpeed: 12 bytes (float32 weight and moments)
    reference     the weights again, where beta > 0
    average       4 bytes a trained parameter, with average_weights_from
    activations   with checkpointing: one hidden state a token and layer, and one layer in full
    generation    keys and values of every sequence under way, or vLLM's share of the GPU

TRL projects hidden states through the output layer in tiles, so no logits are counted. Not counted
either: CUDA's own (about 1 GB), fragmentation, communication buffers, the embedding model.
"""

from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.plan.models import (
    ADAM_STATES,
    BYTES,
    DEEPSPEED_STATES,
    GB,
    Architecture,
    Sharding,
)
from polypath.plan.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Decimal GB of one training GPU; ``host`` and ``server`` are of the machine and of vLLM's GPUs.

    Attributes:
        parts: by name, on the GPU.
        peak: the most that is held at one moment.
        host: of the whole run, in the host's memory.
        server: weights on the GPUs of a vLLM server, in all; the rest of them is its cache.
    """

    parts: dict[str, float]
    peak: float
    host: float = 0.0
    server: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one GPU works on.

    Attributes:
        gpus: training GPUs.
        gpu_gb: memory of one, GB; ``None`` where it is not known.
        tokens: of the longest sequence, prompt and completion.
        rows: sequences of a micro-step, rehearsed ones included.
        generated: sequences sampled together on one process, where no vLLM does it.
    """

    gpus: int
    gpu_gb: float | None
    tokens: int
    rows: int
    generated: int


def estimate(model: Architecture, settings: Settings, shards: Sharding, load: Load) -> Memory:
    """Estimate the memory of one training GPU.

    Raises:
        ConfigError: ``dtype`` or ``vllm_mode`` is none that TRL knows.
    """
    parts, host = _held(model, settings, shards, load.gpus)
    held = sum(parts.values())
    width = 2 if shards.deepspeed or _half(settings) else 4
    parts["activations"] = _activations(model, settings, load, width) / GB
    generation, server = _generation(model, settings, load, width)
    parts["generation"] = generation
    if settings.flag("use_vllm") and not settings.flag("vllm_enable_sleep_mode"):
        peak = held + parts["activations"] + generation  # vLLM keeps its share while training
    else:
        peak = held + max(parts["activations"], generation)
    return Memory(parts=parts, peak=peak, host=host, server=server)


def _half(settings: Settings) -> bool:
    """Return whether forwards run in 16 bits; TRL does unless told otherwise."""
    return settings.get("bf16") is None or settings.flag("bf16") or settings.flag("fp16")


def _dtype_bytes(settings: Settings) -> int:
    name = settings.text("dtype") or "float32"
    if name not in BYTES:
        raise ConfigError(f"dtype must be one of {', '.join(BYTES)}, got {name!r}.")
    return BYTES[name]


def _held(
    model: Architecture, settings: Settings, shards: Sharding, gpus: int
) -> tuple[dict[str, float], float]:
    """Return what a GPU holds all the time, and what the host does."""
    count = model.parameters / GB
    width = 2 if shards.deepspeed else _dtype_bytes(settings)
    split = {name: gpus if getattr(shards, name) else 1 for name in ("weights", "gradients")}
    states = DEEPSPEED_STATES if shards.deepspeed else ADAM_STATES * width
    weights = count * width / split["weights"]
    casts = count * 2 / split["weights"] if width == 4 and _half(settings) else 0.0
    parts = {
        "weights": casts + (0.0 if shards.weights_on_host else weights),
        "gradients": count * width / split["gradients"],
        "optimizer": count * states / (gpus if shards.states else 1),
        "reference": weights if settings.number("beta") > 0 else 0.0,
        "average": count * 4 if settings.get("average_weights_from") is not None else 0.0,
    }
    host = count * width if shards.weights_on_host else 0.0
    if shards.states_on_host:
        host += count * states
        parts["optimizer"] = 0.0
    if settings.flag("use_peft"):  # adapters only; their own size is left out
        parts |= {"gradients": 0.0, "optimizer": 0.0, "reference": 0.0, "average": 0.0}
    return parts, host


def _activations(model: Architecture, settings: Settings, load: Load, width: int) -> float:
    tokens = load.tokens * load.rows
    layer = tokens * width * (8 * model.hidden + 4 * model.intermediate)
    checkpointed = settings.get("activation_checkpointing")
    if checkpointed is None:
        checkpointed = settings.flag("gradient_checkpointing")
    if checkpointed:
        return tokens * model.hidden * model.layers * width + layer
    return layer * model.layers


def _generation(
    model: Architecture, settings: Settings, load: Load, width: int
) -> tuple[float, float]:
    """Return GB on a training GPU, and of the weights on a vLLM server."""
    if not settings.flag("use_vllm"):
        return model.kv_bytes(width) * load.tokens * load.generated / GB, 0.0
    mode = settings.text("vllm_mode") or "colocate"
    if mode not in ("colocate", "server"):
        raise ConfigError(f"vllm_mode must be colocate or server, got {mode!r}.")
    if mode == "server":
        return 0.0, model.parameters * 2 / GB
    share = settings.number("vllm_gpu_memory_utilization")
    return share * (load.gpu_gb or 0.0), 0.0
