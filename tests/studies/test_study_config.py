"""Study files: what they say, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError
from polypath.studies.load import load_study

STUDY: dict[str, Any] = {
    "name": "small",
    "base": "countdown-base",
    "task": "countdown",
    "recipe": "recipe.yaml",
    "seeds": [0, 1],
    "against": "grpo",
    "presample": {"k": 4, "threshold": 1},
    "methods": {
        "grpo": {"label": "GRPO"},
        "kl": {"settings": {"rehearsal_coef": 0.3, "beta": 1e-3}, "rehearsal": True},
    },
    "evaluation": {"test": {"problems": 10, "samples": 4, "ks": [1, 4]}},
}


def write(folder: Path, **changes: Any) -> Path:
    content = {**STUDY, **changes}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


def changed(key: str, name: str, **changes: Any) -> dict[str, Any]:
    """The study's mapping ``key`` with entry ``name`` changed."""
    return {**STUDY[key], name: {**STUDY[key].get(name, {}), **changes}}


def test_a_study_is_read_with_the_defaults_of_its_task(tmp_path: Path):
    study = load_study(write(tmp_path, evaluation={"test": None, "test_large": {"samples": 4}}))
    assert study.seeds == (0, 1)
    assert study.stage == "report"
    test, large = study.evaluations
    assert (test.samples, test.ks, test.keep_k, test.temperature) == (64, (1, 8, 16), 8, 1.0)
    assert (large.samples, large.ks, large.keep_k) == (4, (1,), 2)
    assert study.methods["kl"].label == "kl"
    assert study.methods["kl"].rehearsal == "rehearsal"
    assert study.presamplings["rehearsal"].settings.threshold == 1


def test_pre_samplings_have_names_where_there_are_several(tmp_path: Path):
    named = {"easy": {"k": 4, "threshold": 4}, "hard": {"k": 4, "threshold": 1, "limit": 7}}
    methods = changed("methods", "kl", rehearsal="hard")
    study = load_study(write(tmp_path, presample=named, methods=methods))
    assert study.methods["kl"].rehearsal == "hard"
    assert study.presamplings["hard"].limit == 7
    with pytest.raises(ConfigError, match=r"methods\.kl.*easy"):
        load_study(write(tmp_path, presample=named))


def test_methods_share_checkpoints_and_temperatures_unless_they_have_their_own(tmp_path: Path):
    methods = changed("methods", "kl", checkpoints=[], temperatures=[])
    study = load_study(
        write(tmp_path, methods=methods, checkpoints=[2, 4], method_temperatures=[0.5, 1])
    )
    assert study.methods["grpo"].checkpoints == (2, 4)
    assert study.methods["grpo"].temperatures == (0.5, 1.0)
    assert study.methods["kl"].checkpoints == study.methods["kl"].temperatures == ()
    assert study.matched


def test_relations_name_two_metrics_and_which_models_count(tmp_path: Path):
    where = {"metric": "pass@1", "above": 0.4}
    study = load_study(
        write(
            tmp_path,
            relations=[
                {"x": "div_equ (all)", "y": "potential@3", "where": where},
                {"x": "token_entropy", "y": "pass@2"},
            ],
        )
    )
    first, second = study.relations
    assert (first.where, first.above, first.metrics) == (
        "pass@1",
        0.4,
        ("div_equ (all)", "potential@3", "pass@1"),
    )
    assert (second.where, second.metrics) == ("", ("token_entropy", "pass@2"))


def test_a_study_knows_the_command_that_makes_it_again(tmp_path: Path):
    path = write(tmp_path)
    study = load_study(path)
    assert study.command == f"polypath study {path}"
    assert study.only(["kl"], None).command == f"polypath study {path} --only kl"
    assert study.only(None, [3, 4]).command == f"polypath study {path} --seeds 3,4"


