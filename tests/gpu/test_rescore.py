"""Reference log-probs on the GPU: what bfloat16 changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from polypath.engines.trl import completion_logps
from polypath.sampling.loading import PRECISIONS, load_model

pytestmark = pytest.mark.gpu

CPU = torch.device("cpu")
ROWS, LENGTH, WORDS = 64, 24, 20


def tokens(seed: int, rows: int, length: int) -> list[list[int]]:
    """Return rows of random tokens; row r leaves out its last ``r % 5``."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randint(6, 6 + WORDS, (rows, length), generator=generator).tolist()
    return [row[: length - r % 5] for r, row in enumerate(made)]


def score(model: Path, device: torch.device, precision: str, **options: Any) -> torch.Tensor:
    dtype, autocast = PRECISIONS[precision]
    loaded, _ = load_model(model, dtype=dtype, device=device)
    scored = completion_logps(
        loaded,
        tokens(0, ROWS, 8),
        tokens(1, ROWS, LENGTH),
        temperature=1.0,
        pad_token_id=0,
        autocast=autocast,
        **options,
    )
    assert all(row.device == CPU and row.dtype == torch.float32 for row in scored)
    return torch.cat(scored)


def test_float32_gives_what_the_cpu_gives(device: torch.device, adder_dir: Path) -> None:
    expected = score(adder_dir, CPU, "float32")
    got = score(adder_dir, device, "float32", batch_size=7)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-5)
    assert expected.std() > 0.1


@pytest.mark.parametrize("precision", ["bf16-mixed", "bfloat16"])
def test_bfloat16_stays_near_float32(
    precision: str,
    device: torch.device,
    adder_dir: Path,
    record_property: Callable[[str, object], None],
) -> None:
    exact = score(adder_dir, device, "float32")
    difference = (score(adder_dir, device, precision) - exact).abs() / exact.abs().mean()
    mean, largest = float(difference.mean()), float(difference.max())
    for name, value in (("mean", mean), ("largest", largest)):
        record_property(f"{precision}: {name} difference, of the mean log-prob", value)
    # bfloat16 rounds a number by up to 1/256 of it. With no difference it would not have been used.
    assert 1e-5 < mean < 0.01
    assert largest < 0.25
