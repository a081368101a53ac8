"""The size of a model and of what its forward pass keeps, measured on its own class without weights.

The class is built from config.json on tensors that have a shape but no content (PyTorch's
``FakeTensorMode``), so nothing is downloaded, allocated or computed. Importing this module takes
seconds, so it is imported only once a model's config.json is found.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from polypath.errors import DataError
from polypath.plan.memory import ModelSize, Work

WITHOUT_MASK = "polypath_without_mask"


def measure_model(
    folder: Path, work: Work, *, dtype: str, autocast: bool, attention: str = ""
) -> ModelSize | None:
    """Measure a causal language model without its weights.

    Args:
        folder: folder with its config.json.
        work: what one GPU works on.
        dtype: dtype of the weights, as in the recipe.
        autocast: whether the forward computes in bfloat16, whatever ``dtype`` is.
        attention: ``attn_implementation`` of the recipe. Flash attention needs a GPU. In its place,
            PyTorch's attention runs without a mask, which keeps the same tensors.

    Returns:
        The sizes, or ``None`` if transformers has no class for the model.

    Raises:
        DataError: config.json cannot be read.
    """
    AttentionInterface.register(WITHOUT_MASK, _attention_without_mask)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        kernel = WITHOUT_MASK if "flash" in attention else attention or "sdpa"
        with FakeTensorMode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, dtype=dtype, attn_implementation=kernel
            )
            kept, hidden_states = _forward(model.base_model, work)
            cache = _cache(model.base_model, work)
    except OSError as error:
        raise DataError(f"{folder / 'config.json'} is not readable as JSON.") from error
    except (ValueError, KeyError):
        return None
    weights = list(model.parameters())
    return ModelSize(
        parameters=sum(weight.numel() for weight in weights),
        largest_layer=max(
            sum(weight.numel() for weight in module.parameters(recurse=False))
            for module in model.modules()
        ),
        weights=sum(weight.nbytes for weight in weights),
        kept=kept,
        hidden_states=hidden_states,
        layers=config.get_text_config().num_hidden_layers,
        cache=cache,
    )


def _attention_without_mask(
    module: Any, query: Any, key: Any, value: Any, _mask: Any, **more: Any
) -> Any:
    return sdpa_attention_forward(module, query, key, value, None, **more)


def _forward(model: Any, work: Work) -> tuple[int, int]:
    """Return the bytes that a training forward keeps for its backward, and those of its hidden states."""
    own = {weight.untyped_storage()._cdata for weight in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in own:
            kept[storage] = tensor  # held, so that no other storage can get this address
        return tensor

    ids = torch.zeros((work.rows, work.prompt + work.completion), dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.train()(input_ids=ids, use_cache=False, output_hidden_states=True)
    return _bytes(kept.values()), _bytes(output.hidden_states)


def _cache(model: Any, work: Work) -> int:
    """Return the bytes of keys and values when every sequence has its greatest length."""
    if not work.generated:
        return 0
    ids = torch.zeros((work.generated, work.prompt + work.completion), dtype=torch.long)
    with torch.no_grad():
        output = model.eval()(input_ids=ids, use_cache=True)
    held = (value for layer in output.past_key_values.layers for value in vars(layer).values())
    return _bytes(value for value in held if isinstance(value, Tensor))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
