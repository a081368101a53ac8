"""What a recipe asks of the machine: programs, a GPU, a login. Told at once, before anything is loaded."""

from collections.abc import Iterator
from importlib.util import find_spec

import torch
from huggingface_hub import get_token

from polypath.errors import MissingExtraError
from polypath.train.config import Recipe

# Where a report goes -> the packages that take it; one is enough.
REPORTS = {
    "wandb": ("wandb",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "mlflow": ("mlflow",),
    "comet_ml": ("comet_ml",),
    "clearml": ("clearml",),
    "swanlab": ("swanlab",),
    "neptune": ("neptune",),
    "codecarbon": ("codecarbon",),
    "dvclive": ("dvclive",),
}


def check_machine(recipe: Recipe) -> None:
    """Check that this machine has what a recipe asks for.

    Args:
        recipe: from ``load_recipe``.

    Raises:
        MissingExtraError: naming everything that is not here, and the setting that does without it.
    """
    lacking = list(_lacking(recipe))
    if lacking:
        raise MissingExtraError(f"Not on this machine: {'; '.join(lacking)}.")


def _lacking(recipe: Recipe) -> Iterator[str]:
    trainer, model = recipe.trainer, recipe.model
    for name in trainer.report_to:
        packages = REPORTS.get(name, ())
        if packages and not any(map(find_spec, packages)):
            rest = [other for other in trainer.report_to if other != name] or ["none"]
            yield f"{packages[0]}, for report_to (pip install {packages[0]}, or --report_to {' '.join(rest)})"
    if trainer.use_vllm and find_spec("vllm") is None:
        yield "vLLM, for use_vllm (pip install 'polypath[vllm]', or --use_vllm false)"
    if trainer.use_liger_kernel and find_spec("liger_kernel") is None:
        yield "liger-kernel (pip install liger-kernel, or --use_liger_kernel false)"
    flash = "flash" in (model.attn_implementation or "")
    if flash and (trainer.use_cpu or not torch.accelerator.is_available()):
        yield f"a GPU, for attn_implementation {model.attn_implementation} (--attn_implementation sdpa)"
    if trainer.push_to_hub and not (trainer.hub_token or get_token()):
        yield "a token of the hub, for push_to_hub (hf auth login, or --push_to_hub false)"
