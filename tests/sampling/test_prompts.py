import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError, DataError
from polypath.sampling.prompts import Prompt, tokenize_prompts
from tests.refusals import refused

CHATS: list[Prompt] = [
    [{"role": "user", "content": "solve 1 + 2"}],
    [
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "3 3 3"},
    ],
]
PLAIN: list[Prompt] = ["solve 1 + 2 =", "1"]


@pytest.mark.parametrize("prompts", [CHATS, PLAIN])
def test_ids_are_those_of_trl_s_trainer(
    tiny: tuple[Any, Any], tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    pytest.importorskip("trl")
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    trainer = GRPOTrainer(
        model=str(tiny_model_dir),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            str(tmp_path),
            use_cpu=True,
            bf16=False,
            report_to=[],
            num_generations=2,
            per_device_train_batch_size=2,
        ),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
    )
    expected = trainer._tokenize_prompts(prompts)[0]
    assert tokenize_prompts(tiny[1], prompts) == [list(row) for row in expected]


def test_plain_and_chat_prompts_may_be_mixed(tiny: tuple[Any, Any]) -> None:
    mixed = [PLAIN[0], CHATS[0], PLAIN[1], CHATS[1]]
    assert tokenize_prompts(tiny[1], mixed) == [tokenize_prompts(tiny[1], [p])[0] for p in mixed]


def test_chat_prompts_without_a_template_are_refused(tiny: tuple[Any, Any]) -> None:
    tokenizer = tiny[1]
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        with pytest.raises(ConfigError, match="template"):
            tokenize_prompts(tokenizer, CHATS)
        assert tokenize_prompts(tokenizer, PLAIN)
    finally:
        tokenizer.chat_template = template


def test_an_empty_prompt_is_refused(tiny: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="tokens"):
        tokenize_prompts(tiny[1], ["1", ""])


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json", None])
def test_a_template_that_fails_is_named_by_its_file(
    tiny_model_dir: Path, tmp_path: Path, place: str | None
) -> None:
    from transformers import AutoTokenizer

    folder, wrong = shutil.copytree(tiny_model_dir, tmp_path / "model"), "{{ 1 / 0 }}ü\n"
    if place == "chat_template.jinja":
        (folder / place).write_text(wrong, encoding="utf-8")
    elif place is not None:
        (folder / "chat_template.jinja").unlink()
        told = json.loads((folder / place).read_text()) | {"chat_template": wrong}
        (folder / place).write_text(json.dumps(told))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if place is None:
        tokenizer.chat_template = wrong
    with refused(DataError, "division by zero", place or "given in its place"):
        tokenize_prompts(tokenizer, [[{"role": "user", "content": "hello"}]])
