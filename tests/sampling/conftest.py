from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def tiny(tiny_model_dir: Path) -> tuple[Any, Any]:
    """Return the tiny model and tokenizer, in float32."""
    import torch

    from polypath.sampling.loading import load_model

    return load_model(tiny_model_dir, dtype=torch.float32, device=torch.device("cpu"))
