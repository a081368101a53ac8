import math

import pytest

from polypath.errors import ConfigError
from polypath.sampling.settings import SamplingSettings


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"temperature": -0.1}, "temperature must be at least 0, got -0.1"),
        ({"temperature": math.nan}, "temperature must be at least 0, got nan"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.1}, r"top_p must be in \(0, 1\], got 1.1"),
        ({"top_k": -1}, "top_k must be at least 1, or 0 for all, got -1"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        SamplingSettings(**change)  # type: ignore[arg-type]


def test_top_k_zero_means_all() -> None:
    assert SamplingSettings(top_k=0) == SamplingSettings(top_k=None)
