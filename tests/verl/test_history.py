"""The history of answers on verl: advantages counted anew from the rows, and a resumed run."""

import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="verl has an environment of its own: make test-verl")

import torch

from polypath.objectives import AdvantageConfig, group_advantages
from tests.verl.conftest import PACKED
from tests.verl.recompute import groups
from tests.verl.runs import run

ON = ("+polypath.advantage=history_exploration", "+polypath.history_exploration_c=0.5", PACKED)
# One step sees the first 8 of the problems, and the next the same ones.
AGAIN = ("data.train_max_samples=8", "data.shuffle=false")


def check(dump: dict[str, Any], counts: Counter[Any]) -> int:
    """Compare a step's advantages, and count its answers; return how many were seen more than once."""
    rows, infos, answers = dump["rows"], dump["infos"], []
    for places in groups(dump).values():
        rewards = torch.tensor([[float(rows[n]["rm_scores"].sum()) for n in places]])
        base = group_advantages(AdvantageConfig(eps=1e-6), rewards)[0].tolist()
        for n, advantage in zip(places, base, strict=True):
            answers.append((str(rows[n]["prompts"].tolist()), infos[n]["solution"]))
            if float(rewards.min()) < 1:
                advantage += 0.5 * (1 / math.sqrt(max(counts[answers[-1]], 1)) - 0.5)
            known = rows[n]["advantages"]
            assert known.tolist() == pytest.approx([advantage] * len(known), abs=1e-6)
    again = sum(counts[answer] > 1 for answer in answers)
    counts.update(answers)
    return again


def test_advantages_are_those_of_the_counts_also_after_resuming(data: Path, tmp_path: Path) -> None:
    whole = run(data, tmp_path / "whole", *ON, *AGAIN)
    counts: Counter[Any] = Counter()
    assert check(whole.dump(1), counts) == 0
    assert check(whole.dump(2), counts) > 3
    told = [line["history/new"] for line in whole.metrics]
    assert told[0] == 1 > told[1] > 0
    assert [line["history/answers"] for line in whole.metrics][1] == len(counts)

    folder = tmp_path / "resumed"
    shutil.copytree(whole.folder / "checkpoints", folder / "checkpoints")
    shutil.rmtree(folder / "checkpoints" / "global_step_2")
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("1")
    again = run(data, folder, *ON, *AGAIN, "trainer.resume_mode=auto")
    for row, other in zip(again.dump(2)["rows"], whole.dump(2)["rows"], strict=True):
        assert all(torch.equal(row[name], other[name]) for name in row)
