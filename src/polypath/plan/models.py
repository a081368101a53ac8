"""How large a model is, and the memory that training it takes on one GPU: arithmetic, no weights.

Sizes are decimal: 1 GB is 1e9 bytes.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.plan.settings import Settings
from polypath.tasks.shipped import shipped_model

GB = 1e9
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
ADAM_STATES = 2  # of each parameter: the first and the second moment
DEEPSPEED_STATES = 12  # bytes a parameter: float32 weight and both moments, beside bf16 weights


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the memory depends on; a decoder with gated MLPs, as Llama's and Qwen2's.

    Attributes:
        hidden, intermediate, layers, heads, kv_heads, head_dim, vocabulary: as in config.json.
        tied: whether the output layer is the embedding.
        assumed: taken from the table below and not from the model's own config.json.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    assumed: bool = True

    @property
    def parameters(self) -> int:
        """Number of weights, without biases and norms (below 0.1 % of a large model)."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        mlp = 3 * self.hidden * self.intermediate
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * (attention + mlp) + embeddings

    def kv_bytes(self, width: int) -> int:
        """Bytes of keys and values of one token, at ``width`` bytes a number."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width


def _qwen_15(*, tied: bool) -> Architecture:
    return Architecture(
        hidden=1536,
        intermediate=8960,
        layers=28,
        heads=12,
        kv_heads=2,
        head_dim=128,
        vocabulary=151_936,
        tied=tied,
    )


_LLAMA_8B = Architecture(
    hidden=4096,
    intermediate=14_336,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=128_256,
    tied=False,
)

# From general knowledge of the published config.json files; a local one is read instead.
ARCHITECTURES: dict[str, Architecture] = {
    "Qwen/Qwen2.5-Math-1.5B": _qwen_15(tied=True),
    "Qwen/Qwen2.5-Math-7B": Architecture(
        hidden=3584,
        intermediate=18_944,
        layers=28,
        heads=28,
        kv_heads=4,
        head_dim=128,
        vocabulary=152_064,
        tied=False,
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _qwen_15(tied=False),
    "meta-llama/Llama-3.1-8B": _LLAMA_8B,
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_8B,
    "seeklhy/OmniSQL-32B": Architecture(
        hidden=5120,
        intermediate=27_648,
        layers=64,
        heads=40,
        kv_heads=8,
        head_dim=128,
        vocabulary=152_064,
        tied=False,
    ),
}


def find_model(name: str) -> Path | None:
    """Return the folder of a model that is on this machine: a folder, or the hub's cache.

    Raises:
        MissingFileError: the folder holds no config.json.
    """
    folder = Path(shipped_model(name))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise MissingFileError(
                f"Model folder {folder} has no config.json. Name a folder written by "
                "save_pretrained."
            )
        return folder
    return hub_folder(name)


def hub_folder(name: str, kind: str = "models") -> Path | None:
    """Return a snapshot of a hub repository in the cache, ``None`` where there is none."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    return max(snapshots.glob("*/"), default=None)


def architecture(name: str) -> Architecture | None:
    """Return a model's sizes: of its config.json where it is here, else of the table, else ``None``.

    Raises:
        DataError: config.json cannot be read.
    """
    folder = find_model(name)
    if folder is None or not (folder / "config.json").is_file():
        return ARCHITECTURES.get(name)
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / 'config.json'} is not readable as JSON.") from error
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return Architecture(
            hidden=hidden,
            intermediate=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            assumed=False,
        )
    except (KeyError, TypeError, ValueError):
        return None  # an architecture of another kind: nothing is estimated


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """What is split over the GPUs, and what lies in the host's memory instead.

    Attributes:
        name: for people.
        weights, gradients, states: whether these are split.
        deepspeed: weights are bf16 beside float32 copies of DeepSpeed's own.
        states_on_host, weights_on_host: kept in the host's memory.
    """

    name: str
    weights: bool = False
    gradients: bool = False
    states: bool = False
    deepspeed: bool = False
    states_on_host: bool = False
    weights_on_host: bool = False


def sharding(settings: Settings, folder: Path) -> Sharding:
    """Read how the recipe shards: its ``deepspeed`` or ``fsdp`` key, or not at all.

    Args:
        settings: of the recipe.
        folder: against which a relative path is looked up, after the working directory.

    Raises:
        MissingFileError, DataError: the DeepSpeed file does not exist, or is no JSON mapping.
    """
    value = settings.get("deepspeed")
    if value:
        config = value if isinstance(value, Mapping) else _read_deepspeed(str(value), folder)
        zero = config.get("zero_optimization") or {}
        try:
            stage = int(zero.get("stage", 0))
        except (AttributeError, TypeError, ValueError):
            raise ConfigError(
                f"zero_optimization of {value} must hold a stage of 0 to 3, got {zero!r}."
            ) from None
        offload = (zero.get("offload_optimizer") or {}).get("device", "none") != "none"
        offload_weights = (zero.get("offload_param") or {}).get("device", "none") != "none"
        return Sharding(
            name=f"DeepSpeed ZeRO-{stage}" + (", optimizer on the host" if offload else ""),
            weights=stage >= 3,
            gradients=stage >= 2,
            states=stage >= 1,
            deepspeed=True,
            states_on_host=offload,
            weights_on_host=offload_weights,
        )
    if settings.get("fsdp"):
        return Sharding(name="FSDP, fully sharded", weights=True, gradients=True, states=True)
    return Sharding(name="none: every GPU holds everything")


def deepspeed_path(name: str, folder: Path) -> Path:
    """Return where a DeepSpeed file lies: as named, or else up from the recipe's folder."""
    for base in (Path(), *folder.resolve().parents):
        if (base / name).is_file():
            return base / name
    return Path(name)


def _read_deepspeed(name: str, folder: Path) -> Mapping[str, Any]:
    path = deepspeed_path(name, folder)
    if not path.is_file():
        raise MissingFileError(
            f"The DeepSpeed file {name} does not exist here. Run from the folder it is relative to."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"The DeepSpeed file {name} is not readable as JSON.") from error
    if not isinstance(config, Mapping):
        raise DataError(f"The DeepSpeed file {name} must hold a JSON object.")
    return config
