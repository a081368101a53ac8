"""The field's other methods in a training: each runs with TRL, stays finite, and changes the result."""

from pathlib import Path
from typing import Any

import pytest

from polypath import DiversityGRPOConfig
from polypath.errors import ConfigError
from polypath.objectives import ADVANTAGES, POLICY_TERMS, REWARD_ADJUSTMENTS
from tests.engines.trl.helpers import (
    OPTIONS,
    FixedCompletions,
    coin,
    largest_difference,
    logged,
    parameters,
    train,
)
from tests.engines.trl.test_terms import finite
from tests.refusals import refused

# Few and short completions: the bounds of the papers would choose no token.
TERMS: dict[str, dict[str, Any]] = {
    "clip_cov": {"clip_cov_coef": 1.0, "clip_cov_ratio": 0.5, "clip_cov_lower": 0.01},
    "kl_cov": {"kl_cov_coef": 1.0, "kl_cov_ratio": 0.5, "num_iterations": 2},
}
GROUPS: dict[str, dict[str, Any]] = {
    **{name: {name: True} for name in REWARD_ADJUSTMENTS},
    **{name: {"advantage": name} for name in ADVANTAGES},
    "pkpo": {"advantage": "pkpo", "pkpo_k": 2},
    "passk": {"advantage": "passk", "passk_k": 2},
    "two of them and DRA": {"dra": True, "unlikeliness": True, "advantage": "pkpo", "pkpo_k": 2},
}
SETTINGS = {
    "trainer_class": FixedCompletions,
    "max_steps": 4,
    "rewards": [coin],
    "similarity": "ngram",
}


@pytest.fixture(scope="module")
def off(adder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("off")
    return {
        str(n): parameters(train(adder_dir, folder, num_iterations=n, **SETTINGS)) for n in (1, 2)
    }


@pytest.mark.parametrize("name", [*GROUPS, *TERMS])
def test_it_trains_and_changes_the_result(
    name: str, adder_dir: Path, off: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**GROUPS, **TERMS}[name]
    on = train(adder_dir, tmp_path, **SETTINGS, **settings)
    assert finite(on)
    without = off[str(settings.get("num_iterations", 1))]
    assert largest_difference(parameters(on), without) > 1e-6
    if name in POLICY_TERMS:
        (fraction,) = {key for key in on.state.log_history[0] if key.startswith(f"{name}/")} - {
            f"{name}/loss"
        }
        assert any(0 < share < 1 for share in logged(on, fraction))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dra": True, "mmr": True}, ["dra", "mmr"]),
        ({"advantage": "pkpo", "pkpo_k": 5}, ["pkpo", "num_generations=4"]),
        ({"kl_cov_coef": 1.0}, ["kl_cov", "num_iterations"]),
        ({"clip_cov_coef": 2.0}, ["clip_cov_coef", 2]),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_the_config(
    settings: dict[str, Any], named: list[Any], tmp_path: Path
) -> None:
    with refused(ConfigError, *named):
        DiversityGRPOConfig(str(tmp_path), **{**OPTIONS, **settings})
