"""The memory of one training GPU, part by part: an estimate for choosing hardware.

    weights       all weights, in the recipe's dtype
    gradients     like the trained weights
    optimizer     AdamW's two moments for each trained weight
    reference     the weights again, if beta > 0
    average       float32, with average_weights_from
    activations   what a forward pass keeps; with checkpointing, its hidden states and one layer
    logits        TRL's tile of the output layer's result
    generation    keys and values of all current sequences, or vLLM's share of the GPU

Under DeepSpeed, weights, gradients and optimizer follow its own rule of thumb. docs/recipes.md says what
was checked, and against what. Sizes are decimal: 1 GB is 1e9 bytes.
"""

from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.plan.settings import Settings
from polypath.plan.zero import Zero

GB = 1e9
DTYPES = ("float32", "bfloat16", "float16", "auto")
ADAMW = (
    "",
    "adamw_torch",
    "adamw_torch_fused",
)  # optimizers with two moments as wide as the weights
LOGITS_TILE = (
    32_768  # columns of the output layer at a time: _CHUNKED_LOGPROB_CHUNK_SIZE of TRL 1.16
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one GPU works on at a time.

    Attributes:
        prompt, completion: tokens of the longest sequence.
        rows: sequences of a micro-step, including rehearsed ones.
        generated: number of sequences sampled together; 0 if vLLM samples.
    """

    prompt: int
    completion: int
    rows: int
    generated: int


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """Sizes of a model, in bytes unless stated otherwise.

    Attributes:
        parameters: number of weights; tied ones count once.
        largest_layer: number of weights of the largest single module.
        weights: size of all weights.
        kept: what one forward pass keeps for its backward, without checkpointing: activations, and the copies
            of the weights that autocast makes.
        hidden_states: hidden states between the layers, which are what checkpointing keeps of ``kept``.
        layers: number of layers.
        cache: keys and values of the sequences sampled together.
    """

    parameters: int
    largest_layer: int
    weights: int
    kept: int
    hidden_states: int
    layers: int
    cache: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory in decimal GB.

    Attributes:
        parts: sizes by name, on one training GPU.
        peak: the most that is held there at one moment.
        host: memory of the host, for one machine with all training GPUs; 0 if it holds nothing.
    """

    parts: dict[str, float]
    peak: float
    host: float = 0.0


def why_no_estimate(settings: Settings, zero: Zero | None) -> str:
    """Return what the estimate does not cover in a recipe; empty if it covers everything."""
    if settings.get("fsdp"):
        return "FSDP"
    if zero is not None and (zero.stage < 2 or zero.weights_on_host):
        return (
            "DeepSpeed with weights on the host" if zero.weights_on_host else "ZeRO below stage 2"
        )
    for name in ("use_peft", "load_in_4bit", "load_in_8bit", "use_liger_kernel"):
        if settings.flag(name):
            return name
    optimizer = settings.text("optim")
    return "" if optimizer in ADAMW else f"optim {optimizer}"


def dtype_of(settings: Settings, zero: Zero | None) -> str:
    """Return the dtype of the weights; DeepSpeed trains in bfloat16.

    Raises:
        ConfigError: TRL does not know this ``dtype``.
    """
    name = settings.text("dtype") or "float32"
    if name not in DTYPES:
        raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}, got {name!r}.")
    return "bfloat16" if zero is not None else name


def autocasts(settings: Settings, zero: Zero | None) -> bool:
    """Return whether forward passes compute in 16 bits whatever the dtype, which is TRL's default."""
    half = settings.get("bf16") is None or settings.flag("bf16") or settings.flag("fp16")
    return zero is None and half


def estimate(
    size: ModelSize,
    settings: Settings,
    zero: Zero | None,
    work: Work,
    *,
    gpus: int,
    gpu_gb: float | None,
) -> Memory:
    """Estimate the memory of one training GPU.

    Args:
        size: size of the model, measured for ``work``.
        settings: settings of the recipe.
        zero: how DeepSpeed shares out the model, if it does.
        work: what one GPU works on.
        gpus: training GPUs.
        gpu_gb: memory of one GPU, in GB; ``None`` if unknown.

    Raises:
        ConfigError: TRL does not know this ``vllm_mode``.
    """
    held = _states(size, zero, gpus)
    whole = size.weights / (gpus if zero is not None and zero.stage == 3 else 1)
    held["reference"] = whole if settings.number("beta") > 0 else 0.0
    averaged = settings.get("average_weights_from") is not None
    held["average"] = 4.0 * size.parameters if averaged else 0.0
    width = 2 if autocasts(settings, zero) else size.weights // size.parameters
    logits = work.rows * work.completion * LOGITS_TILE * width
    activations, in_pass = _forward_and_backward(size, settings, logits)
    share = _vllm_share(settings) * (gpu_gb or 0.0) * GB
    if share and not settings.flag("vllm_enable_sleep_mode"):
        peak = sum(held.values()) + in_pass + share  # vLLM keeps its share while training
    else:
        peak = sum(held.values()) + max(in_pass, share or size.cache)
    parts = {
        **held,
        "activations": activations,
        "logits": logits,
        "generation": share or size.cache,
    }
    on_host = zero is not None and zero.optimizer_on_host
    host = size.parameters * max(4 * gpus, 16) / GB if on_host else 0.0
    return Memory(
        parts={name: size / GB for name, size in parts.items()}, peak=peak / GB, host=host
    )


def _states(size: ModelSize, zero: Zero | None, gpus: int) -> dict[str, float]:
    """Return the bytes of weights, gradients and optimizer.

    DeepSpeed's are those of its ``estimate_zero2_model_states_mem_needs`` and ``estimate_zero3...``:
    bfloat16 weights and gradients, float32 gradients, weights and moments.
    """
    if zero is None:
        return {
            "weights": size.weights,
            "gradients": size.weights,
            "optimizer": 2.0 * size.weights,
        }
    count = size.parameters
    if (
        zero.stage == 3
    ):  # one layer is gathered whole; half of the gradients' 4 bytes are bfloat16's
        weights, gradients = 2 * count / gpus + 4 * size.largest_layer, 4 * count / gpus
    else:
        weights, gradients = 2.0 * count, 6 * count / gpus
    if zero.optimizer_on_host:
        return {"weights": weights, "gradients": 0.0, "optimizer": 0.0}
    return {"weights": weights, "gradients": gradients, "optimizer": 12 * count / gpus}


def _forward_and_backward(
    size: ModelSize, settings: Settings, logits: float
) -> tuple[float, float]:
    """Return the bytes of the activations, and the most that they and the logits take together."""
    checkpointed = settings.get("activation_checkpointing")
    if checkpointed is None:
        checkpointed = settings.flag("gradient_checkpointing")
    if not checkpointed:
        return size.kept, size.kept + logits
    layer = size.kept / size.layers  # recomputed in the backward pass, when the logits are gone
    return size.hidden_states + layer, size.hidden_states + max(layer, logits)


def _vllm_share(settings: Settings) -> float:
    """Return the share of a training GPU that vLLM takes."""
    if not settings.flag("use_vllm"):
        return 0.0
    mode = settings.text("vllm_mode") or "colocate"
    if mode not in ("colocate", "server"):
        raise ConfigError(f"vllm_mode must be colocate or server, got {mode!r}.")
    return settings.number("vllm_gpu_memory_utilization") if mode == "colocate" else 0.0
