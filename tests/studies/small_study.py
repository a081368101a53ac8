"""A small study, and how the tests make and kill it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from polypath.executor.local import LocalExecutor
from polypath.rollouts.samples import load_samples
from polypath.studies.load import load_study
from polypath.studies.plan import TIMINGS, StudyPlan
from polypath.studies.run import plan_record, run_study
from polypath.tasks.shipped import base_model_dir
from polypath.train.callbacks import read_log
from tests.forks import python

FinishedStudy = tuple[Path, Path, dict[str, Any], str]  # its file, folder, results, output
RECIPE = {
    "task_limit": 40,
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "max_completion_length": 12,
    "max_steps": 4,  # some after the one at which the run is killed
    "save_strategy": "steps",
    "save_steps": 2,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
}
STUDY: dict[str, Any] = {
    "name": "small",
    "question": "Does it run?",
    "base": "countdown-base",
    "task": "countdown",
    "recipe": "recipe.yaml",
    "seeds": [0, 1],
    "against": "grpo",
    "settings": {"beta": 0.0},
    "presample": {"k": 4, "threshold": 1, "limit": 40},
    "methods": {
        "grpo": {"label": "GRPO", "checkpoints": [2], "temperatures": [1.0, 0.5]},
        "kl": {"settings": {"rehearsal_coef": 0.3}, "rehearsal": True},
        "half": {"label": "GRPO, half", "of": "grpo", "step": 2},
    },
    "temperatures": [0.5, 1.0],
    "tuning": {"split": "dev", "problems": 6, "samples": 4},
    "evaluation": {
        "test": {"problems": 12, "samples": 4, "ks": [1, 2, 4]},
        "test_3numbers": {"problems": 5, "samples": 4, "ks": [1, 4], "greedy": False},
    },
    "pairs": [["kl", "grpo"], ["kl", "half"]],
    "relations": [
        {"x": "distinct@4", "y": "potential@2", "where": {"metric": "pass@1", "above": 0.1}},
        {"x": "vendi (all)", "y": "potential@4 (greedy)"},
    ],
}


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | changes.pop("recipe_values", {})))
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}))
    return path


def plan_of(folder: Path, out: Path, **changes: Any) -> StudyPlan:
    return StudyPlan(load_study(write(folder, **changes)), out)


def not_done(plan: StudyPlan) -> set[str]:
    return {entry["job"] for entry in plan_record(plan) if not entry["done"]}


@contextmanager
def forked_workers() -> Iterator[None]:
    """Have the jobs of studies run in forks of this process: a new one takes seconds to import everything.

    The study that is killed has new ones.
    """
    with pytest.MonkeyPatch.context() as patch:
        # Where torch sees a GPU, a fork of a process that has differentiated cannot.
        if sys.platform == "linux" and not torch.cuda.is_available():
            forking = partial(LocalExecutor, start_method="fork")
            patch.setattr("polypath.executor.open.LocalExecutor", forking)
        yield


def killed_in_training(command: list[str], out: Path) -> None:
    """Run the command until a run has logged a step and the base is pre-sampled; then kill it."""
    process = subprocess.Popen([*python(), "-m", "polypath", *command], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not (
        any(read_log(path) for path in out.glob("runs/*/seed*/log.jsonl"))
        # Done, and how long it took is kept.
        and any("presample" in path.read_text() for path in out.glob(TIMINGS))
    ):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(3)  # the workers look for their parent every half second


def other_base(folder: Path) -> Path:
    shutil.copytree(base_model_dir(), folder / "other", dirs_exist_ok=True)
    (folder / "other" / "extra.json").write_text("{}")
    return folder / "other"


def killed_and_finished(folder: Path) -> FinishedStudy:
    """Return the study file, its folder, the results and the output of a killed and resumed study."""
    ranking = ["pass@4", "pass@4 at equal pass@1", "distinct@4"]
    texts = ["vendi (all)", "vendi (correct)"]
    path, out = write(folder, ranking=ranking, matched_measures=texts), folder / "out"
    killed_in_training(["study", str(path), "--out", str(out)], out)
    plan = StudyPlan(load_study(path), out)
    lost = plan.samples_folder(plan.base_folder(), plan.study.main)
    before = load_samples(lost)
    shutil.rmtree(lost)
    assert "evaluate base on test" in not_done(plan)
    done = {entry["result"] for entry in plan_record(plan) if entry["done"]}
    assert any(result.endswith("manifest.json") for result in done)  # the pre-sampling
    written = {result: Path(result).stat().st_mtime_ns for result in done}
    with (folder / "told").open("w") as file, forked_workers():
        results = run_study(load_study(path), out, workers=1, console=Console(file=file, width=160))
    told = (folder / "told").read_text()
    assert f"{len(done)} of {len(plan.jobs())} jobs" in told
    assert {result: Path(result).stat().st_mtime_ns for result in done} == written
    assert load_samples(lost) == before
    return path, out, results, told