# What is wrong -> changes of the study, and what the error must name: the key, what it got, what fits.
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a match without a reference": ({"matched": True, "against": None}, ["matched", "against"]),
    "a match with a reference that has no checkpoints": (
        {"matched": True},
        ["matched", "checkpoints", "'grpo'"],
    ),
    "a matched measure that is not of texts": (
        {"matched_measures": ["pass@4"]},
        ["matched_measures", "'pass@4'"],
    ),
    "matched measures without a match": (
        {"matched": False, "matched_measures": ["vendi (all)"]},
        ["matched_measures", "checkpoints"],
    ),
    "a match that is neither wanted nor not": ({"matched": "maybe"}, ["matched", "'maybe'"]),
    "a temperature of 0": ({"method_temperatures": [0]}, ["method_temperatures", "[0]"]),
    "a method's temperature twice": (
        {"methods": changed("methods", "grpo", temperatures=[0.5, 0.5])},
        ["temperatures", "methods.grpo", "[0.5, 0.5]"],
    ),
    "a key that is unknown": ({"sedes": [1]}, ["'sedes'", "'seeds'"]),
    "an unknown key of a method": (
        {"methods": changed("methods", "grpo", setings={})},
        ["methods.grpo", "'setings'", "'settings'"],
    ),
    "an unknown key of an evaluation": (
        {"evaluation": {"test": {"sample": 4}}},
        ["evaluation.test", "'sample'", "'samples'"],
    ),
    "an unknown pre-sampling setting": (
        {"presample": {"treshold": 1}},
        ["'treshold'", "'threshold'"],
    ),
    "a bad pre-sampling setting": (
        {"presample": {"k": 4, "threshold": 9}},
        ["presample", "threshold", "9"],
    ),
    "an unknown treatment of repeats": (
        {"presample": {"k": 4, "threshold": 1, "repeated_answers": "dropp"}},
        ["presample", "repeated_answers", "'dropp'", "'drop'"],
    ),
    "a pre-sampling setting of another type": ({"presample": {"k": "four"}}, ["presample", "four"]),
    "an unknown task": ({"task": "countdwon"}, ["'countdwon'", "'countdown'"]),
    "an unknown split": ({"evaluation": {"tset": {}}}, ["'tset'", "'test'"]),
    "an unknown stage": ({"stage": "tuning"}, ["stage", "'tuning'", "'tune'"]),
    "an unknown reference": ({"against": "grop"}, ["against", "'grop'", "'grpo'"]),
    "a checkpoint of a method that is not there": (
        {"methods": changed("methods", "c", of="grop", step=2)},
        ["'of'", "methods.c", "'grop'", "'grpo'"],
    ),
    "a checkpoint of a checkpoint": (
        {"methods": changed("methods", "a", of="grpo", step=2) | {"b": {"of": "a", "step": 2}}},
        ["'of'", "methods.b", "'a'", "grpo, kl"],
    ),
    "a checkpoint without its step": (
        {"methods": changed("methods", "a", of="grpo")},
        ["methods.a", "'of'", "'step'"],
    ),
    "a checkpoint with settings": (
        {"methods": changed("methods", "a", of="grpo", step=2, settings={"beta": 0.1})},
        ["settings", "methods.a"],
    ),
    "a checkpoint of step 0": (
        {"methods": changed("methods", "a", of="grpo", step=0)},
        ["step", "methods.a", "0"],
    ),
    "a pair with a method that is not there": ({"pairs": [["kl", "grop"]]}, ["pairs", "'grop'"]),
    "a pair of one": ({"pairs": [["kl", "kl"]]}, ["pairs", "'kl'"]),
    "pairs that are none": ({"pairs": ["kl"]}, ["pairs", "'kl'"]),
    "a method against itself": (
        {"methods": changed("methods", "kl", against="kl")},
        ["against", "methods.kl", "'kl'", "grpo"],
    ),
    "a rehearsal that is not there": (
        {"methods": changed("methods", "kl", rehearsal="other")},
        ["methods.kl", "'other'"],
    ),
    "a rehearsal that is no name": (
        {"methods": changed("methods", "kl", rehearsal=["rehearsal"])},
        ["methods.kl", "['rehearsal']"],
    ),
    "relations that are no list": ({"relations": {"x": "pass@1"}}, ["relations", "pass@1"]),
    "an unknown key of a relation": (
        {"relations": [{"x": "pass@1", "y": "pass@4", "minimum": 1}]},
        ["relations (1.)", "'minimum'"],
    ),
    "a relation without y": ({"relations": [{"x": "pass@1"}]}, ["y in relations", "None"]),
    "a relation of a metric with itself": (
        {"relations": [{"x": "pass@1", "y": "pass@1"}]},
        ["y in relations", "'pass@1'"],
    ),
    "an unknown metric": (
        {"relations": [{"x": "pass@1", "y": "pass@4"}, {"x": "div_eq (all)", "y": "pass@4"}]},
        ["'div_eq (all)'", "relations (2.)", "'div_equ (all)'"],
    ),
    "a metric beyond the samples": (
        {"relations": [{"x": "vendi (all)", "y": "potential@16"}]},
        ["'potential@16'", "'potential@3'", "4 samples"],
    ),
    "an unknown metric that chooses": (
        {"relations": [{"x": "pass@1", "y": "pass@4", "where": {"metric": "pas@1", "above": 0}}]},
        ["'pas@1'", "'pass@1'"],
    ),
    "a choice without a number": (
        {"relations": [{"x": "pass@1", "y": "pass@4", "where": {"metric": "pass@1"}}]},
        ["above in where of relations"],
    ),
    "no methods": ({"methods": {}}, ["methods"]),
    "no evaluation": ({"evaluation": None}, ["evaluation"]),
    "seeds that are no list": ({"seeds": 3}, ["seeds", "3"]),
    "no seed": ({"seeds": []}, ["seeds", "[]"]),
    "a seed twice": ({"seeds": [1, 1]}, ["seeds", "[1, 1]"]),
    "a negative temperature": ({"temperatures": [-1]}, ["temperatures", "[-1]"]),
    "temperatures without a tuning split": ({"temperatures": [0.5]}, ["temperatures", "'tuning'"]),
    "k beyond the samples": (
        {"evaluation": {"test": {"samples": 4, "ks": [8]}}},
        ["ks", "samples=4", "[8]"],
    ),
    "keep_k beyond the samples": (
        {"evaluation": {"test": {"samples": 4, "keep_k": 8}}},
        ["keep_k", "samples=4", "8"],
    ),
    "draws of the base that are neither": (
        {"base_draws": "same"},
        ["base_draws", "'same'", "shared"],
    ),
    "keep and explore shares of draws that the base shares": (
        {"base_draws": "shared"},
        ["base_draws", "keep_k: 0", "evaluation.test", "2"],
    ),
    "a text for a number": ({"batch_size": "many"}, ["batch_size", "'many'"]),
    "a label twice": ({"methods": changed("methods", "kl", label="GRPO")}, ["'GRPO'"]),
    "a label of the base": ({"methods": changed("methods", "kl", label="base")}, ["'base'"]),
    "a name that is no folder's": ({"name": "a/b"}, ["name", "'a/b'"]),
    "a setting that the runner decides": (
        {"methods": changed("methods", "kl", settings={"seed": 3})},
        ["methods.kl", "'seed'", "'seeds'"],
    ),
    "a setting that is no value": (
        {"settings": {"max_steps": {"a": 1}}},
        ["max_steps", "settings"],
    ),
    "to report on the training split": ({"evaluation": {"train": {}}}, ["'train'"]),
    "to choose the temperature on a test split": (
        {"tuning": {"split": "test_large"}, "temperatures": [0.5]},
        ["'test_large'", "dev"],
    ),
    "to tune on a test split": ({"stage": "tune"}, ["'test'", "dev"]),
    "to report where the temperature is chosen": (
        {"tuning": {"split": "dev"}, "temperatures": [0.5], "evaluation": {"dev": {}}},
        ["temperature", "'dev'"],
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_it_is_refused_in_one_line(tmp_path: Path, why: str):
    changes, named = REFUSED[why]
    with pytest.raises(PolypathError) as caught:
        load_study(write(tmp_path, **changes))
    assert [fact for fact in named if fact not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_tune_study_reports_on_its_tuning_split(tmp_path: Path):
    study = load_study(
        write(tmp_path, stage="tune", evaluation=None, tuning={"split": "dev", "samples": 4})
    )
    assert [e.split for e in study.evaluations] == ["dev"]
    with pytest.raises(ConfigError, match="'test'"):
        load_study(write(tmp_path, stage="tune", tuning={"split": "dev"}))


def test_a_method_that_is_there_twice_is_not_dropped_silently(tmp_path: Path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("  kl:", "  grpo:"))
    with pytest.raises(DataError, match="'grpo'"):
        load_study(path)


def test_files_that_are_no_study_are_told(tmp_path: Path):
    with pytest.raises(MissingFileError, match=r"none\.yaml"):
        load_study(tmp_path / "none.yaml")
    for text in ("- a\n- b\n", "a: [", "\x00"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(DataError) as caught:
            load_study(tmp_path / "bad.yaml")
        assert "\n" not in str(caught.value)


def test_some_methods_and_other_seeds_can_be_chosen(tmp_path: Path):
    study = load_study(write(tmp_path))
    assert list(study.only(["kl"], [7, 7]).methods) == ["kl"]
    assert study.only(["kl"], [7, 7]).seeds == (7,)
    assert study.only(["kl"], None).against == ""  # nothing to compare with
    assert study.only(["kl", "grpo"], None) == study
    early = load_study(
        write(tmp_path, methods=changed("methods", "early", of="grpo", step=2), checkpoints=[2])
    )
    assert early.methods["early"].checkpoints == ()  # those are for what is trained
    assert list(early.only(["early"], None).methods) == ["early", "grpo"]
    pair = load_study(write(tmp_path, methods=changed("methods", "kl", against="grpo")))
    assert pair.reference_of("kl") == "grpo"
    assert pair.only(["kl"], None).reference_of("kl") == ""
    with pytest.raises(ConfigError, match=r"'kll'.*'kl'"):
        study.only(["kll"], None)
    for seeds in ([], [-1]):
        with pytest.raises(ConfigError, match="--seeds"):
            study.only(None, seeds)


def test_yaml_merges_of_shared_settings_work(tmp_path: Path):
    path = write(tmp_path, methods=None)
    path.write_text(
        path.read_text()
        + "methods:\n"
        + "  grpo: {settings: &shared {beta: 0.1, epsilon: 0.3}}\n"
        + "  kl: {settings: {<<: *shared, beta: 0.2}}\n"
    )
    assert load_study(path).methods["kl"].settings == {"beta": 0.2, "epsilon": 0.3}


def test_a_linked_study_names_what_lies_beside_the_file_that_it_points_to(tmp_path: Path):
    path = write(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "linked.yaml"
    link.symlink_to(path)
    assert load_study(link).recipe.resolve() == load_study(path).recipe.resolve()
    assert load_study(link).command == f"polypath study {link}"
