"""A preset is a set of settings under one name; whatever is set besides it wins."""

from typing import Any

import pytest
import yaml

import polypath
from polypath import DiversityGRPOConfig
from polypath.errors import ConfigError
from polypath.plan.settings import read_settings
from polypath.presets import PRESETS
from polypath.train.config import load_recipe
from tests.train.conftest import WriteRecipe


def found(recipe: Any, name: str) -> dict[str, Any]:
    return {key: getattr(recipe.trainer, key) for key in PRESETS[name]}


@pytest.mark.parametrize("name", PRESETS)
def test_one_line_of_a_recipe_switches_it_on(name: str, write_recipe: WriteRecipe) -> None:
    for recipe in (
        load_recipe(write_recipe(preset=name)),
        load_recipe(write_recipe(), ["--preset", name]),
        load_recipe(write_recipe(), [f"--preset={name}"]),
    ):
        assert found(recipe, name) == polypath.preset(name)
        assert recipe.values["preset"] == name
        assert polypath.preset(name).items() <= recipe.values.items()  # kept with the run


@pytest.mark.parametrize("name", PRESETS)
def test_the_plan_of_a_run_knows_it(name: str, write_recipe: WriteRecipe) -> None:
    path = write_recipe(preset=name, similarity="ngram")
    settings = read_settings(path)
    for key, value in {**polypath.preset(name), "similarity": "ngram"}.items():
        assert settings.get(key) == value
    assert read_settings(write_recipe(), ["--preset", name]).get("rehearsal_set") == "auto"


def test_a_key_set_besides_it_wins_even_at_its_default(write_recipe: WriteRecipe) -> None:
    path = write_recipe(preset="diverse", similarity="ngram")
    assert load_recipe(path).trainer.similarity == "ngram"
    assert load_recipe(path).trainer.dra
    words = ["--dra", "false", "--similarity", "policy"]
    changed = load_recipe(write_recipe(preset="diverse"), words)
    assert (changed.trainer.dra, changed.trainer.similarity) == (False, "policy")


def test_the_command_line_chooses_another(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**PRESETS, "other": {"dra_strength": 0.5}}
    monkeypatch.setattr("polypath.presets.PRESETS", other)
    recipe = load_recipe(write_recipe(preset="diverse"), ["--preset", "other"])
    assert (recipe.trainer.dra, recipe.trainer.dra_strength) == (False, 0.5)


@pytest.mark.parametrize("value", ["balance", 3])
def test_an_unknown_one_is_one_line(value: Any, write_recipe: WriteRecipe) -> None:
    for read in (load_recipe, read_settings):
        with pytest.raises(ConfigError, match=r"preset.*balanced") as error:
            read(write_recipe(preset=value))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PRESETS)
def test_it_configures_a_trainer_in_python(name: str, tmp_path: Any) -> None:
    settings = polypath.preset(name)
    config = DiversityGRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **settings)
    assert {key: getattr(config, key) for key in settings} == settings
    settings.clear()  # its own copy
    assert polypath.preset(name)
    assert yaml.safe_load(yaml.safe_dump(polypath.preset(name))) == polypath.preset(name)
