"""What stands in for the models and data sets of the published recipes: tiny, of the same kinds."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from polypath.tasks import get_task
from polypath.tasks.base import Problem
from polypath.verify.base import Status, Verdict
from tests.tiny import save_tiny_model

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
QUESTIONS = 8
REHEARSED = 3
COLUMNS = "CREATE TABLE cars (name TEXT, wheels INTEGER)"


def training_recipes() -> list[Path]:
    """Every recipe of `polypath train` in the papers' folders."""
    return [path for path in _papers() if not path.name.startswith("presample")]


def presample_recipes() -> list[Path]:
    return [path for path in _papers() if path.name.startswith("presample")]


def eval_recipes() -> list[Path]:
    return sorted(RECIPES.glob("eval/*.yaml"))


def _papers() -> list[Path]:
    folders = ("r1_zero_div", "dph_rl", "dra_grpo")
    return [path for folder in folders for path in sorted((RECIPES / folder).glob("*.yaml"))]


def save_model(folder: Path, name: str) -> Path:
    """Save a random model of the architecture that a published one has."""
    import torch
    from transformers import (
        AutoTokenizer,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    save_tiny_model(folder)  # for its tokenizer and chat template
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config_class, model_class = (
        (LlamaConfig, LlamaForCausalLM) if "lama" in name else (Qwen2Config, Qwen2ForCausalLM)
    )
    torch.manual_seed(0)
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings="1.5B" in name and "DeepSeek" not in name,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
    )
    model = model_class(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder


def save_data(folder: Path, task: str) -> Path:
    """Write problems of a task's own form, and a database for those of SQL; return the folder."""
    folder.mkdir(parents=True)
    if task == "bird":
        (folder / "train_databases" / "cars").mkdir(parents=True)
        with closing(
            sqlite3.connect(folder / "train_databases" / "cars" / "cars.sqlite")
        ) as connection:
            connection.execute(COLUMNS)
            connection.execute("INSERT INTO cars VALUES ('mini', 4), ('trike', 3)")
            connection.commit()
        rows: list[dict[str, Any]] = [
            {
                "question_id": i,
                "db_id": "cars",
                "question": f"which cars have more than {i} wheels",
                "evidence": "",
                "SQL": f"SELECT name FROM cars WHERE wheels > {i}",
            }
            for i in range(QUESTIONS)
        ]
    elif task == "gsm8k":
        rows = [{"question": f"what is {i} + {i}", "answer": f"so #### {2 * i}"} for i in range(8)]
    else:
        rows = [{"problem": f"what is {i} + {i}", "answer": f"${2 * i}$"} for i in range(QUESTIONS)]
    (folder / "train.json").write_text(json.dumps(rows))
    return folder


class Mastered:
    """A task as it is, but its first problems only, and every answer to them is right."""

    max_completion_length = 4

    def __init__(self, name: str, options: dict[str, str]) -> None:
        self._task = get_task(name, options)
        self.name, self.options = self._task.name, self._task.options
        self.splits, self.evaluation = self._task.splits, self._task.evaluation

    def problems(self, split: str, limit: int | None = None) -> list[Problem]:
        return list(self._task.problems(split, REHEARSED))[:limit]

    def verify(self, completion: str, gold: str) -> Verdict:
        del completion, gold
        return Verdict(status=Status.GRADED, reward=1.0)

    def verify_batch(self, completions: list[str], golds: list[str]) -> list[Verdict]:
        return [self.verify(c, g) for c, g in zip(completions, golds, strict=True)]


def save_rehearsal_set(folder: Path, model: Path, task: str, options: dict[str, str]) -> Path:
    from polypath.rehearsal.settings import PresampleSettings
    from tests.presampling import presample

    settings = PresampleSettings(
        k=1, threshold=1, confirm=1, batch_size=64, truncated="allow", precision="float32"
    )
    presample(model, Mastered(task, options), out=folder, settings=settings, device="cpu")
    return folder
