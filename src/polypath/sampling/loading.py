"""A model and its tokenizer, ready to sample from."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError
from polypath.sampling.model_files import model_errors
from polypath.tasks.shipped import shipped_model

# precision -> (data type of the weights, data type of autocast)
PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "float32": (torch.float32, None),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "bfloat16": (torch.bfloat16, torch.bfloat16),
}


def resolve_device(device: str | None, local_rank: int | None = None) -> torch.device:
    """Return the named device, or a GPU if there is one.

    Args:
        device: its name; ``None`` and ``"cuda"`` mean the process's own GPU.
        local_rank: number of this process on its machine, if a launcher started several. If there are
            fewer GPUs than processes, they share them. A scheduler may show each process only its own.

    Raises:
        ConfigError: torch does not know the device, or it does not exist.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and local_rank is not None and torch.cuda.is_available():
        device = f"cuda:{local_rank % torch.cuda.device_count()}"
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"Unknown device {device!r}; use 'cpu' or 'cuda', for example.") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"Device {device!r} needs a GPU, but torch sees none; use 'cpu'.")
    return found


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision that ``"auto"`` stands for: bf16-mixed on a GPU with bfloat16, else float32."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the autocast context of a precision, which may do nothing."""
    dtype = PRECISIONS[precision][1]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def load_model(
    name: str | Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Load a causal language model in eval mode, and its tokenizer with a padding token.

    Args:
        name: a folder, a name on the Hugging Face hub, or the name of a model that ships.
        dtype: dtype of the weights.
        device: device for the weights.
        trust_remote_code: allow a model that ships its own Python code to run it. There is no question.

    Raises:
        MissingFileError: neither a folder nor the hub (or its cache) has the model.
        DataError: one of its files is damaged, or its weights are incomplete or not finite.
        ConfigError: it ships code, and ``trust_remote_code`` is off.
    """
    folder = shipped_model(str(name))
    with _load_errors(name, folder):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, trust_remote_code=trust_remote_code, output_loading_info=True
        )
        tokenizer = _tokenizer(folder, trust_remote_code)
    model, found = loaded
    _check_weights(name, model, found["missing_keys"])
    model.eval()
    return model.to(device), tokenizer


def load_tokenizer(name: str | Path, *, trust_remote_code: bool = False) -> Any:
    """Load a model's tokenizer alone, with a padding token.

    Args and errors as for ``load_model``.
    """
    folder = shipped_model(str(name))
    with _load_errors(name, folder):
        return _tokenizer(folder, trust_remote_code)


def _tokenizer(folder: str | Path, trust_remote_code: bool) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(
        folder,
        padding_side="left",
        truncation_side="left",
        trust_remote_code=trust_remote_code,
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextlib.contextmanager
def _load_errors(name: str | Path, folder: str | Path) -> Iterator[None]:
    """Report in one line what a model cannot be loaded for."""
    try:
        with model_errors(folder):
            yield
    except PolypathError:
        raise
    except (OSError, ValueError) as error:
        raise MissingFileError(
            f"The model {name} cannot be loaded: {one_line(error, 200)} Give a folder that holds a model "
            "and its tokenizer, or a name on the Hugging Face hub."
        ) from None
    except (
        Exception
    ) as error:  # from files that describe an impossible model, or from the model's code
        raise DataError(
            f"The model {name} cannot be loaded: {type(error).__name__}: {one_line(error, 200)}."
        ) from error


def _check_weights(name: str | Path, model: Any, missing: Collection[str]) -> None:
    """Refuse weights that transformers would fill with random numbers, and weights that are not finite.

    Raises:
        DataError: names the first such tensor.
    """
    if missing:
        raise DataError(
            f"The model {name} has no weights for {len(missing)} tensors of its architecture, "
            f"such as {min(missing)}. Copy or download it again."
        )
    for tensor, values in model.named_parameters():
        if values.is_floating_point() and values.element_size() > 1 and not values.isfinite().all():
            raise DataError(
                f"The model {name} is damaged: its weights {tensor} are not all finite. Copy or download it "
                "again."
            )
