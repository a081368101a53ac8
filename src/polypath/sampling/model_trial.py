"""Settings in a model's folder, tried without its weights: which file makes a model fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import CONFIG_NAME, GENERATION_CONFIG_NAME

from polypath.credentials import one_line
from polypath.rollouts.files import read_json

TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
OWN_CODE = "auto_map"  # key of a config whose model brings code of its own, which is not run here
LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")  # as architectures call them
IDS = "_token_id"  # how the names of numbers of a generation config end, and how others begin
NUMBERS = ("num_", "max_", "min_", "top_", "temperature", "repetition_penalty")
DROPOUTS = ("dropout", "pdrop")  # how the names of probabilities end that only training uses


def settings_fault(folder: Path, error: Exception) -> str | None:
    """Return which file of settings fails as the model did, beginning with its name.

    Args:
        folder: of the model; its files can be read.
        error: what its loading, sampling or training raised. A file that fails in another way here is not
            to blame: architectures of other people need not run without weights.
    """
    files = (folder / name for name in (CONFIG_NAME, TOKENIZER_CONFIG_NAME))
    if any(OWN_CODE in read_json(file, "settings") for file in files if file.is_file()):
        return None
    if "ignore_mismatched_sizes" in str(error):
        return f"{CONFIG_NAME} and the weights have tensors of different shapes"
    if isinstance(error, TypeError | AttributeError | LookupError):
        fault = _architecture_fault(folder)
        if fault is not None:
            return fault
    for name, attempt in TRIALS.items():
        if not (folder / name).is_file():
            continue
        try:
            attempt(folder)
        except Exception as found:
            if type(found).__name__ == type(error).__name__:
                return f"{name} has settings that fail ({type(found).__name__}: {one_line(found, 200)})"
    return None


def _architecture_fault(folder: Path) -> str | None:
    """Return what is wrong with the name of the architecture, by which TRL loads a model."""
    config = read_json(folder / CONFIG_NAME, "a config") if (folder / CONFIG_NAME).is_file() else {}
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    if not config or (isinstance(name, str) and hasattr(transformers, name)):
        return None
    return f"{CONFIG_NAME} must name a model class of transformers in architectures, got {names!r}"


def config_fault(config: dict[str, Any], tensors: int | None) -> str | None:
    """Return which number of a config no model can have, but loads, or makes loading never end.

    Args:
        config: of the model.
        tensors: that its weights hold; ``None`` where this is not known.
    """
    for key, value in config.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key in LAYERS and value < 1:
            return f"{key} must be at least 1, got {value}"
        if key in LAYERS and tensors is not None and value > tensors:
            return f"{key} is {value}, but the weights hold {tensors} tensors in all"
        if key.endswith(DROPOUTS) and not 0 <= value <= 1:
            return f"{key} must be in [0, 1], got {value}"
    return None


def generation_fault(settings: dict[str, Any]) -> str | None:
    """Return which setting of a generation config is no number; transformers looks when it samples."""
    for key, value in settings.items():
        values = value if isinstance(value, list) and key.endswith(IDS) else [value]
        numbers = key.endswith(IDS) or (key.startswith(NUMBERS) and not key.endswith("_schedule"))
        if numbers and not all(one is None or isinstance(one, int | float) for one in values):
            return f"{key} must be a number, got {value!r}"
    return None


def _try_config(folder: Path) -> None:
    """Build the model on no device, and train on two tokens as far as shapes go."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        make: Any = AutoModelForCausalLM.from_config
        model = make(config)
        model.train()(input_ids=torch.zeros((1, 2), dtype=torch.long))


def _try_generation(folder: Path) -> None:
    GenerationConfig.from_pretrained(folder).validate(strict=True)


def _try_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(
        folder, padding_side="left", truncation_side="left", trust_remote_code=False
    )
    if tokenizer.eos_token_id is None:
        raise TypeError("eos_token is not set")
    tokenizer(["a", "a a"], padding=tokenizer.pad_token is not None)


TRIALS: dict[str, Callable[[Path], None]] = {
    CONFIG_NAME: _try_config,
    GENERATION_CONFIG_NAME: _try_generation,
    TOKENIZER_CONFIG_NAME: _try_tokenizer,
}
