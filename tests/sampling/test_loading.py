from pathlib import Path

import pytest
import torch

from polypath.errors import ConfigError, MissingFileError
from polypath.sampling.loading import load_model, resolve_device, resolve_precision

CPU = torch.device("cpu")


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    for name in (tmp_path / "nowhere", tmp_path, "someone/no-such-model"):
        with pytest.raises(MissingFileError) as caught:
            load_model(name, dtype=torch.float32, device=CPU)
        assert "\n" not in str(caught.value)


def test_a_loaded_model_is_ready_to_sample(tiny_model_dir: Path) -> None:
    model, tokenizer = load_model(tiny_model_dir, dtype=torch.bfloat16, device=CPU)
    assert not model.training
    assert model.dtype == torch.bfloat16
    assert tokenizer.padding_side == "left"


def test_devices_and_precisions_resolve() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("bf16-mixed", CPU) == "bf16-mixed"
    with pytest.raises(ConfigError, match="'tpux'"):
        resolve_device("tpux")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="torch sees none"):
        resolve_device("cuda")
