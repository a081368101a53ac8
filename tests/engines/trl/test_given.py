"""What the trainer is given from Python: its faults are one line of ours, never a traceback of TRL's."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from polypath import DiversityGRPOConfig
from polypath.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    MissingFileError,
    PolypathError,
)
from tests.engines.trl.helpers import OPTIONS, coin, make, rows, train


def gives(rewards: Any) -> Any:
    def mine(completions: list[Any], **_: Any) -> Any:
        return rewards(len(completions)) if callable(rewards) else rewards

    return mine


async def late(completions: list[Any], **_: Any) -> list[float]:
    return [math.inf] * len(completions)


def breaks(completions: list[Any], **_: Any) -> list[float]:
    return [1 / 0 for _ in completions]


REWARDS = {
    "text": gives("good"),
    "nothing": gives(None),
    "too few": gives([1.0]),
    "too many": gives(lambda n: [1.0] * (n + 1)),
    "infinite": gives(lambda n: [math.inf] * n),
    "asynchronous": late,
    "a bug": breaks,
}


@pytest.mark.parametrize("case", REWARDS)
@pytest.mark.parametrize("place", [0, 1])
def test_a_reward_that_is_none_is_named(
    case: str, place: int, tiny_model_dir: Path, tmp_path: Path
) -> None:
    functions = [coin, coin]
    functions[place] = REWARDS[case]
    trainer = make(tiny_model_dir, tmp_path, rewards=functions, max_steps=1)
    with pytest.raises(DataError, match=trainer.reward_func_names[place]) as error:
        trainer.train()
    assert "\n" not in str(error.value)
    assert trainer.reward_funcs == functions
    assert isinstance(error.value.__cause__, ZeroDivisionError) == (case == "a bug")


def some(completions: list[Any], **_: Any) -> list[float | None]:
    """Reward two of every four, one of them, and say nothing of the others."""
    return [1.0 if i % 4 == 0 else 0.0 if i % 4 == 1 else None for i in range(len(completions))]


def test_what_nobody_scored_is_in_no_measure_of_right_and_wrong(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(tiny_model_dir, tmp_path, rewards=some, max_steps=1, dra=True)
    (line,) = (line for line in trainer.state.log_history if "diversity/accuracy" in line)
    assert line["diversity/accuracy"] == 0.5
    assert line["diversity/mixed"] == 1.0

    def unknown(completions: list[Any], **_: Any) -> list[None]:
        return [None] * len(completions)

    trainer = train(tiny_model_dir, tmp_path, rewards=unknown, max_steps=1, dra=True)
    line = trainer.state.log_history[0]
    for name in ("accuracy", "all_wrong", "distinct_correct", "entropy_wrong", "entropy_correct"):
        assert line.get(f"diversity/{name}") is None, name  # no number, nowhere


CHAT = [{"prompt": [{"role": "user", "content": "solve 1 + 1 ="}], "gold": "2"}] * 8
DATA: dict[str, Any] = {
    "another column": [{"question": "1 + 1 ="}] * 8,
    "no prompt": [{"prompt": None}] * 8,
    "a number": [{"prompt": 3}] * 8,
    "no messages": [{"prompt": []}] * 8,
    "an empty text": [{"prompt": ""}] * 8,
    "texts": [{"prompt": ["solve", "1"]}] * 8,
    "no rows": [],
}


@pytest.mark.parametrize("case", DATA)
def test_data_without_prompts_is_refused_before_training(
    case: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    data = Dataset.from_list(DATA[case])
    with pytest.raises(DataError, match="train_dataset"):
        make(tiny_model_dir, tmp_path, data=data)
    for evaluated in (data, {"one": Dataset.from_list(rows()), "two": data}):
        options = {"eval_dataset": evaluated}
        with pytest.raises(DataError, match="eval_dataset"):
            make(tiny_model_dir, tmp_path, trainer_options=options, eval_strategy="steps")


def test_a_stream_and_a_late_row_without_prompt_are_refused_when_they_come(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    stream = Dataset.from_list(DATA["another column"]).to_iterable_dataset()
    with pytest.raises(DataError, match="question"):
        train(tiny_model_dir, tmp_path, data=stream)
    late_row = Dataset.from_list([*rows(3), {"prompt": None, "gold": "1"}])
    with pytest.raises(DataError, match="None"):
        train(tiny_model_dir, tmp_path, data=late_row, max_steps=4)


@pytest.mark.parametrize("data", [rows(), {"train": Dataset.from_list(rows())}, "data.jsonl"])
def test_data_of_another_library_is_refused(
    data: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="train_dataset"):
        make(tiny_model_dir, tmp_path, data=data)


def test_chats_need_a_template(tiny_model_dir: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.chat_template = None
    options = {"processing_class": tokenizer}
    with pytest.raises(ConfigError, match="chat template"):
        make(tiny_model_dir, tmp_path, data=Dataset.from_list(CHAT), trainer_options=options)
    stream = Dataset.from_list(CHAT).to_iterable_dataset()
    with pytest.raises(ConfigError, match="chat template"):
        train(tiny_model_dir, tmp_path, data=stream, trainer_options=options)
    make(tiny_model_dir, tmp_path, trainer_options=options)  # texts need none


@pytest.mark.parametrize("rewards", [[3], [], [None], ("a", "b")])
def test_rewards_that_are_no_functions_are_refused(
    rewards: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError):
        make(tiny_model_dir, tmp_path, rewards=rewards)


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError) as error:
        make(tmp_path / "nowhere", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("logger", ["wandb", "tensorboard", "trackio", "flyte", "kubeflow"])
def test_a_logger_that_is_not_installed_is_named(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise RuntimeError("not installed")

    place = "transformers.integrations.integration_utils"
    monkeypatch.setattr(f"{place}.get_available_reporting_integrations", list)
    monkeypatch.setitem(__import__(place, fromlist=["_"]).INTEGRATION_TO_CALLBACK, logger, absent)
    for asked in (logger, [logger]):
        with pytest.raises(MissingExtraError, match=logger):
            make(tmp_path / "no model is loaded", tmp_path, report_to=asked)


IDLE: list[tuple[dict[str, Any], str]] = [
    ({"dra_strength": 0.3}, "dra_strength"),
    ({"positive_entropy_form": "exact"}, "positive_entropy_form"),
    ({"maxrl_eps": 0.1}, "maxrl_eps"),
    ({"rehearsal_coef": 0.3}, "rehearsal_coef"),
    ({"rehearsal_set": "set", "rehearsal_alpha": 0.3}, "rehearsal_alpha"),
]


@pytest.mark.parametrize(("settings", "named"), IDLE)
def test_a_setting_without_effect_is_named(
    settings: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match=named):
        DiversityGRPOConfig(str(tmp_path), **{**OPTIONS, **settings})


def test_settings_with_an_effect_are_not_warned_of(tmp_path: Path) -> None:
    settings = {
        "dra": True,
        "dra_strength": 0.3,
        "positive_entropy_coef": 0.1,
        "positive_entropy_gate": "all",
        "rehearsal_set": "set",
        "rehearsal_coef": 0.3,
        "rehearsal_divergence": "alpha",
        "rehearsal_alpha": 0.3,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        DiversityGRPOConfig(str(tmp_path), **{**OPTIONS, **settings})


WRONG: dict[str, Any] = {
    "similarity": ["ngrams", "", None, 3, ["ngram"], float("nan")],
    "similarity_ngram_max": ["3", 0, 2.5, None, True],
    "embedding_dtype": ["float", None, 16],
    "embedding_batch_size": [0, "32"],
    "embedding_model": [None, 3],
    "advantage": [["maxrl"], {}, "maxlr", 1],
    "rehearsal_divergence": [["forward_kl"], None, "kl"],
    "correctness_reward": [3, [3], True, {}],
    "correctness_threshold": [math.nan, math.inf, "0.5", None],
    "report_to": ["wandbb", 3, ["tensorbord"]],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_a_setting_of_a_wrong_type_or_name_is_refused_with_the_config(
    key: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(PolypathError, match=key):
        DiversityGRPOConfig(str(tmp_path), **{**OPTIONS, key: value})
