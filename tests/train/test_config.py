"""A recipe is read with every mistake told in one line."""

import os
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.train.config import load_recipe
from tests.train.conftest import WriteRecipe

BAD_VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"positiv_entropy_coef": 0.1}, "Did you mean 'positive_entropy_coef'"),
    "unknown key of TRL": ({"num_generation": 4}, "Did you mean 'num_generations'"),
    "negative coefficient": ({"positive_entropy_coef": -0.1}, "positive_entropy_coef.*-0.1"),
    "infinite coefficient": ({"rehearsal_coef": float("inf")}, "rehearsal_coef.*got inf"),
    "coefficient not a number": ({"positive_entropy_coef": float("nan")}, "got nan"),
    "coefficient true": ({"positive_entropy_coef": True}, "positive_entropy_coef.*True"),
    "coefficient text": ({"positive_entropy_coef": "much"}, "positive_entropy_coef.*'much'"),
    "share of zero": ({"rehearsal_share": 0}, "rehearsal_share.*got 0"),
    "share too large": ({"rehearsal_share": 4.5}, "rehearsal_share.*4.5"),
    "share missing": ({"rehearsal_share": []}, r"rehearsal_share.*got \[\]"),
    "tolerance of zero": ({"rehearsal_tolerance": 0}, "rehearsal_tolerance.*got 0"),
    "group of one": (
        {"dra": True, "num_generations": 1},
        "groups of at least 2.*num_generations=1",
    ),
    "no summed reward": (
        {"dra": True, "multi_objective_aggregation": "normalize_then_sum"},
        "sum_then_normalize",
    ),
    "unknown divergence": ({"rehearsal_divergence": "forward-kl"}, "Did you mean 'forward_kl'"),
    "unknown form": ({"positive_entropy_form": "papr"}, "form.*'paper'"),
    "unknown gate": ({"positive_entropy_gate": "wrong"}, "gate.*correct"),
    "unknown mutual information": ({"dra_mutual_information": "cut"}, "mutual_information"),
    "unknown penalty": ({"kl_gradient": "backward"}, "kl_gradient must be one of forward, reverse"),
    "cap below 1": ({"positive_entropy_max_ratio": 0.5}, "max_ratio.*0.5"),
    "alpha of one": ({"rehearsal_divergence": "alpha", "rehearsal_alpha": 1.0}, "alpha"),
    "batch no multiple of the group": ({"num_generations": 3}, "num_generations"),
    "no folder to write to": ({"output_dir": None}, "output_dir is missing"),
    "environment no mapping": ({"env": ["A=1"]}, "env.*'NAME: value'"),
    "number expected": ({"max_steps": "three"}, "max_steps.*'three'"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_bad_value_is_one_line_that_names_it(case: str, write_recipe: WriteRecipe) -> None:
    settings, message = BAD_VALUES[case]
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe(write_recipe(**settings))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("prefix", ["gradient_checkpointing", "activation_checkpointing"])
@pytest.mark.parametrize("as_text", [False, True])
def test_reentrant_checkpointing_with_rehearsal_is_refused_under_every_name(
    prefix: str, as_text: bool, write_recipe: WriteRecipe
) -> None:
    settings: dict[str, Any] = {prefix: True, "rehearsal_set": "anywhere"}
    overrides = [f"--{prefix}_kwargs", '{"use_reentrant": true}'] if as_text else []
    if not as_text:
        settings[f"{prefix}_kwargs"] = {"use_reentrant": True}
    if prefix == "activation_checkpointing":
        settings["gradient_checkpointing"] = None
    with pytest.raises(ConfigError, match="use_reentrant"):
        load_recipe(write_recipe(**settings), overrides)
    settings["rehearsal_set"] = None
    load_recipe(write_recipe(**settings), overrides)  # without rehearsal it is fine


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for content in (b"a: [1, 2", b"\xff\xfe\x00", b"a: b: c"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not readable as YAML") as error:
            load_recipe(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text", "", "3"])
def test_a_file_that_is_no_mapping_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(DataError, match="'key: value' lines"):
        load_recipe(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.yaml", tmp_path):
        with pytest.raises(MissingFileError, match="does not exist"):
            load_recipe(path)


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "output_dir: run\nuse_cpu: true\nbf16: false\nlearning_rate: 1e-6\n"
        "positive_entropy_coef: 1e-2\nmax_steps: '7'\n"
    )
    recipe = load_recipe(path)
    assert recipe.trainer.learning_rate == 1e-6
    assert recipe.trainer.positive_entropy_coef == 1e-2
    assert recipe.trainer.max_steps == 7


def test_overrides_win_in_every_spelling(write_recipe: WriteRecipe) -> None:
    path = write_recipe(output_dir=None)
    for overrides in (
        ["--output_dir", "a", "--learning_rate", "0.5", "--dra", "true"],
        ["--output-dir", "a", "--learning-rate=0.5", "--dra"],
    ):
        recipe = load_recipe(path, overrides)
        assert recipe.trainer.output_dir == "a"
        assert recipe.trainer.learning_rate == 0.5
        assert recipe.trainer.dra
        assert recipe.values["learning_rate"] == "0.5"
        assert recipe.values["output_dir"] == "a"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--learning_rat", "1"], "Did you mean 'learning_rate'"),
        (["--learning_rate", "fast"], "learning_rate"),
        (["--learning_rate"], "learning_rate"),
        (["stray"], "stray"),
    ],
)
def test_a_bad_override_is_one_line(
    overrides: list[str], message: str, write_recipe: WriteRecipe
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe(write_recipe(), overrides)
    assert "\n" not in str(error.value)


def test_env_sets_variables_as_in_trl(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYPATH_TEST_VARIABLE", "before")
    load_recipe(write_recipe(env={"POLYPATH_TEST_VARIABLE": 3}))
    assert os.environ["POLYPATH_TEST_VARIABLE"] == "3"
