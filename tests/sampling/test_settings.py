import math
import subprocess
import sys
from typing import Any

import pytest

from polypath.errors import ConfigError
from polypath.sampling.settings import SamplingSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("max_new_tokens", 0),
        ("batch_size", 0),
        ("seed", -1),
    ],
)
def test_impossible_settings_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        SamplingSettings(**{setting: value})
    assert setting in str(caught.value)
    assert f"got {value}" in str(caught.value)


def test_top_k_zero_means_all() -> None:
    assert SamplingSettings(top_k=0) == SamplingSettings(top_k=None)


def test_settings_are_light_enough_to_make_options_of() -> None:
    code = (
        "import sys, polypath.sampling.settings, polypath.rehearsal.settings\n"
        "sys.exit(bool({'torch', 'numpy', 'pyarrow'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
