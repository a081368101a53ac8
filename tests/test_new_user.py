"""A new user's path: own data, own reward, and what docs/trl.md says, from a stock TRL run to the page.

The page's own blocks are run in an empty folder. The user's are only ``my_data.py`` and the name of a
column in ``my_task.py``, which the page tells where to write.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.test_pages import FEW, SHORT, blocks, run_blocks

PAGE = "docs/trl.md"
# What the reader fills in, and numbers that take long.
REPLACED = {
    **FEW,
    "MODEL": "model",
    "per_device_train_batch_size=64": "per_device_train_batch_size=32",
    "max_steps=200": f"{SHORT.replace('steps=2', 'steps=3')}, learning_rate=1e-3",
    "every=50": "num_samples=4, every=1, ks=(1, 4)",
    "per_device_train_batch_size: 64": "per_device_train_batch_size: 8",
    "num_generations: 8": "num_generations: 4",
    "max_steps: 200": "max_steps: 2\nuse_cpu: true\nbf16: false\nreport_to: none\nmonitor_samples: 4",
    "monitor_every: 50": "monitor_every: 1",
    "eval --model": "eval --n 4 --model",
}
SUMS = [(a, b) for a in range(8) for b in range(5)]
REWARD = '''
def reward(prompts, completions, total, **columns):
    """1 for a number that is even where the total is even, so that a problem has several right answers."""
    words = [(text.split() or [""])[0] for text in completions]
    return [float(w.isdecimal() and (int(w) - t) % 2 == 0) for w, t in zip(words, total, strict=True)]
'''
# What a method logs, and of which method nothing else is logged.
LOGGED = {
    "grpo": [],
    "dra": ["diversity/reward_weight_std"],
    "positive_entropy": ["positive_entropy/loss"],
    "rehearsal": ["rehearsal/divergence"],
    "maxrl": [],
    "averaging": [],
    "balanced": ["rehearsal/divergence"],
    "diverse": ["rehearsal/divergence", "diversity/reward_weight_std"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder where everything on the page was done with data and reward of one's own."""
    folder = tmp_path_factory.mktemp("new_user")
    rows = [{"prompt": f"solve {a} + {b} =", "total": a + b, "from": "me"} for a, b in SUMS]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = blocks(PAGE, REPLACED)
    text = Path(__file__).parents[1].joinpath(PAGE).read_text(encoding="utf-8")
    (reading,) = re.findall(r"`(ROWS = .*)`", text)
    (column,) = re.findall(r"`(answer=.*)`", text)
    place = [block.title for block in found].index
    mine = f"import json\n\n{reading.replace('mine.jsonl', 'sums.jsonl')}\n\n{REWARD}"
    found[place("my_data.py")] = found[place("my_data.py")]._replace(text=mine)
    task = found[place("my_task.py")]
    found[place("my_task.py")] = task._replace(text=task.text.replace("0.2)", f"0.2, {column})"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_blocks(found)
    return folder


def log_of(run: Path) -> list[dict[str, Any]]:
    state = json.loads((run / "checkpoint-3" / "trainer_state.json").read_text())
    log: list[dict[str, Any]] = state["log_history"]
    return log


def test_two_changed_lines_log_what_the_stock_run_does_not(folder: Path) -> None:
    stock, dra = (log_of(folder / "runs" / name) for name in ("stock", "dra"))
    assert not any("diversity/similarity" in line for line in stock)
    assert any("diversity/similarity" in line for line in dra)


@pytest.mark.parametrize("run", ["watched", *LOGGED])
def test_held_out_problems_are_watched(folder: Path, run: str) -> None:
    probes = [line for line in log_of(folder / "runs" / run) if "probe/pass@4" in line]
    assert [line["step"] for line in probes] == [0, 1, 2, 3]
    assert all("probe/distinct_correct" in line for line in probes)


@pytest.mark.parametrize("method", LOGGED)
def test_a_method_is_at_work(folder: Path, method: str) -> None:
    log = log_of(folder / "runs" / method)
    for key in ("positive_entropy/loss", "rehearsal/divergence"):
        assert any(key in line for line in log) == (key in LOGGED[method])
    spread = max(line.get("diversity/reward_weight_std", 0) for line in log)
    assert (spread > 0) == ("diversity/reward_weight_std" in LOGGED[method])
    mine, plain = (
        load_file(folder / "runs" / name / "model.safetensors") for name in (method, "grpo")
    )
    assert all(mine[name].equal(plain[name]) for name in plain) == (method == "grpo")


def test_a_recipe_does_the_same(folder: Path) -> None:
    log = [json.loads(line) for line in (folder / "runs/recipe/log.jsonl").read_text().splitlines()]
    for key in ("rehearsal/divergence", "probe/pass@4", "diversity/distinct_correct"):
        assert any(key in line for line in log), key


def test_the_page_compares_the_models_on_what_was_held_out(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)[0])
    assert data["runs"] == ["eval-base", "eval-grpo", "eval-diverse"]
    shown = set(data["problems"]["prompt"])
    assert 2 <= len(shown) < len(SUMS)
    assert shown < {f"solve {a} + {b} =" for a, b in SUMS}
    head = re.sub(r"(\s|<[^>]+>)+", " ", text[text.index("<header") : text.index("<nav")])
    for run in ("eval-grpo", "eval-diverse"):
        assert re.search(rf"{run} +: pass@1 [^;]+; different right solutions in 4 ", head), head
    for measure in ("pass@4", "distinct correct in 4", "Potential@2"):
        rows = re.findall(rf"<tr><td>(?:<[^>]+>)*{measure}", text)
        assert len(rows) >= 2, measure  # of all runs, and of the differences to the base
