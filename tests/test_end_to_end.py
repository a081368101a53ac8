"""Mathematics and text to SQL, from presample to report, on a small model that half knows them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from polypath.cli.main import run
from polypath.rehearsal import RehearsalSet
from polypath.rollouts import load_samples
from tests import tiny
from tests.tasks.data import write_databases, write_rows

pytest.importorskip("math_verify")
pytest.importorskip("sqlglot")

SQL_WORDS = ["SELECT", "name", "FROM", "item", "WHERE", "price", "count(*)"]


class World(NamedTuple):
    """A task with local data, and a model."""

    task: str
    split: str
    options: list[str]
    model: Path


def teach(folder: Path, pairs: Sequence[tuple[str, str]], *, steps: int) -> Path:
    """Save a tiny model trained a little on questions and answers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tiny.save_tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    texts = [f"{question} {answer} <eos>" for question, answer in pairs]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(params=["math", "sql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the world of sums, or of queries."""
    data = tmp_path / "data"
    if request.param == "math":
        sums = [(f"solve {a} + {b} =", str(a + b)) for a in range(8) for b in range(2)]
        write_rows(data / "train.jsonl", [{"question": q, "answer": f"#### {a}"} for q, a in sums])
        model = teach(tmp_path / "model", sums, steps=25)
        return World("gsm8k", "train", [f"data={data}", "prompt=plain"], model)
    monkeypatch.setattr(tiny, "WORDS", [*tiny.WORDS, *SQL_WORDS])
    asked = [
        ("solve 2", "SELECT name FROM item WHERE price = 2"),
        ("solve 5", "SELECT name FROM item WHERE price = 5"),
        ("solve 7", "SELECT count(*) FROM item"),
        ("solve 9", "SELECT price FROM item"),
    ]
    rows = [{"db_id": "shop", "question": q, "query": sql} for q, sql in asked]
    write_rows(data / "dev.json", rows)
    write_databases(data / "database")
    model = teach(tmp_path / "model", asked, steps=16)
    return World("spider", "dev", [f"data={data}", "prompt=plain"], model)


def test_from_presample_to_report(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task_words = ["--task", world.task, "--split", world.split]
    task_words += [word for option in world.options for word in ("--task-option", option)]
    here = ["--device", "cpu", "--precision", "float32", "--max-new-tokens", "10"]
    model = ["--model", str(world.model)]

    rehearsal = tmp_path / "rehearsal"
    words = [*model, *task_words, *here, "--out", str(rehearsal), "--k", "4", "--threshold", "2"]
    assert run(["presample", *words]) == 0, capsys.readouterr().err
    stored = RehearsalSet.load(rehearsal)
    assert stored.manifest.counts["near_perfect"] >= 1
    assert stored.manifest.counts["exploration"] >= 1
    assert dict(stored.manifest.task_options)["prompt"] == "plain"

    trained = tmp_path / "trained"
    train_small(world, rehearsal, trained, tmp_path)
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "loss" in line] == [1, 2, 3]
    assert any(0 < line.get(f"rewards/{world.task}_reward/mean", 0) < 1 for line in log)
    assert all("verify/no_answer" in line for line in log if "loss" in line)

    runs = [tmp_path / "before", tmp_path / "after"]
    for out, folder in zip(runs, (world.model, trained), strict=True):
        words = ["--model", str(folder), *task_words, *here, "--out", str(out), "--greedy"]
        assert run(["eval", *words, "--n", "4", "--json", str(out / "eval.json")]) == 0
        samples = load_samples(out)
        assert 0 < samples.num_correct_N.sum() < 4 * samples.num_problems
        assert any(answer for answers in samples.answers for answer in answers)
    capsys.readouterr()
    assert run(["compare", *map(str, runs), "--json", str(tmp_path / "compare.json")]) == 0
    assert json.loads((tmp_path / "compare.json").read_text())
    page = tmp_path / "report.html"
    judged_again = [word for word in task_words if word not in ("--split", world.split)]
    assert run(["report", *map(str, runs), "--out", str(page), *judged_again]) == 0
    assert page.stat().st_size > 10_000


def train_small(world: World, rehearsal: Path, out: Path, folder: Path) -> None:
    """Train three steps with every method on."""
    settings: dict[str, Any] = {
        "model_name_or_path": str(world.model),
        "output_dir": str(out),
        "task": world.task,
        "task_split": world.split,
        "task_options": dict(option.split("=", 1) for option in world.options),
        "rehearsal_set": str(rehearsal),
        "rehearsal_coef": 0.1,
        "rehearsal_explore_only": False,
        "positive_entropy_coef": 0.01,
        "dra": True,
        "similarity": "answer",
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 10,
        "max_steps": 3,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }
    if world.task == "gsm8k":  # of which right completions all have one answer
        settings["solution_fn"] = "text"
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    assert run(["train", "--config", str(path)]) == 0
