"""What a recipe needs of the machine: programs, a GPU, a login. Checked before anything is loaded."""

from collections.abc import Iterator
from importlib.util import find_spec

import torch
from huggingface_hub import get_token

from polypath.errors import MissingExtraError
from polypath.train.config import Recipe

# Loggers that need a package of the same name.
REPORTS = {"wandb", "tensorboard", "trackio", "mlflow", "comet_ml", "clearml", "swanlab", "neptune"}


def check_machine(recipe: Recipe) -> None:
    """Check that this machine has what a recipe needs.

    Raises:
        MissingExtraError: names everything that is missing, and the setting that avoids it.
    """
    lacking = list(_lacking(recipe))
    if lacking:
        raise MissingExtraError(f"Not on this machine: {'; '.join(lacking)}.")


def _lacking(recipe: Recipe) -> Iterator[str]:
    trainer, attention = recipe.trainer, recipe.model.attn_implementation or ""
    for name in REPORTS.intersection(trainer.report_to):
        if not find_spec(name) and not (name == "tensorboard" and find_spec("tensorboardX")):
            yield f"{name}, for report_to (pip install {name}, or --report_to none)"
    if trainer.use_vllm and not find_spec("vllm"):
        yield "vLLM, for use_vllm (pip install 'polypath[vllm]', or --use_vllm false)"
    if trainer.use_liger_kernel and not find_spec("liger_kernel"):
        yield "liger-kernel (pip install liger-kernel, or --use_liger_kernel false)"
    if "flash" in attention and (trainer.use_cpu or not torch.accelerator.is_available()):
        yield f"a GPU, for {attention} (--attn_implementation sdpa)"
    if trainer.push_to_hub and not (trainer.hub_token or get_token()):
        yield "a token of the hub, for push_to_hub (hf auth login, or --push_to_hub false)"
